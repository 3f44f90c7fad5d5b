"""Models of published sizes with random weights, for measuring time and memory only.

Layer: benchmarks; makes graphs in memory, or writes them with recipes into the folder it is given.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edge.anatomy import Limb
from edge.engine.backend_table import Precision
from edge.engine.passport import EngineFile, InputSpec, Passport, Role, VerifiedEngine
from edge.system.paths import engines_home
from export.importers.darknet import darknet_to_onnx, parse_cfg
from export.importers.darknet.weights import array_shapes
from export.importers.unet import BLOCKS, unet_shapes, unet_to_onnx
from export.importers.vgg import scorer_shapes, tasks, vgg_to_onnx
from export.int8.convert import to_int8
from export.int8.plan import plan_int8
from export.onnx_graph.builder import GraphBuilder
from export.onnx_graph.extremes import extremes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from export.onnx_graph.builder import Array

_QUARTER = 4
_HEAD = 21
_SCORER_SIDE_PX = 224
_SURE = 6.0
_MASK_SIZE = (512, 416)
_VGG19_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
_CLASSES = """
[[classes]]
name = "PIP"
meaning = "joint"
[[classes]]
name = "MCP"
meaning = "joint"
"""


def write_full_size(folder: Path) -> list[Path]:
    """Write ``full-*.onnx`` and their recipes; returns the recipes."""
    folder.mkdir(parents=True, exist_ok=True)
    recipes = []
    for name, (role, channels, size, make) in _MODELS.items():
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


def random_engine(name: str) -> VerifiedEngine:
    """The FP32 graph of one full-size network with a passport, in memory and not signed."""
    role, channels, (height, width), make = {**_MODELS, **_JETSON_MODELS}[name]
    model = make()
    data = model.SerializeToString(deterministic=True)
    passport = Passport(
        name=name,
        role=Role(role),
        limb=Limb.HAND,
        input=InputSpec(
            channels=channels,
            height=height,
            width=width,
            scale=1 / 255,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
        ),
        outputs={
            item.name: tuple(
                side.dim_value if side.HasField("dim_value") else None
                for side in item.type.tensor_type.shape.dim
            )
            for item in model.graph.output
        },
        engine=EngineFile(
            file=f"{name}.onnx", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)
        ),
        sources=(),
        build_key="random weights",
        versions={},
    )
    return VerifiedEngine(passport, data, Path(f"{name}.onnx"))


def computing_as(engine: VerifiedEngine, like: Mapping[str, Any]) -> VerifiedEngine:
    """A random FP32 network in the back end and precision of another engine's passport.

    In 8 bits the same stages stay FP32 as in ``like``; limits are taken over noise.
    """
    precision = Precision(like["engine"]["precision"])
    data = engine.data
    if precision is Precision.INT8:
        model = onnx.load_from_string(data)
        plan = plan_int8(model, int((like.get("rounded") or {}).get("float_stages", 0)))
        spec = engine.passport.input
        noise = np.random.default_rng(0).random(
            (1, spec.channels, spec.height, spec.width), np.float32
        )
        tensors = set(plan.tensors.values())
        limits = extremes_of(model, [noise], input_name=spec.name, tensors=tensors)
        data = to_int8(model, plan, limits).SerializeToString(deterministic=True)
    file = engine.passport.engine.model_copy(
        update={
            "precision": precision,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
        }
    )
    passport = engine.passport.model_copy(update={"backend": like["backend"], "engine": file})
    return VerifiedEngine(passport, data, engine.path)


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


def _vgg19() -> onnx.ModelProto:
    """The 16 convolutions of VGG-19, with two ordinal outputs instead of its dense layers."""
    graph = GraphBuilder("vgg19")
    x, depth = graph.input("image", ("n", 3, _SCORER_SIDE_PX, _SCORER_SIDE_PX)), 3
    for block, (repeats, channels) in enumerate(_VGG19_BLOCKS):
        for number in range(repeats):
            name = f"conv{block}.{number}"
            weight = _random({name: (channels, depth, 3, 3)})[name]
            x = graph.conv(x, name, weight, np.zeros(channels, np.float32), pads=(1, 1, 1, 1))
            x, depth = graph.node("Relu", (x,), f"{name}.relu"), channels
        x = graph.node("MaxPool", (x,), f"pool{block}", kernel_shape=[2, 2], strides=[2, 2])
    x = graph.node("GlobalAveragePool", (x,), "mean")
    x = graph.node("Flatten", (x,), "features", axis=1)
    for head, count in (("erosion", 6), ("narrowing", 5)):
        weight = _random({head: (count, depth)})[head]
        found = graph.gemm(x, f"{head}.dense", weight, np.zeros(count, np.float32))
        graph.output(graph.node("Sigmoid", (found,), f"{head}.out"), head, ("n", count))
    return graph.build()


def _unet(size: tuple[int, int]) -> onnx.ModelProto:
    widths = dict(zip(BLOCKS, ((8, 8), (16, 16), (32, 32), (16, 16), (8, 8)), strict=True))
    return unet_to_onnx(_random(unet_shapes(widths)), size=size)


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
    "full-unet-512": ("mask", 1, _MASK_SIZE, lambda: _unet(_MASK_SIZE)),
}
_JETSON_MODELS: dict[str, tuple[str, int, tuple[int, int], Callable[[], onnx.ModelProto]]] = {
    "VGG-19-224": ("score", 3, (_SCORER_SIDE_PX, _SCORER_SIDE_PX), _vgg19),
    "U-Net-256": ("mask", 1, (256, 256), lambda: _unet((256, 256))),
}
"""Named and sized as in NVIDIA's jetson_benchmarks; measured beside ours, part of no pipeline."""
PUBLISHED = {
    "YOLOv3-608": "full-yolov3-608",
    "VGG-19-224": "VGG-19-224",
    "VGG16-224": "full-vgg16-224",
    "U-Net-256": "U-Net-256",
    "U-Net-512x416": "full-unet-512",
}
"""Name as tables have it to the network's own name."""
