"""A saved Keras model to an ONNX graph.

Layer: export; pure functions. Keras keeps channels last; the graph is NCHW throughout, and what
depends on the order (Flatten, axes) is transposed where it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.errors import ContractError, LayerError, WeightsError
from export.importers.keras.arrange import AUGMENTING
from export.importers.keras.call import Call, Tensor
from export.importers.keras.layers import LAYERS, MERGING
from export.importers.keras.operators import OPERATORS
from export.onnx_graph.builder import GraphBuilder
from export.onnx_graph.fold import fold_batch_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx

    from export.importers.keras.model import KerasCall, KerasLayer, KerasModel, Key
    from export.importers.keras.weights import SavedModel
    from export.onnx_graph.builder import Array


def keras_to_onnx(
    saved: SavedModel,
    *,
    outputs: Mapping[str, str] | None = None,
    size: tuple[int, int] | None = None,
    batch: int | str = 1,
) -> onnx.ModelProto:
    """Graph ``image`` [batch, C, H, W] -> the model's outputs, images as NCHW.

    ``outputs`` maps the graph's output names to names of the model's output layers; without it the
    layers' names stay. ``size`` (H, W) in px fixes sides that the model leaves free. Raises
    `LayerError`, `WeightsError` or `ContractError` naming the layer.
    """
    graph = GraphBuilder("keras")
    add_keras_model(graph, saved, outputs=outputs, size=size, batch=batch)
    return fold_batch_norms(graph.build())


def add_keras_model(
    graph: GraphBuilder,
    saved: SavedModel,
    *,
    outputs: Mapping[str, str] | None = None,
    size: tuple[int, int] | None = None,
    batch: int | str = 1,
) -> None:
    """Add a model to ``graph``; models that begin with the same layers share them."""
    try:
        _add(graph, saved, outputs, size, batch)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        # The file's JSON may hold any value at any place.
        raise LayerError(
            f"the model's description is not understood: {error!r}",
            where=f"model {saved.model.name}",
            fix="save the whole model again with model.save(...)",
        ) from error


def _add(
    graph: GraphBuilder,
    saved: SavedModel,
    outputs: Mapping[str, str] | None,
    size: tuple[int, int] | None,
    batch: int | str,
) -> None:
    model = saved.model
    if len(model.inputs) != 1:
        raise ContractError(
            f"the model has {len(model.inputs)} inputs",
            where=f"model {model.name}",
            fix="save a model with one image input",
        )
    channels, height, width = _input_shape(model, size)
    image = Tensor(
        graph.input("image", (batch, channels, height, width)), (channels, height, width)
    )
    walk = _Walk(graph, saved)
    results = dict(zip(output_names(model), walk.run(model, [image]), strict=True))
    _refuse_unread(saved, walk.called)
    for name, layer in (outputs or {name: name for name in results}).items():
        if layer not in results:
            raise ContractError(
                f"there is no output layer {layer}; there are {', '.join(results)}",
                where=f"model {model.name}",
                fix="correct outputs in the recipe",
            )
        graph.output(results[layer].name, name, (batch, *results[layer].shape))


def output_names(model: KerasModel) -> tuple[str, ...]:
    """Name of every output: its layer; ``layer:0``, ``layer:1`` where a layer gives several."""
    layers = [key[0] for key in model.outputs]
    return tuple(
        name if layers.count(name) == 1 else f"{name}:{layers[:number].count(name)}"
        for number, name in enumerate(layers)
    )


def _refuse_unread(saved: SavedModel, called: list[tuple[KerasLayer, ...]]) -> None:
    """Raise `WeightsError` where a called layer holds arrays that it has not read."""
    left = saved.store.unread(called, saved.model)
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        raise WeightsError(
            f"the file holds arrays that the layers do not read: {', '.join(left[:3])}{more}",
            where=f"model {saved.model.name}",
            fix="merge LoRA weights and save without quantisation, or convert the model to .onnx "
            "elsewhere",
        )


def _input_shape(model: KerasModel, size: tuple[int, int] | None) -> tuple[int, int, int]:
    layer = model.layer(model.inputs[0][0])
    shape: Any = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
    where = f"layer {layer.name} [{layer.kind}]"
    if shape is None or len(shape) != 4 or shape[3] is None:
        raise ContractError(
            f"the input has shape {shape}, not [batch, height, width, channels]",
            where=where,
            fix="save a model that takes images, channels last",
        )
    sides: list[int] = []
    for axis, (side, given) in enumerate(zip(shape[1:3], size or shape[1:3], strict=True), 1):
        if side is not None and side != given:
            raise ContractError(
                f"axis {axis} is {side}, the recipe states {given}",
                where=where,
                fix="make input.height and input.width those of the model",
            )
        if given is None:
            raise ContractError(
                f"axis {axis} has no fixed size", where=where, fix="state the size of the input"
            )
        sides.append(int(given))
    return int(shape[3]), sides[0], sides[1]


class _Walk:
    """Evaluates one model: every call of every layer becomes nodes, on demand."""

    def __init__(self, graph: GraphBuilder, saved: SavedModel) -> None:
        self._graph = graph
        self._saved = saved
        self.called: list[tuple[KerasLayer, ...]] = []
        self._keras_major = int(saved.keras_version.split(".")[0])

    def run(
        self, model: KerasModel, given: list[Tensor], path: tuple[KerasLayer, ...] = ()
    ) -> list[Tensor]:
        tensors: dict[Key, Tensor] = dict(zip(model.inputs, given, strict=True))
        offsets = _call_offsets(model)
        waiting = [key for key in model.outputs if key not in tensors]
        while waiting:
            key = waiting[-1]
            if key in tensors:
                waiting.pop()
                continue
            layer = model.layer(key[0])
            number = key[1] - offsets.get(layer.name, 0)
            if not 0 <= number < len(layer.calls):
                raise LayerError(
                    f"the file refers to call {key[1]} of {len(layer.calls)}",
                    where=_where((*path, layer)),
                    fix="save the whole model again",
                )
            call = layer.calls[number]
            needed = [k for k in call.keys if k not in tensors]
            if needed:
                if len(waiting) > sum(len(item.calls) for item in model.layers) * len(model.layers):
                    raise LayerError(
                        "the layers form a circle",
                        where=_where((*path, layer)),
                        fix="save the whole model again",
                    )
                waiting.extend(needed)
                continue
            arguments = [tensors[k] if isinstance(k, tuple) else k for k in call.arguments]
            for index, result in enumerate(self._apply(layer, call, arguments, path)):
                tensors[(key[0], key[1], index)] = result
            if key not in tensors:
                raise LayerError(
                    f"it has no output {key[2]}",
                    where=_where((*path, layer)),
                    fix="save the whole model again",
                )
        return [tensors[key] for key in model.outputs]

    def _apply(
        self,
        layer: KerasLayer,
        given: KerasCall,
        arguments: list[Tensor | Array],
        path: tuple[KerasLayer, ...],
    ) -> list[Tensor]:
        here = (*path, layer)
        where = _where(here)
        self.called.append(here)
        handler = _handler(layer, where) if layer.model is None else None
        _check_call(layer, given, where, self._keras_major)
        if layer.model is not None:
            inputs = [item for item in arguments if isinstance(item, Tensor)]
            if len(inputs) != len(layer.model.inputs):
                raise LayerError(
                    f"it is given {len(inputs)} tensors and has {len(layer.model.inputs)} inputs",
                    where=where,
                    fix="save the whole model again",
                )
            return self.run(layer.model, inputs, here)
        call = Call(
            graph=self._graph,
            name="/".join(("layer", *(item.name for item in here))),
            where=where,
            config=layer.config,
            arguments=tuple(arguments),
            array=lambda variable: self._saved.store.array(here, self._saved.model, variable),
            keras_major=self._keras_major,
        )
        try:
            return [handler(call)] if handler else []
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise LayerError(
                f"its settings are not understood: {error!r}",
                where=where,
                fix="save the whole model again",
            ) from error


def _handler(layer: KerasLayer, where: str) -> Callable[[Call], Tensor]:
    if not layer.is_operator and layer.kind in LAYERS:
        return LAYERS[layer.kind]
    if layer.is_operator and layer.kind in OPERATORS:
        handler, settings = OPERATORS[layer.kind]
        unknown = sorted(set(layer.config) - settings - {"name"})
        if unknown:
            raise LayerError(
                f"the operator {layer.kind} with {unknown[0]} is not known",
                where=where,
                fix="convert the model to .onnx elsewhere",
            )
        return handler
    raise LayerError(
        f"the {'operator' if layer.is_operator else 'layer kind'} {layer.kind} is not known",
        where=where,
        fix="convert the model to .onnx elsewhere, or replace the layer; code stored in a model "
        "(Lambda) is never run",
    )


def _check_call(layer: KerasLayer, call: KerasCall, where: str, keras_major: int) -> None:
    """Raise `LayerError` for whatever a call holds that would otherwise be ignored."""
    for key, value in call.settings.items():
        # Keras 3 stores training=True with each augmentation and overrides it when it predicts.
        augments = layer.kind in AUGMENTING and keras_major >= 3
        if key != "training" or (value and not augments):
            raise LayerError(
                f"it is called with {key}={value!r}, which is not known",
                where=where,
                fix="call the layer with tensors alone, or convert the model to .onnx elsewhere",
            )
    tensors = len(call.keys)
    if not layer.is_operator and len(call.arguments) != tensors:
        raise LayerError(
            "it is called with a constant; only operators are known with one",
            where=where,
            fix="convert the model to .onnx elsewhere",
        )
    if not layer.is_operator and layer.model is None and tensors != 1 and layer.kind not in MERGING:
        raise LayerError(
            f"it is called with {tensors} tensors, one is known",
            where=where,
            fix="convert the model to .onnx elsewhere",
        )
    policy = layer.config.get("dtype")
    altered = isinstance(policy, dict) and policy.get("class_name") not in (None, "DTypePolicy")
    if altered or layer.config.get("quantization_config"):
        raise LayerError(
            "it is quantised",
            where=where,
            fix="save the model as it was before quantize(), in float32",
        )
    if layer.config.get("lora_rank"):
        raise LayerError(
            "it has LoRA weights that are not merged",
            where=where,
            fix="set the layer's kernel to its merged kernel, disable LoRA, and save again",
        )


def _call_offsets(model: KerasModel) -> dict[str, int]:
    # Keras 2 counts the making of a nested model as its call 0, and does not store that call.
    highest: dict[str, int] = {}
    keys = [key for layer in model.layers for call in layer.calls for key in call.keys]
    for name, number, _ in [*keys, *model.outputs]:
        highest[name] = max(highest.get(name, 0), number)
    return {
        layer.name: max(0, highest.get(layer.name, 0) + 1 - len(layer.calls))
        for layer in model.layers
        if layer.model is not None
    }


def _where(path: tuple[KerasLayer, ...]) -> str:
    return f"layer {'/'.join(layer.name for layer in path)} [{path[-1].kind}]"
