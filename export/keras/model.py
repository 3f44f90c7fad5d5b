"""The structure of a saved Keras model: layers, calls and tensors, as its own JSON says.

Room: export. Pure functions over JSON values. Reads the Functional and Sequential forms of Keras 2
and Keras 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from export.errors import LayerError

Json = Any
Key = tuple[str, int, int]
"""A tensor: layer name, number of the call, number of the output."""

MODELS = ("Functional", "Model", "Sequential")


@dataclass(frozen=True)
class KerasLayer:
    """One layer. ``calls`` holds, a call, the tensors it was given; ``model`` a nested model."""

    name: str
    kind: str
    config: dict[str, Json]
    calls: tuple[tuple[Key, ...], ...]
    model: KerasModel | None = None


@dataclass(frozen=True)
class KerasModel:
    """Layers in the order of the file, with the tensors that enter and leave."""

    name: str
    layers: tuple[KerasLayer, ...]
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]

    def layer(self, name: str) -> KerasLayer:
        """Return a layer by name. Raises `LayerError` where the file names one it lacks."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise LayerError(
            f"the file refers to a layer {name} that it does not hold",
            where=f"model {self.name}",
            mend="save the whole model again with model.save(...)",
        )


def parse_model(value: dict[str, Json]) -> KerasModel:
    """Read ``{"class_name": ..., "config": ...}``. Raises `LayerError` naming the layer."""
    kind, config = value["class_name"], value["config"]
    if kind not in MODELS:
        raise LayerError(
            f"a model of class {kind} is not known",
            where="model",
            mend="save a Functional or Sequential model; a subclassed one holds no layer list",
        )
    if kind == "Sequential":
        return _sequential(config)
    if not isinstance(config, dict) or "layers" not in config:
        raise LayerError(
            "the model is subclassed and holds no layer list",
            where=f"model {value.get('name', kind)}",
            mend="rebuild it with the functional interface, load its weights and save it whole",
        )
    layers = tuple(_layer(entry, entry.get("inbound_nodes", [])) for entry in config["layers"])
    return KerasModel(
        config.get("name", "model"),
        layers,
        _keys(config["input_layers"]),
        _keys(config["output_layers"]),
    )


def _sequential(config: Json) -> KerasModel:
    entries = config if isinstance(config, list) else config["layers"]
    name = "sequential" if isinstance(config, list) else config.get("name", "sequential")
    layers: list[KerasLayer] = []
    if not entries or entries[0]["class_name"] != "InputLayer":
        first = entries[0]["config"] if entries else {}
        shape = first.get("batch_input_shape") or first.get("batch_shape")
        if shape is None and isinstance(config, dict):
            shape = config.get("build_input_shape")
        source = {"name": f"{name}_input", "batch_shape": shape}
        layers.append(KerasLayer(f"{name}_input", "InputLayer", source, ()))
    for entry in entries:
        layer = _layer(entry, [])
        given = ((layers[-1].name, 0, 0),) if layers else ()
        calls = () if layer.kind == "InputLayer" else (given,)
        layers.append(KerasLayer(layer.name, layer.kind, layer.config, calls, layer.model))
    return KerasModel(name, tuple(layers), ((layers[0].name, 0, 0),), ((layers[-1].name, 0, 0),))


def _layer(entry: dict[str, Json], nodes: list[Json]) -> KerasLayer:
    kind, config = entry["class_name"], entry["config"]
    nested = parse_model(entry) if kind in MODELS else None
    name = entry.get("name") or (nested.name if nested else config["name"])
    calls = tuple(tuple(_tensors(node)) for node in nodes)
    return KerasLayer(name, kind, config if isinstance(config, dict) else {}, calls, nested)


def _tensors(node: Json) -> Iterator[Key]:
    """Tensors of one call: Keras 3 nests them in args, Keras 2 lists [name, call, output, ...]."""
    if isinstance(node, dict):
        history = node.get("config", {}).get("keras_history") if "config" in node else None
        if history is not None:
            yield (history[0], history[1], history[2])
            return
        for value in node.values():
            yield from _tensors(value)
    elif _is_key(node):
        yield (node[0], node[1], node[2])
    elif isinstance(node, list):
        for value in node:
            yield from _tensors(value)


def _keys(value: Json) -> tuple[Key, ...]:
    return tuple(_tensors(value))


def _is_key(value: Json) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) >= 3
        and isinstance(value[0], str)
        and all(isinstance(number, int) for number in value[1:3])
    )
