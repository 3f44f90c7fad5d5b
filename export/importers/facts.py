"""What the files of a model show of its recipe, and a guess of its role from its outputs.

Layer: export; pure functions over shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.engine.passport import Role
from export.importer_table import IMPORTERS
from export.importers.vgg import NARROWING_OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.importers.role_contract import Shape

DEFAULT_SIDE_PX = 416
"""Width and height where the model leaves them free."""
_HEADS = ("erosion", "narrowing")


def wanted_files() -> str:
    """Return which files ``export --init`` takes, as the fix of an error."""
    *kinds, last = (row.files for row in IMPORTERS.values() if row.facts)
    return f"give {', '.join(kinds)}, or {last}; for other frameworks export to .onnx first"


@dataclass(frozen=True)
class Facts:
    """What a model's files show: source lines, input sides in px (None: free) and outputs.

    ``outputs`` maps our name to the model's where they differ; ``classes`` is a detector's number
    of classes.
    """

    source: tuple[str, ...]
    channels: int
    height: int | None
    width: int | None
    layout: str
    role: Role
    outputs: Mapping[str, str]
    classes: int = 0
    scales_itself: bool = False


def guess_role(outputs: Mapping[str, Shape], size: tuple[int, int]) -> tuple[Role, dict[str, str]]:
    """Guess the role of a model from its output shapes and its input (H, W) in px.

    Returns the role, and our output names to the model's where they differ.
    """
    flat = [name for name, shape in outputs.items() if len(shape) == 2]
    if len(flat) == len(outputs) and len(flat) >= 2:
        # Narrowing has one value less than erosion of a hand, many less than that of a foot.
        flat.sort(key=lambda name: (outputs[name][1] == NARROWING_OUTPUTS, name))
        names = dict(zip(_HEADS, flat, strict=False))
        return Role.SCORE, {} if set(outputs) == set(_HEADS) else names
    name, shape = next(iter(outputs.items()))
    if len(outputs) == 1 and len(shape) == 4 and {1, *size} <= {*shape[1:]}:
        return Role.MASK, {}
    return Role.DETECT, {} if len(outputs) == 1 or "boxes" in outputs else {"boxes": name}


def guess_classes(role: Role, outputs: Mapping[str, Shape]) -> int:
    """Guess a detector's number of classes; 0 for other roles."""
    if role is not Role.DETECT:
        return 0
    shape = next(iter(outputs.values()))
    return max(1, (shape[-1] or 7) - 5) if len(shape) == 3 else 2
