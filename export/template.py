"""Writes a first recipe for a model file: what can be read from it, and what a person must check.

Room: export. Reads the model's files; `write_template` writes one recipe beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.anatomy import LIMBS
from edge.engine.passport import Role
from edge.model import Limb
from export.errors import RecipeError
from export.importers.darknet import parse_cfg
from export.importers.filekind import kind_of
from export.importers.keras import keras_to_onnx, read_keras
from export.importers.onnx_file import load_onnx
from export.importers.vgg import NARROWING_OUTPUTS
from export.verification.role_contract import shapes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from export.importers.keras import SavedModel
    from export.verification.role_contract import Shape

_HEADS = ("erosion", "narrowing")
_SCALING = frozenset({"Rescaling", "Normalization", "Subtract", "Multiply", "TrueDivide", "Divide"})
_FILES = (
    "give a Darknet .cfg and .weights, a Keras .keras or .h5, or an .onnx; for other frameworks "
    "export to .onnx first"
)


@dataclass(frozen=True)
class Facts:
    """What a model's files show: source lines, input sides (None: free) and outputs."""

    source: tuple[str, ...]
    channels: int
    height: int | None
    width: int | None
    layout: str
    role: Role
    outputs: Mapping[str, str]
    classes: int = 0
    scales_itself: bool = False


def write_template(files: Sequence[Path]) -> Path:
    """Write a recipe beside the first file and return its path.

    Raises `RecipeError` where the recipe is there already or the files are not understood,
    `ExportError` where a file cannot be read.
    """
    facts = _facts(files)
    path = files[0].with_suffix(".toml")
    if path.exists():
        raise RecipeError(
            "the recipe is there already", where=str(path), fix="remove it, or edit it"
        )
    name = files[0].name.lower()
    limb = Limb.FOOT if "foot" in name or "feet" in name else Limb.HAND
    path.write_text(render(facts, limb), encoding="utf-8")
    return path


def render(facts: Facts, limb: Limb) -> str:
    """Return the text of a recipe."""
    height, width = facts.height or 416, facts.width or 416
    free = "" if facts.height and facts.width else " # the model leaves its sides free: choose them"
    scale = "1.0" if facts.scales_itself else "0.00392156862745098"
    why = "the model scales pixels itself" if facts.scales_itself else "1 / 255, check this"
    rows = [
        "# Made by sharpedge export --init. Check every line against the training of the model;",
        "# docs/engines.md says what each engine is given and must give.",
        f'name = "{limb}-{facts.role}"',
        f'role = "{facts.role}" # mask, detect or score',
        f'limb = "{limb}" # hand or foot',
        "",
        "[source]",
        *facts.source,
    ]
    if facts.outputs:
        pairs = ", ".join(
            f"{ours} = {json.dumps(theirs)}" for ours, theirs in facts.outputs.items()
        )
        rows.append(f"outputs = {{ {pairs} }} # name here = name in the model")
    rows += [
        "",
        "[input] # value = (pixel * scale - mean) / std, pixel 0..255, bones bright",
        f'layout = "{facts.layout}"',
        f"channels = {facts.channels} # every channel holds the same grey",
        f"height = {height}{free}",
        f"width = {width}",
        f"scale = {scale} # {why}",
        "mean = [0.0]",
        "std = [1.0]",
    ]
    for number in range(facts.classes):
        name = str(LIMBS[limb].detector_classes[number % 2])
        rows += [
            "",
            "[[classes]] # in the order of the model's outputs",
            f'name = "{name}"',
            f'meaning = "class {number} of the model"',
        ]
    rows += _meaning(facts.role)
    rows += [
        "",
        "# [reference] # inputs and outputs of your own framework, which every import must meet",
        '# file = "reference.npz"',
        "",
    ]
    return "\n".join(rows)


def _meaning(role: Role) -> list[str]:
    choices = {
        Role.SCORE: '# grades = "at-least" # "each" for a softmax over the grades',
        Role.DETECT: '# boxes = "px" # "share" for boxes as shares of the sides',
        Role.MASK: "",
    }
    rows = ["", "# [meaning] # what the outputs mean; tested at import", choices[role]]
    return [row for row in rows if row or row is rows[0]] + [
        '# values = "probability" # "logit" where the model lacks its last activation'
    ]


def _facts(files: Sequence[Path]) -> Facts:
    endings = {path.suffix.lower(): path for path in files}
    if {".cfg", ".weights"} == set(endings):
        return _of_darknet(endings[".cfg"], endings[".weights"])
    if len(files) == 1:
        (path,) = files
        kind = kind_of(path)
        fits = kind.fits if kind is not None else ()
        if "keras" in fits:
            return _of_keras(path)
        if "onnx" in fits:
            return _of_onnx(path)
        if kind is not None:
            raise RecipeError(f"the file is {kind.name}", where=str(path), fix=kind.fix)
    names = ", ".join(path.name for path in files) or "no file"
    raise RecipeError(f"{names}: not files of one model", where="--init", fix=_FILES)


def _of_darknet(cfg: Path, weights: Path) -> Facts:
    network = parse_cfg(cfg.read_text(encoding="utf-8-sig", errors="replace"))
    if not network.heads:
        raise RecipeError(
            "the network has no [yolo] layer", where=str(cfg), fix="give a detector's .cfg"
        )
    source = (
        'kind = "darknet"',
        f"cfg = {json.dumps(cfg.name)}",
        f"weights = {json.dumps(weights.name)}",
        "bn_epsilon = 1e-06 # OpenCV's; 1e-05 for weights trained with AlexeyAB's Darknet",
    )
    channels, height, width = network.input
    classes = network.heads[0].classes
    return Facts(source, channels, height, width, "NCHW", Role.DETECT, {}, classes)


def _of_keras(path: Path) -> Facts:
    saved = read_keras(path)
    entry = saved.model.layer(saved.model.inputs[0][0])
    shape = entry.config.get("batch_shape") or entry.config.get("batch_input_shape") or [None] * 4
    height, width, channels = (*shape[1:], None, None, None)[:3]
    model = keras_to_onnx(saved, size=(height or 416, width or 416))
    outputs = shapes_of(list(model.graph.output))
    role, names = _role(outputs, (height or 416, width or 416))
    source = ('kind = "keras"', f"file = {json.dumps(path.name)}")
    return Facts(
        source,
        channels or 1,
        height,
        width,
        "NCHW",
        role,
        names,
        _classes(role, outputs),
        _scales_itself(saved),
    )


def _scales_itself(saved: SavedModel) -> bool:
    return any(layer.kind in _SCALING for layer in saved.model.layers[:4])


def _of_onnx(path: Path) -> Facts:
    model = load_onnx(path)
    stored = {item.name for item in model.graph.initializer}
    image = next(
        (shape for name, shape in shapes_of(list(model.graph.input)).items() if name not in stored),
        (),
    )
    if len(image) != 4:
        raise RecipeError(
            f"its input has {len(image)} axes, an image has 4", where=str(path), fix=_FILES
        )
    last = image[1] not in (1, 3) and image[3] in (1, 3)
    channels, height, width = (image[3], image[1], image[2]) if last else image[1:]
    outputs = shapes_of(list(model.graph.output))
    role, names = _role(outputs, (height or 416, width or 416))
    source = ('kind = "onnx"', f"file = {json.dumps(path.name)}")
    layout = "NHWC" if last else "NCHW"
    classes = _classes(role, outputs)
    return Facts(source, channels or 1, height, width, layout, role, names, classes)


def _role(outputs: Mapping[str, Shape], size: tuple[int, int]) -> tuple[Role, dict[str, str]]:
    """What a model seems to do, and its outputs by our names where they differ."""
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


def _classes(role: Role, outputs: Mapping[str, Shape]) -> int:
    if role is not Role.DETECT:
        return 0
    shape = next(iter(outputs.values()))
    return max(1, (shape[-1] or 7) - 5) if len(shape) == 3 else 2
