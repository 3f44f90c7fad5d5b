"""Turns a model's outputs into the engine's own form, as the recipe's ``[meaning]`` declares.

Layer: export; pure functions over ONNX models. Shapes say nothing about meaning: a softmax over six
grades, six logits and six ordinal probabilities are all [n, 6]. `export.verification.probe` tests
that the outputs are what the recipe declares.

The engine's own form, by role:

- score: ``erosion`` and ``narrowing`` [n, grades]; value k is the probability of "at least grade
  k", so value 0 is near 1 and the values fall from left to right.
- mask: ``mask`` [1, 1, H, W], the probability that a pixel is limb.
- detect: ``boxes`` [1, N, 5 + classes], rows of centre x, centre y, width, height in px of the
  input, then objectness and class probabilities 0..1, not multiplied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge.engine.passport import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from export.recipe import Recipe

    Step = Callable[["_Tail", str, str], str]


def to_engine_form(model: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """Append to a model that fits its contract what the recipe's ``[meaning]`` asks for.

    A model whose outputs have the engine's own form already is returned as it is.
    """
    meaning = recipe.meaning
    steps: list[Step] = []
    if meaning.values == "logit":
        steps.append(_box_scores if recipe.role is Role.DETECT else _probabilities(meaning.grades))
    if meaning.grades == "each":
        steps.append(_at_least)
    if meaning.boxes == "share":
        steps.append(_pixels(recipe.input.height, recipe.input.width))
    if not steps:
        return model
    work = onnx.ModelProto()
    work.CopyFrom(model)
    tail = _Tail(work.graph)
    for output in work.graph.output:
        x = tail.take(output.name)
        for step in steps:
            x = step(tail, x, output.name)
        tail.node("Identity", (x,), output.name)
    onnx.checker.check_model(work, full_check=True)
    return work


def _probabilities(grades: str) -> Step:
    if grades == "each":
        return lambda tail, x, name: tail.node("Softmax", (x,), f"{name}//softmax", axis=1)
    return lambda tail, x, name: tail.node("Sigmoid", (x,), f"{name}//sigmoid")


def _box_scores(tail: _Tail, x: str, name: str) -> str:
    """Turn objectness and classes, columns 4 and on, into probabilities."""
    first = tail.constant(f"{name}//first", np.array([4], np.int64))
    last = tail.constant(f"{name}//last", np.array([np.iinfo(np.int64).max], np.int64))
    axis = tail.constant(f"{name}//axis", np.array([2], np.int64))
    start = tail.constant(f"{name}//start", np.array([0], np.int64))
    places = tail.node("Slice", (x, start, first, axis), f"{name}//places")
    scores = tail.node("Slice", (x, first, last, axis), f"{name}//logits")
    scores = tail.node("Sigmoid", (scores,), f"{name}//scores")
    return tail.node("Concat", (places, scores), f"{name}//rows", axis=2)


def _at_least(tail: _Tail, x: str, name: str) -> str:
    """Turn the probability of each grade [n, K] into that of "at least grade k": sums from k on.

    Products and sums, not a matrix product: what follows the last layer with weights stays FP32.
    """
    count = tail.sides(name)[1]
    upper = np.triu(np.ones((1, count, count), np.float32))
    middle = tail.constant(f"{name}//middle", np.array([1], np.int64))
    end = tail.constant(f"{name}//end", np.array([2], np.int64))
    x = tail.node("Unsqueeze", (x, middle), f"{name}//column")
    x = tail.node("Mul", (x, tail.constant(f"{name}//upper", upper)), f"{name}//terms")
    x = tail.node("ReduceSum", (x, end), f"{name}//sums", keepdims=0)
    low = tail.constant(f"{name}//low", np.array(0, np.float32))
    high = tail.constant(f"{name}//high", np.array(1, np.float32))
    return tail.node("Clip", (x, low, high), f"{name}//at_least")


def _pixels(height: int, width: int) -> Step:
    def scale(tail: _Tail, x: str, name: str) -> str:
        factors = np.ones((1, 1, tail.sides(name)[2]), np.float32)
        factors[..., :4] = (width, height, width, height)
        return tail.node("Mul", (x, tail.constant(f"{name}//side", factors)), f"{name}//px")

    return scale


class _Tail:
    """Appends nodes behind the outputs of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph

    def take(self, output: str) -> str:
        """Free an output's name for the tensor that comes last; return the tensor's new name."""
        given = f"{output}//given"
        for node in self._graph.node:
            if node.name == output:
                node.name = given
            for names in (node.input, node.output):
                for at, name in enumerate(names):
                    names[at] = given if name == output else name
        return given

    def sides(self, output: str) -> list[int]:
        """Sides of an output; 0 marks the free batch."""
        value = next(item for item in self._graph.output if item.name == output)
        return [side.dim_value for side in value.type.tensor_type.shape.dim]

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add a constant."""
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node whose only output, and whose own name, is ``name``."""
        self._graph.node.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name
