"""The scorer of an archive's workers: the shipped one, which draws no pictures.

Layer: sharpedge; runs in the worker process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.worker.factory import film_scorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config import Config
    from edge.model import Identifiers, LimbResult, OperatorStatement
    from edge.worker.factory import Made, Scorer


@dataclass(frozen=True)
class _Limb:
    result: LimbResult
    overlay: None
    figures: dict[str, float]


@dataclass(frozen=True)
class _Film:
    limbs: tuple[_Limb, ...]
    stage_ms: dict[str, float]
    study_key: str | None
    patient_key: str | None
    burned_in_annotation: bool
    identifiers: Identifiers | None


class _WithoutPictures:
    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.versions = scorer.versions

    def score(
        self,
        data: bytes,
        file_name: str,
        operator: OperatorStatement | None = None,
        on_stage: Callable[[str], None] | None = None,
    ) -> _Film:
        film = self._scorer.score(data, file_name, operator, on_stage)
        limbs = tuple(_Limb(limb.result, None, dict(limb.figures)) for limb in film.limbs)
        return _Film(
            limbs, film.stage_ms, film.study_key, film.patient_key, film.burned_in_annotation,
            film.identifiers,
        )  # fmt: skip


def without_pictures(config: Config) -> Made:
    """Make the shipped scorer; see `edge.worker.factory.film_scorer`."""
    import cv2  # noqa: PLC0415 - in the worker process alone

    # As many as an inference may have: other workers use the other cores.
    cv2.setNumThreads(config.worker.threads)
    made = film_scorer(config)
    return made._replace(scorer=_WithoutPictures(made.scorer))
