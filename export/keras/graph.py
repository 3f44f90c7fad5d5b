"""A saved Keras model to an ONNX graph.

Room: export. Pure functions. Keras keeps channels last; the graph is NCHW throughout, and what
depends on the order (Flatten, axes) is turned back where it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.errors import ContractError, LayerError
from export.fold import fold_batch_norms
from export.graph import GraphBuilder
from export.keras.layers import LAYERS, Call, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

    from export.keras.model import KerasLayer, KerasModel, Key
    from export.keras.weights import SavedModel


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
    model = saved.model
    if len(model.inputs) != 1:
        raise ContractError(
            f"the model has {len(model.inputs)} inputs",
            where=f"model {model.name}",
            mend="save a model with one image input",
        )
    channels, height, width = _input_shape(model, size)
    image = Tensor(
        graph.input("image", (batch, channels, height, width)), (channels, height, width)
    )
    results = dict(
        zip([key[0] for key in model.outputs], _Walk(graph, saved).run(model, [image]), strict=True)
    )
    for name, layer in (outputs or {name: name for name in results}).items():
        if layer not in results:
            raise ContractError(
                f"there is no output layer {layer}; there are {', '.join(results)}",
                where=f"model {model.name}",
                mend="correct outputs in the recipe",
            )
        graph.output(results[layer].name, name, (batch, *results[layer].shape))


def _input_shape(model: KerasModel, size: tuple[int, int] | None) -> tuple[int, int, int]:
    layer = model.layer(model.inputs[0][0])
    shape: Any = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
    where = f"layer {layer.name} [{layer.kind}]"
    if shape is None or len(shape) != 4 or shape[3] is None:
        raise ContractError(
            f"the input has shape {shape}, not [batch, height, width, channels]",
            where=where,
            mend="save a model that takes images, channels last",
        )
    sides: list[int] = []
    for axis, (side, given) in enumerate(zip(shape[1:3], size or shape[1:3], strict=True), 1):
        if side is not None and side != given:
            raise ContractError(
                f"axis {axis} is {side}, the recipe states {given}",
                where=where,
                mend="make input.height and input.width those of the model",
            )
        if given is None:
            raise ContractError(
                f"axis {axis} has no fixed size", where=where, mend="state the size of the input"
            )
        sides.append(int(given))
    return int(shape[3]), sides[0], sides[1]


class _Walk:
    """Evaluates one model: every call of every layer becomes nodes, on demand."""

    def __init__(self, graph: GraphBuilder, saved: SavedModel) -> None:
        self._graph = graph
        self._saved = saved

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
                    mend="save the whole model again",
                )
            needed = [k for k in layer.calls[number] if k not in tensors]
            if needed:
                if len(waiting) > sum(len(item.calls) for item in model.layers) * len(model.layers):
                    raise LayerError(
                        "the layers form a circle",
                        where=_where((*path, layer)),
                        mend="save the whole model again",
                    )
                waiting.extend(needed)
                continue
            inputs = [tensors[k] for k in layer.calls[number]]
            for index, result in enumerate(self._apply(layer, inputs, path)):
                tensors[(key[0], key[1], index)] = result
            if key not in tensors:
                raise LayerError(
                    f"it has no output {key[2]}",
                    where=_where((*path, layer)),
                    mend="save the whole model again",
                )
        return [tensors[key] for key in model.outputs]

    def _apply(
        self, layer: KerasLayer, inputs: list[Tensor], path: tuple[KerasLayer, ...]
    ) -> list[Tensor]:
        here = (*path, layer)
        if layer.model is not None:
            return self.run(layer.model, inputs, here)
        if layer.kind not in LAYERS:
            raise LayerError(
                f"the layer kind {layer.kind} is not known",
                where=_where(here),
                mend="convert the model to .onnx elsewhere, or replace the layer; code stored in "
                "a model (Lambda) is never run",
            )
        call = Call(
            graph=self._graph,
            name="/".join(("layer", *(item.name for item in here))),
            where=_where(here),
            config=layer.config,
            inputs=tuple(inputs),
            array=lambda variable: self._saved.store.array(here, self._saved.model, variable),
            keras_major=int(self._saved.keras_version.split(".")[0]),
        )
        try:
            return [LAYERS[layer.kind](call)]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise LayerError(
                f"its settings are not understood: {error!r}",
                where=_where(here),
                mend="save the whole model again",
            ) from error


def _call_offsets(model: KerasModel) -> dict[str, int]:
    # Keras 2 counts the making of a nested model as its call 0, and does not store that call.
    highest: dict[str, int] = {}
    keys = [key for layer in model.layers for call in layer.calls for key in call]
    for name, number, _ in [*keys, *model.outputs]:
        highest[name] = max(highest.get(name, 0), number)
    return {
        layer.name: max(0, highest.get(layer.name, 0) + 1 - len(layer.calls))
        for layer in model.layers
        if layer.model is not None
    }


def _where(path: tuple[KerasLayer, ...]) -> str:
    return f"layer {'/'.join(layer.name for layer in path)} [{path[-1].kind}]"
