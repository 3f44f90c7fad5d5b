"""The columns of the RA2 challenge's score table, as a reader and a writer need them.

Layer: phantom; values only, imports `edge.model` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.anatomy import LIMBS, NARROWING_MAXIMUM, Limb
from edge.enums import StrEnum
from edge.model import Laterality


class ScoreKind(StrEnum):
    """The two scores of a joint."""

    EROSION = "erosion"
    NARROWING = "narrowing"


PATIENT_COLUMN = "Patient_ID"
TOTAL_COLUMN = "Overall_Tol"
SUM_COLUMNS = {
    ScoreKind.EROSION: "Overall_erosion",
    ScoreKind.NARROWING: "Overall_narrowing",
}
HALLUX_NARROWING = ("LF_mtp_J__ip", "RF_mtp_J__ip")
"""An early release of the table had the contents of these two the wrong way round."""


@dataclass(frozen=True)
class ScoreColumn:
    """One score of one joint; ``joint`` is ``None`` at the wrist, which the method does not score.

    The grade lies in 0..``maximum``.
    """

    name: str
    limb: Limb
    side: Laterality
    joint: str | None
    kind: ScoreKind
    maximum: int


_WRIST_EROSION = ("mc1", "mul", "nav", "lunate", "radius", "ulna")
_WRIST_NARROWING = ("cmc3", "cmc4", "cmc5", "mna", "capnlun", "radcar")
_TWO_TO_FIVE = ("2", "3", "4", "5")
_ONE_TO_FIVE = ("1", *_TWO_TO_FIVE)
_HAND_PARTS = {
    ScoreKind.EROSION: (
        ("mcp", ("ip",)),
        ("pip", _TWO_TO_FIVE),
        ("mcp", _ONE_TO_FIVE),
        ("wrist", _WRIST_EROSION),
    ),
    ScoreKind.NARROWING: (
        ("pip", _TWO_TO_FIVE),
        ("mcp", _ONE_TO_FIVE),
        ("wrist", _WRIST_NARROWING),
    ),
}


def _column(limb: Limb, side: Laterality, region: str, kind: ScoreKind, site: str) -> ScoreColumn:
    film = f"{side.value}{LIMBS[limb].letter}"
    joint = None
    if region != "wrist":
        joint = "IP1" if site == "ip" else f"{region.upper()}{site}"
    return ScoreColumn(
        name=f"{film}_{region}_{'E' if kind is ScoreKind.EROSION else 'J'}__{site}",
        limb=limb,
        side=side,
        joint=joint,
        kind=kind,
        maximum=limb.erosion_maximum if kind is ScoreKind.EROSION else NARROWING_MAXIMUM,
    )


def _hands(kind: ScoreKind) -> list[ScoreColumn]:
    return [
        _column(Limb.HAND, side, region, kind, site)
        for side in Laterality
        for region, sites in _HAND_PARTS[kind]
        for site in sites
    ]


def _foot_narrowing() -> list[ScoreColumn]:
    # The table's own order: each foot's hallux stands where the other's would be expected.
    order = [
        (side, site)
        for side, hallux in (
            (Laterality.LEFT, Laterality.RIGHT),
            (Laterality.RIGHT, Laterality.LEFT),
        )
        for side, site in ((hallux, "ip"), *((side, n) for n in _ONE_TO_FIVE))
    ]
    return [_column(Limb.FOOT, side, "mtp", ScoreKind.NARROWING, site) for side, site in order]


SCORE_COLUMNS: tuple[ScoreColumn, ...] = (
    *_hands(ScoreKind.EROSION),
    *(
        _column(Limb.FOOT, side, "mtp", ScoreKind.EROSION, site)
        for side in Laterality
        for site in ("ip", *_ONE_TO_FIVE)
    ),
    *_hands(ScoreKind.NARROWING),
    *_foot_narrowing(),
)
"""The 86 score columns in the table's order."""

HEADER: tuple[str, ...] = (
    PATIENT_COLUMN,
    TOTAL_COLUMN,
    *SUM_COLUMNS.values(),
    *(column.name for column in SCORE_COLUMNS),
)
"""All 90 columns in the table's order."""
