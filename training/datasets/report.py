"""What ``sharpedge train data check`` prints: a text and a JSON object.

Layer: training.datasets; pure functions.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from edge.model import DISCLAIMER
from training.datasets.truth import Fault, grade_maximum

if TYPE_CHECKING:
    from training.datasets.check import Checked

MOST_LINES = 200
"""Faults that the text lists; the object lists them all."""


def as_object(checked: Checked) -> dict[str, Any]:
    """Everything found, for ``--json``."""
    dataset = checked.dataset
    return {
        "folder": dataset.folder.name,
        "layouts": [str(layout) for layout in dataset.layouts],
        "simulated": dataset.simulated,
        "films": len(dataset.films),
        "left_out": {film.name: film.left_out for film in dataset.films if film.left_out},
        "patients": len(dataset.patients),
        "grades": {
            f"{limb}_{kind}": {
                str(name): {str(grade): count[grade] for grade in sorted(count)}
                for name, count in classes.items()
            }
            for (limb, kind), classes in checked.counts.items()
        },
        "places": {
            str(limb): {str(name): n for name, n in count.items()}
            for limb, count in checked.boxes.items()
        },
        "masks": {str(limb): n for limb, n in checked.masks.items()},
        "shorter_side_px": {
            str(limb): [sizes[0], sizes[len(sizes) // 2], sizes[-1]]
            for limb, sizes in checked.resolution_px.items()
        },
        "faults": [
            {
                "code": str(fault.code),
                "stops": fault.stops,
                "patient": fault.patient,
                "where": fault.where,
                "message": fault.message,
            }
            for fault in checked.faults
        ],
        "trainable": checked.trainable,
        "notice": DISCLAIMER,
    }


def as_text(checked: Checked) -> str:
    """Text: what is there, then the faults by patient."""
    dataset = checked.dataset
    out = [film for film in dataset.films if film.left_out]
    how = " + ".join(dataset.layouts)
    films, patients = len(dataset.films), len(dataset.patients)
    if dataset.simulated:
        how += " (simulated: no patients)"
    lines = [f"{dataset.folder.name}: {films} films of {patients} patients, read as {how}"]
    if out:
        reasons = Counter(film.left_out for film in out)
        by_reason = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        lines.append(f"  left out by their own truth: {len(out)} ({by_reason})")
    for limb, sizes in checked.resolution_px.items():
        lines.append(
            f"  {limb}: shorter side {sizes[0]} to {sizes[-1]} px, median {sizes[len(sizes) // 2]}"
        )
    lines += _grades(checked)
    for limb, count in checked.boxes.items():
        if count:
            by_class = ", ".join(f"{n} {name}" for name, n in sorted(count.items()))
            lines.append(f"{limb} joints with a place: {by_class}")
    lines += [f"{limb} films with a mask: {n}" for limb, n in checked.masks.items() if n]
    lines += ["", *_faults(checked.faults)]
    wrong = sum(fault.stops for fault in checked.faults)
    lines.append(
        "fit to be trained on"
        if checked.trainable
        else f"NOT fit to be trained on: {wrong} faults (fix them, or name films in exclude = "
        "[...] of dataset.toml)"
    )
    return "\n".join(lines)


def _grades(checked: Checked) -> list[str]:
    lines: list[str] = []
    for (limb, kind), classes in checked.counts.items():
        top = grade_maximum(limb, limb.joints[-1], kind) or 0
        lines.append("")
        lines.append(f"{f'{limb} {kind}':16}" + "".join(f"{grade:>7}" for grade in range(top + 1)))
        rows = {str(name): count for name, count in sorted(classes.items())}
        rows["all"] = sum(classes.values(), Counter[int]())
        lines += [
            f"  {name:14}" + "".join(f"{count[grade]:>7}" for grade in range(top + 1))
            for name, count in rows.items()
        ]
    return [*lines, ""]


def _faults(faults: tuple[Fault, ...]) -> list[str]:
    lines: list[str] = []
    for title, stops in (("wrong", True), ("to be known", False)):
        mine = [fault for fault in faults if fault.stops is stops]
        if not mine:
            continue
        counts = Counter(str(fault.code) for fault in mine)
        lines.append(f"{title}: " + ", ".join(f"{n} {code}" for code, n in sorted(counts.items())))
        patient: str | None = ""
        for fault in mine[:MOST_LINES]:
            if fault.patient != patient:
                patient = fault.patient
                lines.append(f"  {f'patient {patient}' if patient else 'no patient'}")
            lines.append(f"    {fault.code}: {fault.where}: {fault.message}")
        if len(mine) > MOST_LINES:
            lines.append(f"    and {len(mine) - MOST_LINES} more: see --json")
    return lines
