"""From a folder to its data set: which layouts it has, read and joined.

Room: training/datasets. Reads files below the folder; imports no torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge.imaging.identity import name_says
from edge.pipeline.template import apply, inverse
from training.datasets.boxes import bounded, limb_of, read_label, with_boxes
from training.datasets.coco import coco_files, read_coco
from training.datasets.files import Films, decode_or_fault, is_mask, shown, walk
from training.datasets.jsonl import TRUTH_NAME, read_jsonl
from training.datasets.options import read_options
from training.datasets.ra2 import is_ra2_table, read_ra2
from training.datasets.ram import ram_files, read_ram
from training.datasets.truth import Code, DataSet, Fault, FilmTruth, JointTruth, Layout
from training.datasets.voc import read_voc, voc_files
from training.datasets.yolo import read_yolo, yolo_files
from training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Limb
    from training.datasets.boxes import Drawing
    from training.datasets.options import Options

_BOXES = (Layout.VOC, Layout.YOLO, Layout.COCO)


def read_dataset(folder: Path, layout: Layout | None = None) -> DataSet:
    """Read a folder: grades where it has them, with boxes and masks of the same films.

    ``layout`` goes before ``dataset.toml``, and that before what is found. A layout of boxes is
    then the only one that is read. Raises `TrainingError` for a folder that is missing, that holds
    nothing known, or two layouts of one kind.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such folder", fix="name the folder of the data set")
    options = read_options(folder)
    films = Films(folder)
    layouts = _layouts(folder, layout or options.layout)
    faults: list[Fault] = []
    found = _graded(folder, layouts, films, options, faults)
    for kind in _BOXES:
        if kind in layouts:
            found = _with_drawings(found, _drawn(kind, folder, films, options, faults), films,
                                   options, faults)  # fmt: skip
    if Layout.MASKS in layouts:
        found = _with_masks(found, folder, films)
    if Layout.RAM not in layouts:
        faults += _strangers(found, films)
    excluded = {name.casefold() for name in options.exclude}
    kept = [film for film in found if not excluded & _names(film)]
    return DataSet(
        folder,
        layouts,
        tuple(sorted(kept, key=lambda film: film.name)),
        tuple(fault for fault in faults if not _excluded(fault, excluded)),
        options.simulated or any(film.simulated for film in kept),
    )


def _layouts(folder: Path, forced: Layout | None) -> tuple[Layout, ...]:
    tables = [path for path in walk(folder) if is_ra2_table(path)]
    there = {
        Layout.RA2: tables,
        Layout.JSONL: [path for path in walk(folder) if path.name == TRUTH_NAME],
        Layout.RAM: ram_files(folder),
        Layout.VOC: voc_files(folder),
        Layout.YOLO: yolo_files(folder),
        Layout.COCO: coco_files(folder),
        Layout.MASKS: [path for path in walk(folder) if is_mask(path, folder)],
    }
    if forced is not None and not there[forced]:
        raise TrainingError(
            f"{folder}: no file of the layout {forced}", fix="name another one with --layout"
        )
    found = [kind for kind, paths in there.items() if paths]
    if forced is not None:
        others = [kind for kind in found if not kind.graded] if forced.graded else [Layout.MASKS]
        found = [forced, *(kind for kind in others if kind in found and kind is not forced)]
    for group in ([kind for kind in found if kind.graded], [k for k in found if k in _BOXES]):
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
    for kind in (Layout.RA2, Layout.JSONL):
        if kind in found and len(there[kind]) > 1:
            names = ", ".join(shown(path, folder) for path in there[kind])
            raise TrainingError(f"{folder}: several tables: {names}", fix="leave one of them")
    return tuple(found)


def _graded(
    folder: Path,
    layouts: tuple[Layout, ...],
    films: Films,
    options: Options,
    faults: list[Fault],
) -> list[FilmTruth]:
    if Layout.RA2 in layouts:
        table = next(path for path in walk(folder) if is_ra2_table(path))
        return read_ra2(table, films, options, faults)
    if Layout.JSONL in layouts:
        path = next(path for path in walk(folder) if path.name == TRUTH_NAME)
        return read_jsonl(path, films, faults)
    if Layout.RAM in layouts:
        return read_ram(folder, faults)
    return []


def _drawn(
    kind: Layout, folder: Path, films: Films, options: Options, faults: list[Fault]
) -> list[Drawing]:
    if kind is Layout.VOC:
        return read_voc(folder, films, faults)
    if kind is Layout.YOLO:
        return read_yolo(folder, films, options, faults)
    return read_coco(folder, films, faults)


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
    said = name_says(path.name)
    return FilmTruth(
        name=shown(path, films.folder),
        path=path,
        patient=(said.id if said else None) or path.stem,
        limb=said.limb if said else None,
        laterality=said.side if said else None,
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
        # A size that only fits the film as it is displayed tells what the boxes were drawn on.
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


def _with_masks(found: list[FilmTruth], folder: Path, films: Films) -> list[FilmTruth]:
    masks = {path: films.named(_film_stem(path)) for path in walk(folder) if is_mask(path, folder)}
    by_film = {film: mask for mask, film in masks.items() if film is not None}
    known = {film.path for film in found}
    merged = [
        replace(film, mask=by_film[film.path]) if film.path in by_film else film for film in found
    ]
    return merged + [
        replace(bare_film(film, films), mask=mask)
        for film, mask in by_film.items()
        if film not in known
    ]


def _film_stem(mask: Path) -> str:
    stem = mask.stem
    return stem[: -len("_mask")] if stem.lower().endswith("_mask") else stem


def _strangers(found: list[FilmTruth], films: Films) -> list[Fault]:
    """Films of which nothing says what they show."""
    known = {film.path.stem.casefold() for film in found if film.path is not None}
    strangers = []
    for path in films.all:
        # A film of the same stem is told as a second one of its limb, not as a stranger.
        if path.stem.casefold() not in known:
            said = name_says(path.name)
            why = "nothing says what it shows"
            if said is None:
                why += ", and its name is not ID-LH, -RH, -LF or -RF"
            patient = said.id if said else None
            strangers.append(
                Fault(Code.FILM_WITHOUT_TRUTH, shown(path, films.folder), why, patient)
            )
    return strangers


def _names(film: FilmTruth) -> set[str]:
    base = film.name.rpartition("/")[2].casefold()
    return {film.name.casefold(), base, base.rpartition(".")[0]}


def _excluded(fault: Fault, excluded: set[str]) -> bool:
    base = fault.where.rpartition("/")[2].partition(" ")[0].partition(":")[0].casefold()
    return bool(excluded & {base, base.rpartition(".")[0]})
