"""One report from one measured set, or from one table of landmarks.

Layer: training.evaluation; pure, but for `now`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from training.evaluation import film_findings, scorer_findings
from training.evaluation import statistics as st
from training.evaluation.findings import About, IdentityFindings, Report
from training.evaluation.measure_identity import Landmarks, Trial, name_all
from training.evaluation.rows import Rows
from training.evaluation.space_findings import space_groups, space_repeats
from training.evaluation.sums import totals
from training.evaluation.tables import true_places, turn_deg
from training.evaluation.truth import PAPER_SPLIT, Kind, Split, patient_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import Versions
    from training.evaluation.tables import Tables
    from training.evaluation.truth import LabelledSet

STATEMENTS = {
    Kind.PHANTOM: (
        "Phantom figures: simulated films. They say how the software does on its own simulator, "
        "and nothing about patients."
    ),
    Kind.PAINTED: (
        "Painted damage on real films of people without arthritis: real texture, but no patient's "
        "damage. No clinical accuracy follows from it."
    ),
    Kind.REAL: (
        "Real films with labels that the set's owner gave. The figures hold for this set and its "
        "readers alone."
    ),
}
TITLES = {
    Kind.PHANTOM: "Phantom figures",
    Kind.PAINTED: "Painted damage on real films",
    Kind.REAL: "Labelled real films",
}
FRESH_SPLIT = "every film; right for films that nothing was trained on"
PATIENT_SPLIT = (
    "by patient: only patients whom every training leaves out, chosen by the hash of their name"
)
ALL_SPLIT = "every film of the set, whatever a training may have seen of it"
DROPS = (0, 1, 2, 3)


def assemble(
    labelled: LabelledSet,
    tables: Tables,
    versions: Versions,
    split: Split,
    made: datetime,
) -> Report:
    """Every part of the report that the set has labels for."""
    rows = Rows.of(tables)
    kind = labelled.kind
    about = About(
        title=TITLES[kind],
        kind=kind.value,
        statement=STATEMENTS[kind],
        split=split.value,
        split_statement=split_statement(split, fresh=labelled.fresh),
        set_name=labelled.name,
        notes=labelled.notes,
        films=len({limb.path for limb in labelled.limbs}),
        limbs=len(labelled.limbs),
        patients=len(tables.patients),
        software=versions.software,
        engines=dict(versions.engines),
        draws=st.DRAWS,
        seed=st.SEED,
        made=made.isoformat(timespec="minutes"),
    )
    return Report(
        about=about,
        fates=film_findings.fates(rows),
        detection=film_findings.detection(rows),
        identity=identity(upright_landmarks(labelled)),
        outlines=film_findings.outlines(rows),
        scorers=scorer_findings.scorers(rows),
        scorer_groups=scorer_findings.scorer_groups(rows),
        stricter=scorer_findings.stricter(rows),
        healthy=scorer_findings.healthy(rows),
        # A tenth of the joints adds up to no patient's total.
        totals=() if split is Split.PAPER else totals(rows),
        spaces=space_groups(tables.spaces),
        space_repeats=space_repeats(tables.repeats),
    )


def now() -> datetime:
    """The time that a report is made, in UTC."""
    return datetime.now(timezone.utc)


def split_statement(split: Split, *, fresh: bool) -> str:
    """Text of the page for a split."""
    if split is Split.PAPER:
        return PAPER_SPLIT
    if split is Split.ALL:
        return ALL_SPLIT
    return FRESH_SPLIT if fresh else PATIENT_SPLIT


def upright_landmarks(labelled: LabelledSet) -> list[Landmarks]:
    """True places of every whole limb, turned fingers or toes up, as a framed film shows them.

    Limbs whose names were read off their places would prove the naming by itself: they stay out.
    """
    found = []
    for one in labelled.limbs:
        names, points = true_places(one.truth)
        limb = one.truth.limb
        if limb is None or not one.names_given or set(names) != set(limb.joints):
            continue
        angle = -math.radians(turn_deg(limb, names, points))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        found.append(Landmarks(one.truth.file, limb, tuple(names), points @ turn.T))
    return found


def identity(
    images: Sequence[Landmarks], trial: Trial | None = None
) -> tuple[IdentityFindings, ...]:
    """Naming with 0 to 3 joints dropped, and every joint there in any turn and perhaps mirrored."""
    if not images:
        return ()
    trial = trial or Trial()
    trials = [replace(trial, drop=drop) for drop in sorted({*DROPS, trial.drop})]
    free = replace(trial, drop=0, turn_deg=180.0, mirror=True)
    found: list[IdentityFindings] = []
    for limb in Limb:
        mine = [image for image in images if image.limb is limb]
        if mine:
            found += [_identity(limb, mine, one) for one in (*trials, free)]
    return tuple(found)


def _identity(limb: Limb, images: Sequence[Landmarks], trial: Trial) -> IdentityFindings:
    attempts = name_all(images, trial)
    patients = {
        name: i for i, name in enumerate(dict.fromkeys(patient_of(i.image) for i in images))
    }
    weights = st.draw_weights(len(patients))
    clusters = np.array([patients[patient_of(attempt.image)] for attempt in attempts], np.int64)
    right = np.array([attempt.right for attempt in attempts])
    certain = np.array([attempt.certain for attempt in attempts])
    return IdentityFindings(
        limb=limb.value,
        drop=trial.drop,
        conditions=_conditions(trial),
        images=len(images),
        right=st.estimate(st.share(weights, clusters, right)),
        certain=st.estimate(st.share(weights, clusters, certain)),
        wrong_of_certain=st.estimate(st.ratio(weights, clusters, certain & ~right, certain)),
    )


def _conditions(trial: Trial) -> str:
    turn = "any turn" if trial.turn_deg >= 180 else f"turned \u00b1{trial.turn_deg:g}\u00b0"
    mirror = ", perhaps mirrored" if trial.mirror else ""
    noise = f", noise {trial.noise:g}" if trial.noise else ""
    return f"{turn}{mirror}{noise}"


def identity_report(
    set_name: str, images: Sequence[Landmarks], trial: Trial, software: str, made: datetime
) -> Report:
    """Report on a table of landmarks: naming alone, no engine runs."""
    patients = {patient_of(image.image) for image in images}
    about = About(
        title="Naming joints from their places",
        kind=Kind.REAL.value,
        statement=(
            "Landmarks of a table, disturbed and named by the shape template: no film is looked "
            "at, and nothing is said of any score."
        ),
        split=Split.ALL.value,
        split_statement="every image of the table",
        set_name=set_name,
        notes=(),
        films=len({image.image for image in images}),
        limbs=len(images),
        patients=len(patients),
        software=software,
        engines={},
        draws=st.DRAWS,
        seed=st.SEED,
        made=made.isoformat(timespec="minutes"),
    )
    return Report(about=about, identity=identity(images, trial))
