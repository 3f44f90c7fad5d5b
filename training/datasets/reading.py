"""From a folder to its data set: which layouts it has, read and joined.

Layer: training.datasets; reads files below the folder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge.imaging.identity import identity_of_name
from edge.pipeline.template import apply, inverse
from training.datasets.boxes import bounded, limb_of, read_label, with_boxes
from training.datasets.files import Films, decode_or_fault, shown
from training.datasets.options import read_options
from training.datasets.readers import READERS, Gives, function
from training.datasets.truth import Code, DataSet, Fault, FilmTruth, JointTruth
from training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.anatomy import Limb
    from training.datasets.boxes import Drawing
    from training.datasets.options import Options


def read_dataset(folder: Path, layout: str | None = None) -> DataSet:
    """Read a folder: grades where it has them, with boxes and masks of the same films.

    ``layout`` takes precedence over ``dataset.toml``, and that over what is found. A layout of
    boxes is then the only one that is read. Raises `TrainingError` for a folder that is missing,
    that holds no known layout, or two of one kind.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such folder", fix="name the folder of the data set")
    options = read_options(folder)
    films = Films(folder)
    files = _layouts(folder, layout or options.layout)
    faults: list[Fault] = []
    found: list[FilmTruth] = []
    for name, paths in files.items():
        row = READERS[name]
        given = function(row.read)(paths, films, options, faults)
        if row.gives is Gives.GRADES:
            found = given
        elif row.gives is Gives.BOXES:
            found = _with_drawings(found, given, films, options, faults)
        else:
            found = _with_masks(found, given, films)
    if not any(READERS[name].crops_only for name in files):
        faults += _without_truth(found, films)
    excluded = {name.casefold() for name in options.exclude}
    kept = [film for film in found if not excluded & _names(film)]
    return DataSet(
        folder,
        tuple(files),
        tuple(sorted(kept, key=lambda film: film.name)),
        tuple(fault for fault in faults if not _excluded(fault, excluded)),
        options.simulated or any(film.simulated for film in kept),
    )


def _layouts(folder: Path, forced: str | None) -> dict[str, list[Path]]:
    """Files of each layout to read, grades first, then boxes, then masks."""
    there = {name: list(function(row.find)(folder)) for name, row in READERS.items()}
    if forced is not None and not there[forced]:
        raise TrainingError(
            f"{folder}: no file of the layout {forced}", fix="name another one with --layout"
        )
    found = [name for name, paths in there.items() if paths]
    if forced is not None:
        kept = {Gives.BOXES, Gives.MASKS} if _gives(forced) is Gives.GRADES else {Gives.MASKS}
        found = [name for name in found if name == forced or _gives(name) in kept]
    for kind in (Gives.GRADES, Gives.BOXES):
        group = [name for name in found if _gives(name) is kind]
        if len(group) > 1:
            raise TrainingError(
                f"{folder}: {' and '.join(group)} are both there",
                fix=f"say which one counts: --layout {group[0]}, or layout in dataset.toml",
            )
    if not found:
        raise TrainingError(
            f"{folder}: nothing that is known says what the films show",
            fix="put an RA2 table, truth.jsonl, boxes (VOC, YOLO, COCO) or masks beside the films",
        )
    for name in found:
        if READERS[name].one_file and len(there[name]) > 1:
            names = ", ".join(shown(path, folder) for path in there[name])
            raise TrainingError(f"{folder}: several tables: {names}", fix="leave one of them")
    return {name: there[name] for kind in Gives for name in found if _gives(name) is kind}


def _gives(name: str) -> Gives:
    return READERS[name].gives


def _with_drawings(
    found: list[FilmTruth],
    drawings: list[Drawing],
    films: Films,
    options: Options,
    faults: list[Fault],
) -> list[FilmTruth]:
    by_path = {film.path: film for film in found}
    merged = dict(by_path)
    done: set[Path] = set()
    for drawing in drawings:
        if drawing.film in done:
            faults.append(Fault(Code.JOINT_TWICE, drawing.where, "its film has boxes already"))
            continue
        done.add(drawing.film)
        base = by_path.get(drawing.film) or bare_film(drawing.film, films)
        limb = base.limb or limb_of([box.label for box in drawing.boxes])
        if limb is None:
            faults.append(
                Fault(
                    Code.UNKNOWN_CLASS,
                    drawing.where,
                    "neither film name nor labels say hand or foot (MCP or MTP)",
                    base.patient,
                )
            )
            continue
        joints = _joints(drawing, limb, base.patient, films, options, faults)
        merged[drawing.film] = replace(base, limb=limb, joints=with_boxes(base, joints))
    return list(merged.values())


def bare_film(path: Path, films: Films) -> FilmTruth:
    """A film of which only its name is known."""
    stated = identity_of_name(path.name)
    return FilmTruth(
        name=shown(path, films.folder),
        path=path,
        patient=(stated.id if stated else None) or path.stem,
        limb=stated.limb if stated else None,
        laterality=stated.side if stated else None,
    )


def _joints(
    drawing: Drawing,
    limb: Limb,
    patient: str,
    films: Films,
    options: Options,
    faults: list[Fault],
) -> list[JointTruth]:
    """Boxes of one film in its stored pixels."""
    decoded = decode_or_fault(drawing.film, films.folder, faults)
    if decoded is None:
        return []
    stored = decoded.film.stored_size
    displayed = decoded.film.pixels.shape[1], decoded.film.pixels.shape[0]
    turned = options.boxes == "displayed"
    if drawing.size not in (None, displayed if turned else stored):
        # A size that only fits the film as displayed shows what the boxes were drawn on.
        turned = drawing.size == displayed
        if drawing.size not in (stored, displayed):
            faults.append(
                Fault(
                    Code.SIZE_DIFFERS,
                    drawing.where,
                    f"drawn on {drawing.size} px, the film has {stored}",
                    patient,
                )
            )
            return []
    size = displayed if turned else stored
    back = inverse(decoded.film.stored_to_upright)
    joints: list[JointTruth] = []
    for box in drawing.boxes:
        label = read_label(box.label, limb)
        if label is None:
            faults.append(
                Fault(Code.UNKNOWN_CLASS, box.where, f"no joint of a {limb}: {box.label[:40]!r}",
                      patient)
            )  # fmt: skip
            continue
        scale = np.array((*size, *size) if drawing.relative else (1, 1, 1, 1), np.float64)
        left, top, right, bottom = (np.asarray(box.corners) * scale).tolist()
        placed = bounded((left, top, right, bottom), size, box.where, patient, faults)
        if placed is None:
            continue
        if any(label[0] is not None and joint.name == label[0] for joint in joints):
            faults.append(Fault(Code.JOINT_TWICE, box.where, f"{label[0]} is there twice", patient))
            continue
        joints.append(JointTruth(*label, box=_turned(placed, back) if turned else placed))
    return joints


def _turned(
    box: tuple[float, float, float, float], back: np.ndarray
) -> tuple[float, float, float, float]:
    x, y, width, height = box
    corners = apply(back, np.array([[x, y], [x + width, y + height]]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _with_masks(
    found: list[FilmTruth], masks: list[tuple[Path, Path]], films: Films
) -> list[FilmTruth]:
    by_film = dict(masks)
    known = {film.path for film in found}
    merged = [
        replace(film, mask=by_film[film.path]) if film.path in by_film else film for film in found
    ]
    return merged + [
        replace(bare_film(film, films), mask=mask)
        for film, mask in by_film.items()
        if film not in known
    ]


def _without_truth(found: list[FilmTruth], films: Films) -> list[Fault]:
    """Films whose content no file states."""
    known = {film.path.stem.casefold() for film in found if film.path is not None}
    faults = []
    for path in films.all:
        # A film of the same stem is reported as a second one of its limb instead.
        if path.stem.casefold() not in known:
            stated = identity_of_name(path.name)
            why = "nothing says what it shows"
            if stated is None:
                why += ", and its name is not ID-LH, -RH, -LF or -RF"
            patient = stated.id if stated else None
            faults.append(Fault(Code.FILM_WITHOUT_TRUTH, shown(path, films.folder), why, patient))
    return faults


def _names(film: FilmTruth) -> set[str]:
    base = film.name.rpartition("/")[2].casefold()
    return {film.name.casefold(), base, base.rpartition(".")[0]}


def _excluded(fault: Fault, excluded: set[str]) -> bool:
    base = fault.where.rpartition("/")[2].partition(" ")[0].partition(":")[0].casefold()
    return bool(excluded & {base, base.rpartition(".")[0]})
