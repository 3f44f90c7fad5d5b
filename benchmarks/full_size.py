"""Models of published sizes with random weights, for measuring time and memory only.

Layer: benchmarks; writes graphs and recipes into the folder it is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from edge.system.paths import engines_home
from export.importers.darknet import darknet_to_onnx, parse_cfg
from export.importers.darknet.weights import array_shapes
from export.importers.unet import BLOCKS, unet_shapes, unet_to_onnx
from export.importers.vgg import scorer_shapes, tasks, vgg_to_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    import onnx

    from export.onnx_graph.builder import Array

_QUARTER = 4
_HEAD = 21
_SCORER_SIDE_PX = 224
_SURE = 6.0
_MASK_SIZE = (512, 416)
_CLASSES = """
[[classes]]
name = "PIP"
meaning = "joint"
[[classes]]
name = "MCP"
meaning = "joint"
"""


def write_full_size(folder: Path, names: Collection[str] = ()) -> list[Path]:
    """Write ``full-*.onnx`` and their recipes; returns the recipes. ``names``: only these."""
    folder.mkdir(parents=True, exist_ok=True)
    recipes = []
    for name, (role, channels, size, make) in _MODELS.items():
        if names and name not in names:
            continue
        graph = folder / f"{name}.random.onnx"
        graph.write_bytes(make().SerializeToString())
        recipe = folder / f"{name}.toml"
        recipe.write_text(
            f'name = "{name}"\nrole = "{role}"\nlimb = "hand"\n'
            f'[source]\nkind = "onnx"\nfile = "{graph.name}"\n'
            f"[input]\nchannels = {channels}\nheight = {size[0]}\nwidth = {size[1]}\n"
            f"{_CLASSES if role == 'detect' else ''}",
            encoding="utf-8",
        )
        recipes.append(recipe)
    return recipes


def full_yolov3_cfg() -> str:
    """YOLOv3 at its published width: the quarter one with every channel count times four."""
    quarter = (engines_home() / "cfg" / "yolov3-quarter.cfg").read_text(encoding="utf-8")

    def widened(match: re.Match[str]) -> str:
        filters = int(match.group(1))
        return f"filters={filters if filters == _HEAD else _QUARTER * filters}"

    return re.sub(r"filters=(\d+)", widened, quarter)


def _yolov3(side: int) -> onnx.ModelProto:
    network = parse_cfg(full_yolov3_cfg(), size=(side, side))
    arrays = _random(array_shapes(network))
    heads = [name for name, array in arrays.items() if array.ndim == 4 and len(array) == _HEAD]
    # Boxes are the exponential of what these give.
    arrays |= {name: arrays[name] * np.float32(0.01) for name in heads}
    return darknet_to_onnx(network, arrays)


def _vgg16() -> onnx.ModelProto:
    arrays = _random(scorer_shapes(Limb.HAND))
    for task, _, _ in tasks(Limb.HAND):
        # Every joint has at least grade 0; export refuses a head whose first value says no.
        arrays[f"{task}.bn2.beta"][0] = _SURE
    return vgg_to_onnx(arrays, limb=Limb.HAND, side=_SCORER_SIDE_PX)


def _unet() -> onnx.ModelProto:
    widths = dict(zip(BLOCKS, ((8, 8), (16, 16), (32, 32), (16, 16), (8, 8)), strict=True))
    return unet_to_onnx(_random(unet_shapes(widths)), size=_MASK_SIZE)


def _random(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Arrays that keep activations small over 23 additions; normalisation does nothing."""
    random = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name.endswith((".gamma", ".var")):
            arrays[name] = np.ones(shape, np.float32)
        elif len(shape) == 1:
            arrays[name] = np.zeros(shape, np.float32)
        else:
            spread = 0.7 * np.sqrt(2 / np.prod(shape[1:]))
            arrays[name] = (random.standard_normal(shape, np.float32) * spread).astype(np.float32)
    return arrays


_MODELS: dict[str, tuple[str, int, tuple[int, int], Callable[[], onnx.ModelProto]]] = {
    "full-yolov3-416": ("detect", 1, (416, 416), lambda: _yolov3(416)),
    "full-yolov3-608": ("detect", 1, (608, 608), lambda: _yolov3(608)),
    "full-vgg16-224": ("score", 3, (_SCORER_SIDE_PX, _SCORER_SIDE_PX), _vgg16),
    "full-unet-512": ("mask", 1, _MASK_SIZE, _unet),
}
