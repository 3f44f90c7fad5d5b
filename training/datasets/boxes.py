"""Boxes drawn by a person, from any program: the type, the labels, the bounds.

Layer: training.datasets; pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.anatomy import JointClass, Limb, joint_class
from training.datasets.truth import Code, Fault, JointTruth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.datasets.truth import FilmTruth

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom."""
SLACK_PX = 2.0
"""Most that a box may exceed the film: programs count from 0 or from 1, and round."""


@dataclass(frozen=True)
class DrawnBox:
    """One box with its label as written."""

    label: str
    corners: Corners
    where: str


@dataclass(frozen=True)
class Drawing:
    """The boxes of one film.

    ``size`` is (width, height) of the picture that they were drawn on, where the file says so;
    ``relative`` says that corners are shares of it, else they are pixels.
    """

    film: Path
    boxes: tuple[DrawnBox, ...]
    size: tuple[int, int] | None = None
    relative: bool = False
    where: str = ""


def limb_of(labels: Sequence[str]) -> Limb | None:
    """The limb that labels name: an MCP is a hand's, an MTP a foot's."""
    names = [label.strip().upper() for label in labels]
    hand = any(name.startswith("MCP") or name in Limb.HAND.joints[1:] for name in names)
    foot = any(name.startswith("MTP") for name in names)
    if hand == foot:
        return None
    return Limb.HAND if hand else Limb.FOOT


def read_label(label: str, limb: Limb) -> tuple[str | None, JointClass] | None:
    """Joint and class of a label: ``PIP3`` names a joint, ``PIP`` or ``IP`` only its class."""
    name = label.strip().upper()
    if name in limb.joints:
        return name, joint_class(name)
    kind = "PIP" if name == "IP" else name
    classes = {joint_class(joint).value for joint in limb.joints}
    return (None, JointClass(kind)) if kind in classes else None


def bounded(
    corners: Corners, size: tuple[int, int], where: str, patient: str, faults: list[Fault]
) -> tuple[float, float, float, float] | None:
    """X, y, width, height of a box inside a film; ``None`` with a fault for an impossible one."""
    left, top, right, bottom = corners
    width, height = size
    inside = (
        -SLACK_PX <= left < right <= width + SLACK_PX
        and -SLACK_PX <= top < bottom <= height + SLACK_PX
    )
    if not inside:
        shown = ", ".join(f"{value:g}" for value in corners)
        faults.append(
            Fault(
                Code.IMPOSSIBLE_BOX,
                where,
                f"left, top, right, bottom = {shown} on a film of {width} x {height} px",
                patient,
            )
        )
        return None
    left, top = max(left, 0.0), max(top, 0.0)
    return left, top, min(right, width) - left, min(bottom, height) - top


def with_boxes(film: FilmTruth, drawn: Sequence[JointTruth]) -> tuple[JointTruth, ...]:
    """Joints of a film with the boxes drawn on it: joined by name, else side by side."""
    named = {joint.name: joint for joint in drawn if joint.name is not None}
    merged = [
        JointTruth(
            name=joint.name,
            joint_class=joint.joint_class,
            box=named[joint.name].box,
            erosion=joint.erosion,
            narrowing=joint.narrowing,
        )
        if joint.name in named
        else joint
        for joint in film.joints
    ]
    known = {joint.name for joint in film.joints}
    return (*merged, *(joint for joint in drawn if joint.name is None or joint.name not in known))
