"""Darknet ``.cfg`` text to typed layers with known shapes.

Layer: export; pure functions over text; `export.importers.darknet.sections` reads the text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.errors import CfgError, LayerError
from export.importers.darknet.keys import check_keys
from export.importers.darknet.sections import EDIT, Section, read_sections

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, int, int]
"""Channels, height, width."""

ACTIVATIONS = ("linear", "leaky", "relu", "mish", "swish", "logistic")


@dataclass(frozen=True)
class Convolution:
    """``[convolutional]``; ``ordinal`` counts the convolutions from 0. ``pad`` in px each side."""

    section: Section
    inputs: Shape
    shape: Shape
    ordinal: int
    size: int
    stride: tuple[int, int]
    pad: int
    groups: int
    dilation: int
    batch_normalize: bool
    activation: str

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """[out, in / groups, size, size]."""
        return (self.shape[0], self.inputs[0] // self.groups, self.size, self.size)


@dataclass(frozen=True)
class Shortcut:
    """``[shortcut]``: the layer before plus each of ``sources`` (layer numbers)."""

    section: Section
    shape: Shape
    sources: tuple[int, ...]
    activation: str


@dataclass(frozen=True)
class Route:
    """``[route]``: part ``group_id`` of ``groups`` of each source, joined."""

    section: Section
    shape: Shape
    sources: tuple[int, ...]
    groups: int
    group_id: int


@dataclass(frozen=True)
class MaxPool:
    """``[maxpool]``; ``pads`` top, left, bottom, right in px."""

    section: Section
    shape: Shape
    size: int
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True)
class Upsample:
    """``[upsample]``: every pixel ``stride`` times."""

    section: Section
    shape: Shape
    stride: int


@dataclass(frozen=True)
class Dropout:
    """``[dropout]``: nothing at run time."""

    section: Section
    shape: Shape


@dataclass(frozen=True)
class Yolo:
    """``[yolo]``: one head. ``anchors`` (w, h) in px of the input, already picked by ``mask``."""

    section: Section
    shape: Shape
    anchors: tuple[tuple[float, float], ...]
    classes: int
    scale_x_y: float
    new_coords: bool


Layer = Convolution | Shortcut | Route | MaxPool | Upsample | Dropout | Yolo


@dataclass(frozen=True)
class Network:
    """A parsed ``.cfg``: input (channels, height, width) and its layers."""

    input: Shape
    layers: tuple[Layer, ...]

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """The layers that hold weights, in file order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution))

    @property
    def heads(self) -> tuple[Yolo, ...]:
        """The ``[yolo]`` layers, in file order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Yolo))


def parse_cfg(
    text: str, *, size: tuple[int, int] | None = None, channels: int | None = None
) -> Network:
    """Typed layers with shapes from ``.cfg`` text.

    ``size`` (height, width) in px and ``channels`` replace those of ``[net]``.
    Raises `CfgError` or `LayerError`, both naming the section and its line.
    """
    sections = read_sections(text)
    if not sections or sections[0].name not in ("net", "network"):
        raise CfgError(
            "the first section is not [net]",
            where=f"line {sections[0].line if sections else 1}",
            fix="give a Darknet .cfg; are .cfg and .weights swapped?",
        )
    net = sections[0]
    check_keys(net)
    height, width = size or (net.integer("height"), net.integer("width"))
    depth = channels or net.integer("channels")
    if min(height, width, depth) < 1:
        raise net.error(
            f"input {depth} x {height} x {width} (channels, height, width) is empty",
            "set channels, height and width in [net]",
        )
    parser = _Parser((depth, height, width))
    for section in sections[1:]:
        parser.add(section)
    if not parser.layers:
        raise net.error("the network has no layers", "give the full .cfg")
    return Network((depth, height, width), tuple(parser.layers))


class _Parser:
    """Holds the layers so far: each section needs the shapes before it."""

    def __init__(self, shape: Shape) -> None:
        self.input = shape
        self.layers: list[Layer] = []
        self._kinds: dict[str, Callable[[Section], Layer]] = {
            "convolutional": self._convolution,
            "conv": self._convolution,
            "shortcut": self._shortcut,
            "route": self._route,
            "maxpool": self._maxpool,
            "max": self._maxpool,
            "upsample": self._upsample,
            "dropout": self._dropout,
            "yolo": self._yolo,
        }

    def add(self, section: Section) -> None:
        kind = self._kinds.get(section.name)
        if kind is None:
            raise LayerError(
                f"the layer kind [{section.name}] is not known",
                where=section.where,
                fix="known are convolutional, shortcut, route, maxpool, upsample, dropout and "
                "yolo; convert other networks to .onnx elsewhere",
            )
        check_keys(section)
        # They change which arrays the weights file holds.
        section.refuse("dontload", "dontloadscales", "dontsave")
        follows_head = bool(self.layers) and isinstance(self.layers[-1], Yolo)
        if follows_head and section.name not in ("route", "yolo"):
            raise section.error(
                "a layer cannot read the output of a [yolo] layer",
                "put a [route] between them",
            )
        self.layers.append(kind(section))

    def _before(self) -> Shape:
        return self.layers[-1].shape if self.layers else self.input

    def _sources(self, section: Section, key: str) -> tuple[int, ...]:
        sources: list[int] = []
        for number in section.integers(key):
            absolute = number if number >= 0 else section.index + number
            if not 0 <= absolute < section.index:
                raise section.error(
                    f"{key} names layer {number}, which is not one of the {section.index} before",
                    "count layers from 0 after [net], or backwards with -1",
                )
            if isinstance(self.layers[absolute], Yolo):
                raise section.error(
                    f"{key} names layer {absolute}, a [yolo] layer", "name a layer before the head"
                )
            sources.append(absolute)
        return tuple(sources)

    def _activation(self, section: Section, default: str) -> str:
        name = section.word("activation", default)
        if name not in ACTIVATIONS:
            raise LayerError(
                f"the activation {name} is not known",
                where=section.where,
                fix=f"known are {', '.join(ACTIVATIONS)}",
            )
        return name

    def _convolution(self, section: Section) -> Convolution:
        section.refuse(
            "binary", "xnor", "flipped", "antialiasing", "assisted_excitation", "deform", "sway",
            "rotate", "stretch", "stretch_sway", "reverse", "bin_output", "use_bin_output",
        )  # fmt: skip
        section.refuse_set("share_index")
        depth, height, width = self._before()
        filters = section.integer("filters", 1)
        size = section.integer("size", 1)
        groups = section.integer("groups", 1)
        dilation = section.integer("dilation", 1)
        stride = section.integer("stride", 1)
        strides = (section.integer("stride_y", stride), section.integer("stride_x", stride))
        pad = section.integer("padding", 0)
        if section.integer("pad", 0):
            pad = size // 2
        if min(filters, size, groups, dilation, *strides) < 1 or pad < 0:
            raise section.error("a size, stride, count or padding is not positive", EDIT)
        if depth % groups or filters % groups:
            raise section.error(
                f"{depth} channels in and {filters} out cannot be split into {groups} groups",
                "make both multiples of groups",
            )
        high = (height + 2 * pad - size) // strides[0] + 1
        wide = (width + 2 * pad - size) // strides[1] + 1
        self._check_size(section, high, wide)
        return Convolution(
            section=section,
            inputs=(depth, height, width),
            shape=(filters, high, wide),
            ordinal=sum(isinstance(layer, Convolution) for layer in self.layers),
            size=size,
            stride=strides,
            pad=pad,
            groups=groups,
            dilation=dilation,
            batch_normalize=bool(section.integer("batch_normalize", 0)),
            activation=self._activation(section, "logistic"),
        )

    def _shortcut(self, section: Section) -> Shortcut:
        section.refuse("weights_type", "assisted_excitation")
        for key in ("alpha", "beta"):
            if section.number(key, 1) != 1:
                section.refuse_set(key)
        if not self.layers:
            raise section.error("there is no layer before it", EDIT)
        shape = self._before()
        sources = self._sources(section, "from")
        for source in sources:
            other = self.layers[source].shape
            if other[1:] != shape[1:]:
                raise section.error(
                    f"layer {source} is {other[2]} x {other[1]} px, the layer before is "
                    f"{shape[2]} x {shape[1]}",
                    "correct from=, or the strides on the way",
                )
        return Shortcut(section, shape, sources, self._activation(section, "linear"))

    def _route(self, section: Section) -> Route:
        section.refuse("stream")
        sources = self._sources(section, "layers")
        groups = section.integer("groups", 1)
        group_id = section.integer("group_id", 0)
        shapes = [self.layers[source].shape for source in sources]
        if len({shape[1:] for shape in shapes}) > 1:
            sizes = ", ".join(f"{s}: {x[2]} x {x[1]}" for s, x in zip(sources, shapes, strict=True))
            raise section.error(
                f"the layers it joins differ in size (px): {sizes}",
                "use an input size that is a multiple of 32, or correct layers=",
            )
        if groups < 1 or not 0 <= group_id < groups or any(s[0] % groups for s in shapes):
            raise section.error(
                f"group {group_id} of {groups} cannot be cut from "
                f"{', '.join(str(s[0]) for s in shapes)} channels",
                "correct groups and group_id",
            )
        depth = sum(shape[0] // groups for shape in shapes)
        return Route(section, (depth, *shapes[0][1:]), sources, groups, group_id)

    def _maxpool(self, section: Section) -> MaxPool:
        section.refuse("maxpool_depth", "antialiasing")
        depth, height, width = self._before()
        stride = section.integer("stride", 1)
        strides = (section.integer("stride_y", stride), section.integer("stride_x", stride))
        size = section.integer("size", stride)
        padding = section.integer("padding", size - 1)
        before = padding // 2
        if min(size, *strides) < 1 or not 0 <= padding - before < size:
            raise section.error("size, stride and padding do not fit each other", EDIT)
        high = (height + padding - size) // strides[0] + 1
        wide = (width + padding - size) // strides[1] + 1
        self._check_size(section, high, wide)
        pads = (before, before, padding - before, padding - before)
        return MaxPool(section, (depth, high, wide), size, strides, pads)

    def _upsample(self, section: Section) -> Upsample:
        if section.number("scale", 1) != 1:
            section.refuse_set("scale")
        stride = section.integer("stride", 2)
        if stride < 1:
            raise LayerError(
                f"stride={stride} shrinks", where=section.where, fix="use [maxpool] to shrink"
            )
        depth, height, width = self._before()
        return Upsample(section, (depth, height * stride, width * stride), stride)

    def _dropout(self, section: Section) -> Dropout:
        return Dropout(section, self._before())

    def _yolo(self, section: Section) -> Yolo:
        shape = self._before()
        pairs = section.numbers("anchors")
        anchors = tuple(zip(pairs[::2], pairs[1::2], strict=False))
        mask = section.integers("mask") if "mask" in section.values else tuple(range(len(anchors)))
        classes = section.integer("classes", 20)
        if len(pairs) % 2 or any(not 0 <= m < len(anchors) for m in mask):
            raise section.error(
                f"mask {mask} does not fit the {len(pairs)} numbers of anchors",
                "give a width and a height for every anchor that mask names",
            )
        if not all(math.isfinite(side) and side > 0 for side in pairs):
            raise section.error(
                f"an anchor has a side of {min(pairs):g} px",
                "give a width and a height over 0 for every anchor",
            )
        count = section.integer("num", len(anchors))
        if count != len(anchors) or not mask or len(set(mask)) != len(mask) or classes < 1:
            raise section.error(
                f"num={count}, {len(anchors)} anchors, mask {mask} and {classes} classes do not "
                "fit each other",
                "set num to the number of anchors and name each anchor once in mask",
            )
        scale_x_y = section.number("scale_x_y", 1.0)
        if not scale_x_y > 0:
            raise section.error(f"scale_x_y={scale_x_y:g} is not over 0", EDIT)
        expected = len(mask) * (5 + classes)
        if shape[0] != expected:
            feeding = self.layers[-1].section.where if self.layers else "the input"
            raise section.error(
                f"{feeding} gives {shape[0]} channels; {len(mask)} anchors of {classes} classes "
                f"need {expected}",
                f"set filters={expected} in the convolution before it, or correct classes=",
            )
        return Yolo(
            section=section,
            shape=shape,
            anchors=tuple(anchors[m] for m in mask),
            classes=classes,
            scale_x_y=scale_x_y,
            new_coords=bool(section.integer("new_coords", 0)),
        )

    def _check_size(self, section: Section, height: int, width: int) -> None:
        if min(height, width) < 1:
            raise section.error(
                f"nothing is left: {width} x {height} px", "use a larger input size"
            )
