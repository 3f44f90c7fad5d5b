"""``sharpedge train data paint``: a folder of labelled films with painted damage and its truth.

Layer: training.synthetic; writes painted films and ``truth.jsonl`` into its output folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge import __version__
from edge.anatomy import Limb, View, has_narrowing, joint_box_side_px
from edge.errors import NullReason
from edge.model import JointScore, LimbResult, Status, Versions
from edge.totals import limb_subtotals
from phantom.files import write_jpeg
from training.datasets.labelled_films import FULL_SIZE_PX, labelled_limbs, read_labelled
from training.synthetic.painted_films import draw_grades, paint_film, sharp_films

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from phantom.geometry import JointGrade
    from training.datasets.labelled_films import LabelledFilm

JPEG_QUALITY = 95


def paint_folder(
    films_dir: Path, labels: Path, seed: int, out: Path, say: Callable[[str], None]
) -> int:
    """Paint every sharp labelled film of an adult once; returns how many were written.

    Joints that nothing was painted on keep what they show and count as grade 0: name only films of
    patients without arthritis. Raises `TrainingError` for labels or films that cannot be used.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for limb in labelled_limbs(labels, films_dir):
        films = read_labelled(labels, films_dir, limb, FULL_SIZE_PX)
        sharp = sharp_films(films)
        say(f"{limb}: {len(sharp)} of {len(films)} labelled films are adults' and sharp enough")
        for number, film in enumerate(sharp):
            rng = np.random.default_rng((seed, list(Limb).index(limb), number))
            grades = draw_grades(rng, limb, tuple(film.joints))
            painted = paint_film(film, grades, rng)
            # Two limbs of one film are painted apart, the other one left as it is.
            name = f"{painted.film.rpartition('.')[0]}-{limb}{number}.jpg"
            write_jpeg(out / name, painted.pixels, JPEG_QUALITY)
            lines.append(painted_truth(painted, grades, name).model_dump_json())
    (out / "truth.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(lines)


def painted_truth(film: LabelledFilm, grades: Mapping[str, JointGrade], file: str) -> LimbResult:
    """What was painted on a film, in the shape of a scored limb; the side is not known."""
    joints = []
    for name, (x, y) in zip(film.names, film.points.tolist(), strict=True):
        side = round(joint_box_side_px(film.limb, name, film.unit), 1)
        corner = round(x - side / 2, 1), round(y - side / 2, 1)
        grade = grades.get(name)
        narrows = has_narrowing(film.limb, name)
        unknown = None if grade else str(NullReason.LOW_CONFIDENCE)
        joints.append(
            JointScore(
                name=name,
                box=(*corner, side, side),
                centre=(round(x, 1), round(y, 1)),
                erosion=grade.erosion if grade else None,
                erosion_reason=unknown,
                narrowing=grade.narrowing if grade and narrows else None,
                narrowing_reason=unknown if narrows else str(NullReason.NOT_IN_SVH),
            )
        )
    scored = [joint for joint in joints if joint.erosion is not None]
    return LimbResult(
        file=file,
        limb_index=0,
        status=Status.SCORED,
        limb=film.limb,
        view=View(film.view) if film.view in set(View) else View.UNKNOWN,
        joints=tuple(joints),
        subtotals=limb_subtotals(film.limb, joints),
        n_scored=len(scored),
        n_expected=len(film.limb.joints),
        flags=("painted",),
        versions=Versions(software=__version__),
    )
