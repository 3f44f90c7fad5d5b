"""The structure of a saved Keras model: layers, calls and tensors, parsed from its JSON.

Layer: export; pure functions over JSON values; the Functional and Sequential forms of Keras 2 and
3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from export.errors import LayerError
from export.importers.keras.operators import TENSORFLOW

if TYPE_CHECKING:
    from export.onnx_graph.builder import Array

Json = Any
Key = tuple[str, int, int]
"""A tensor: layer name, number of the call, number of the output."""

MODELS = ("Functional", "Model", "Sequential")
_OPERATORS = ("keras.src.ops", "keras.ops")
_PACKAGES = ("keras", "tensorflow", "tf_keras")
_SAVE = "save the whole model again"
_OWN = (
    "replace it by a layer of Keras, or convert the model to .onnx elsewhere; code stored in a "
    "model is never run"
)


@dataclass(frozen=True)
class KerasCall:
    """One call: tensors and constants in order, and what was passed by name (None left out)."""

    arguments: tuple[Key | Array, ...] = ()
    settings: dict[str, Json] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The tensors among the arguments."""
        return tuple(item for item in self.arguments if isinstance(item, tuple))


@dataclass(frozen=True)
class KerasLayer:
    """One layer, with its calls in order; ``model`` is a nested model.

    ``is_operator``: it stands for an operator such as ``x - 1`` and its kind is in `operators`.
    """

    name: str
    kind: str
    config: dict[str, Json]
    calls: tuple[KerasCall, ...]
    model: KerasModel | None = None
    is_operator: bool = False


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
            fix="save the whole model again with model.save(...)",
        )


def parse_model(value: dict[str, Json], *, bare: bool = False) -> KerasModel:
    """Read ``{"class_name": ..., "config": ...}``. Raises `LayerError` naming the layer.

    ``bare``: the file is an ``.h5`` of Keras 3, which leaves modules out, so that an operator
    differs from the layer of its name only in what its config lacks.
    """
    kind, config = value["class_name"], value["config"]
    if kind not in MODELS:
        raise LayerError(
            f"a model of class {kind} is not known",
            where="model",
            fix="save a Functional or Sequential model; a subclassed one holds no layer list",
        )
    if kind == "Sequential":
        return _sequential(config, bare=bare)
    if not isinstance(config, dict) or "layers" not in config:
        raise LayerError(
            "the model is subclassed and holds no layer list",
            where=f"model {value.get('name', kind)}",
            fix="rebuild it with the functional interface, load its weights and save it whole",
        )
    layers = tuple(
        _layer(entry, entry.get("inbound_nodes", []), bare=bare) for entry in config["layers"]
    )
    return KerasModel(
        config.get("name", "model"),
        layers,
        _keys(config["input_layers"]),
        _keys(config["output_layers"]),
    )


def _sequential(config: Json, *, bare: bool) -> KerasModel:
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
        layer = _layer(entry, [], bare=bare)
        given = ((layers[-1].name, 0, 0),) if layers else ()
        calls = () if layer.kind == "InputLayer" else (KerasCall(given),)
        layers.append(replace(layer, calls=calls))
    return KerasModel(name, tuple(layers), ((layers[0].name, 0, 0),), ((layers[-1].name, 0, 0),))


def _layer(entry: dict[str, Json], nodes: list[Json], *, bare: bool) -> KerasLayer:
    kind, config = entry["class_name"], entry["config"]
    nested = parse_model(entry, bare=bare) if kind in MODELS else None
    name = entry.get("name") or (nested.name if nested else config["name"])
    config = config if isinstance(config, dict) else {}
    where = f"layer {name} [{kind}]"
    is_operator = _is_operator(entry, where)
    if bare and nested is None and kind != "InputLayer":
        is_operator = "trainable" not in config
    if kind == "TFOpLambda":
        function = str(config.get("function"))
        if function not in TENSORFLOW:
            raise LayerError(f"the function {function} is not known", where=where, fix=_OWN)
        kind, config, is_operator = TENSORFLOW[function], {}, True
    calls = tuple(_call(node, where) for node in nodes)
    return KerasLayer(name, kind, config, calls, nested, is_operator)


def _is_operator(entry: dict[str, Json], where: str) -> bool:
    """Whether an entry is an operator of Keras 3. Raises `LayerError` for a class of another's."""
    module = entry.get("module")
    names = (str(entry["class_name"]), str(entry.get("registered_name") or ""))
    package = str(module or "keras").split(".")[0]
    if package not in _PACKAGES or any(">" in name for name in names):
        raise LayerError(
            f"it is a class of its own ({module or names[1] or names[0]}), not a layer of Keras",
            where=where,
            fix=_OWN,
        )
    return str(module or "").startswith(_OPERATORS)


def _call(node: Json, where: str) -> KerasCall:
    """One entry of inbound_nodes, in the form of Keras 3 (args, kwargs) or of Keras 2."""
    if isinstance(node, dict):
        if set(node) - {"args", "kwargs"}:
            raise LayerError(f"a call holds {sorted(node)}", where=where, fix=_SAVE)
        arguments = tuple(_arguments(node.get("args", []), where))
        named = dict(node.get("kwargs") or {})
    else:
        places = [node] if _is_key(node) else list(_lists(node))
        arguments, named = (), {}
        for place in places:
            arguments += (
                (np.asarray(place[2], np.float32),)
                if place[0] == "_CONSTANT_VALUE"
                else (_key(place),)
            )
            named |= place[3] if len(place) > 3 else {}
        # The second operand of an operator of Keras 2.
        if named.get("y") is not None:
            arguments += tuple(_arguments([named.pop("y")], where))
    return KerasCall(arguments, {key: value for key, value in named.items() if value is not None})


def _arguments(value: Json, where: str) -> Iterator[Key | Array]:
    """Tensors and constants of one call, flattened. Raises `LayerError` for anything else."""
    if value is None:
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield np.asarray(value, np.float32)
    elif isinstance(value, dict) and "keras_history" in (value.get("config") or {}):
        yield _key(value["config"]["keras_history"])
    elif isinstance(value, dict) and value.get("class_name") in ("__tensor__", "__numpy__"):
        yield np.asarray(value["config"]["value"], np.float32)
    elif _is_key(value):
        yield _key(value)
    elif isinstance(value, list):
        for item in value:
            yield from _arguments(item, where)
    else:
        kind = value.get("class_name") if isinstance(value, dict) else value
        raise LayerError(f"it is called with {kind!r}, which is not known", where=where, fix=_OWN)


def _lists(node: Json) -> Iterator[list[Json]]:
    """The [name, call, output, ...] lists of one call of Keras 2, as deeply as they are nested."""
    for item in node if isinstance(node, list) else node.values() if isinstance(node, dict) else []:
        if _is_key(item):
            yield item
        else:
            yield from _lists(item)


def _key(value: Sequence[Json]) -> Key:
    return (value[0], value[1], value[2])


def _keys(value: Json) -> tuple[Key, ...]:
    return (_key(value),) if _is_key(value) else tuple(_key(place) for place in _lists(value))


def _is_key(value: Json) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) >= 3
        and isinstance(value[0], str)
        and (value[0] == "_CONSTANT_VALUE" or all(isinstance(n, int) for n in value[1:3]))
    )
