"""What ``sharpedge phantom`` does: write patients, check the films, print the ceiling.

Layer: phantom; plain functions over paths and numbers, no terminal. Everything follows from the
seed: patient ``n`` of one seed is the same whatever the number of patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge import anatomy
from edge.anatomy import Limb
from edge.model import DISCLAIMER, Laterality, LateralitySource, LimbResult, Status
from phantom.files import (
    SUFFIX,
    ImageFormat,
    draw_dicom_look,
    write_dicom,
    write_jpeg,
    write_png,
)
from phantom.film import PhantomFilm, render_film
from phantom.ra2 import (
    BOX_FOLDER,
    MASK_FOLDER,
    OPTIONS,
    OPTIONS_NAME,
    TABLE_NAME,
    write_boxes,
    write_table,
)
from phantom.skeleton import sample_limb
from phantom.statistics import GradeSetting, Patient, sample_patient
from phantom.truth import film_truth

if TYPE_CHECKING:
    from pathlib import Path

    from phantom.style import StyleName

Progress = Callable[[int, int], None]
"""Called with films done and films in all."""

TRUTH_NAME = "truth.jsonl"
Layout = Literal["jsonl", "ra2"]
"""How the truth is written down."""
LIMBS = tuple((limb, side) for limb in Limb for side in Laterality)
_MIRRORED_SHARE = 0.02
_MIRRORED_LIMIT = 0.03


@dataclass(frozen=True)
class PhantomSummary:
    """What was written: files, films by fate, joints that carry a grade."""

    out_dir: Path
    truth: Path
    films: int
    held: int
    graded_joints: int
    notice: str = DISCLAIMER


@dataclass(frozen=True, eq=False)
class PatientFilm:
    """One film of one patient with the name it goes by and the generator that drew it."""

    stem: str
    patient_id: str
    film: PhantomFilm
    rng: np.random.Generator


def patient_grades(seed: int, number: int, grades: GradeSetting) -> Patient:
    """Grades of patient ``number`` (from 1) of a seed."""
    return sample_patient(np.random.default_rng((seed, number)), grades)


def patient_film(
    patient: Patient,
    seed: int,
    number: int,
    index: int,
    style: StyleName,
    *,
    mirrored: bool = False,
    borderline: bool = False,
) -> PatientFilm:
    """Draw film ``index`` (into `LIMBS`: LH RH LF RF) of a patient."""
    limb, side = LIMBS[index]
    rng = np.random.default_rng((seed, number, index + 1))
    model = sample_limb(rng, limb, side, patient.grades[limb, side], style, borderline=borderline)
    film = render_film(model, rng, style, mirrored=mirrored)
    patient_id = f"P{number:04d}"
    stem = f"{patient_id}-{side.value}{anatomy.LIMBS[limb].letter}"
    return PatientFilm(stem, patient_id, film, rng)


def write_patients(
    out_dir: Path,
    patients: int,
    seed: int,
    image_format: ImageFormat = "jpeg",
    grades: GradeSetting = "real",
    style: StyleName = "eval",
    *,
    borderline: bool = False,
    layout: Layout = "jsonl",
    progress: Progress | None = None,
) -> PhantomSummary:
    """Write four films a patient, their masks and ``truth.jsonl`` into ``out_dir``.

    Files: ``P0001-LH.jpg`` (or .png, .dcm) and ``P0001-LH_mask.png``. With the layout ``ra2`` the
    truth is ``scores.csv`` and what a person would have drawn: ``boxes/P0001-LH.xml`` and
    ``masks/P0001-LH.png``; that layout has no word for a mirrored film, and none is. Of the others
    at most 3 % are mirrored. Existing files of the same names are replaced. Raises ValueError when
    ``patients`` is under 1, OSError when the folder cannot be written.
    """
    if patients < 1:
        raise ValueError(f"patients is {patients}: ask for at least 1")
    folders = (BOX_FOLDER, MASK_FOLDER) if layout == "ra2" else ("",)
    for name in folders:
        (out_dir / name).mkdir(parents=True, exist_ok=True)
    source = LateralitySource.DICOM if image_format == "dicom" else LateralitySource.FILENAME
    mirrored = frozenset() if layout == "ra2" else _mirrored_films(seed, patients)
    total = patients * len(LIMBS)
    lines: list[LimbResult] = []
    for number in range(1, patients + 1):
        patient = patient_grades(seed, number, grades)
        for index in range(len(LIMBS)):
            one = patient_film(
                patient,
                seed,
                number,
                index,
                style,
                mirrored=(number, index) in mirrored,
                borderline=borderline,
            )
            path = out_dir / (one.stem + SUFFIX[image_format])
            _write_film(path, one, image_format, seed)
            mask = one.film.mask.astype(np.uint8) * 255
            lines.append(film_truth(one.film, path.name, source))
            if layout == "ra2":
                write_png(out_dir / MASK_FOLDER / f"{one.stem}.png", mask)
                size = (mask.shape[1], mask.shape[0])
                write_boxes(out_dir / BOX_FOLDER / f"{one.stem}.xml", lines[-1], size)
            else:
                write_png(out_dir / f"{one.stem}_mask.png", mask)
            if progress is not None:
                progress(len(lines), total)
    truth = _write_truth(out_dir, lines, layout)
    return PhantomSummary(
        out_dir=out_dir,
        truth=truth,
        films=total,
        held=sum(line.status is Status.HELD for line in lines),
        graded_joints=sum(line.n_scored for line in lines),
    )


def _write_truth(out_dir: Path, lines: list[LimbResult], layout: Layout) -> Path:
    if layout == "ra2":
        limbs = len(LIMBS)
        rows = [(f"P{at // limbs + 1:04d}", lines[at : at + limbs]) for at in
                range(0, len(lines), limbs)]  # fmt: skip
        write_table(out_dir / TABLE_NAME, rows)
        (out_dir / OPTIONS_NAME).write_text(OPTIONS, encoding="utf-8")
        return out_dir / TABLE_NAME
    truth = out_dir / TRUTH_NAME
    truth.write_text("".join(line.model_dump_json() + "\n" for line in lines), encoding="utf-8")
    return truth


def _write_film(path: Path, one: PatientFilm, image_format: ImageFormat, seed: int) -> None:
    if image_format == "png":
        write_png(path, one.film.pixels)
    elif image_format == "jpeg":
        write_jpeg(path, one.film.pixels, int(one.rng.integers(60, 96)))
    else:
        # One unit takes all of a patient's films.
        look = draw_dicom_look(np.random.default_rng((seed, int(one.patient_id[1:]), 77)))
        write_dicom(path, one.film, look, one.patient_id, seed)


def _mirrored_films(seed: int, patients: int) -> frozenset[tuple[int, int]]:
    """Which films are mirrored: each by its own draw, never over the limit."""
    drawn: list[tuple[int, int]] = []
    for number in range(1, patients + 1):
        chance = np.random.default_rng((seed, number, 99)).random(len(LIMBS))
        drawn += [(number, int(i)) for i in np.flatnonzero(chance < _MIRRORED_SHARE)]
    limit = int(_MIRRORED_LIMIT * patients * len(LIMBS))
    return frozenset(drawn[:limit])
