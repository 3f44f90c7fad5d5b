"""Checks over simulated images that a model's outputs mean what the recipe declares.

Layer: export; pure functions over models and arrays. Values that the declared form cannot give are
refused: a softmax read as ordinal heads, logits read as probabilities, shares of the image read as
px. See `export.importers.meaning` for the forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.engine.passport import Role
from export.calibration import FILMS
from export.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from export.onnx_graph.builder import Array
    from export.recipe import Recipe

_ROUNDING = 1e-3
"""A probability may leave 0..1, and a sum leave 1, by this much."""
_RISE = 0.25
"""Ordinal probabilities of trained heads rise by less than this from one grade to the next."""
_PASSING = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast"})
_LARGEST_SHARE = 2.0
"""Centres and sides of boxes that are shares of the image stay under this."""
_LEAST_REACH = 0.5
"""The centres of a detector's rows reach at least this share of the input's width and height."""


def check_meaning(
    model: onnx.ModelProto, recipe: Recipe, outputs: Sequence[Mapping[str, Array]]
) -> None:
    """Raise `ContractError` where outputs over simulated images are not what the recipe states.

    ``model`` fits its contract and is not yet in the engine's own form; ``outputs`` are what it
    gives, by name, for each of the inputs of `export.calibration.calibration_inputs`.
    """
    # The forms of these are known: the importer, or this package's training, makes the outputs.
    is_known = recipe.source.outputs_known
    for name in outputs[0]:
        arrays = [found[name] for found in outputs]
        check = _Check(recipe, name)
        check.finite(arrays)
        if is_known:
            continue
        if recipe.role is Role.SCORE:
            check.grades(np.concatenate(arrays), is_softmax=_ends_in_softmax(model, name))
        elif recipe.role is Role.MASK:
            check.mask(np.concatenate(arrays)[:, 0])
        else:
            check.boxes(np.concatenate([array[0] for array in arrays]))


class _Check:
    """The rules for one output; each raises `ContractError` with the cause and the fix."""

    def __init__(self, recipe: Recipe, name: str) -> None:
        self._recipe = recipe
        self._meaning = recipe.meaning
        self._where = f"{recipe.name}, output {name}"

    def finite(self, arrays: Sequence[Array]) -> None:
        if not all(np.isfinite(array).all() for array in arrays):
            raise self._error(
                "values are not finite over simulated images",
                "check scale, mean and std in the recipe, and the trained weights",
            )

    def grades(self, rows: Array, *, is_softmax: bool) -> None:
        of_each = self._meaning.grades == "each"
        if self._meaning.values == "logit":
            self._logits(rows)
            if not of_each:
                self._ordinal(_sigmoid(rows))
            return
        self._probabilities(rows)
        sums = rows.sum(axis=1)
        ones = bool((np.abs(sums - 1) <= _ROUNDING).all())
        if of_each and not ones:
            raise self._error(
                f"rows sum to {sums.min():.3g} .. {sums.max():.3g}, not to 1: these are not the "
                "probabilities of each grade",
                'remove grades = "each" from [meaning] for ordinal heads',
            )
        if of_each:
            return
        # An ordinal head that is sure of grade 0 in every probe has rows that sum to 1 too.
        undecided = bool((rows[:, 0] > 1 - 10 * _ROUNDING).all())
        if is_softmax or (ones and not undecided):
            raise self._error(
                "every row sums to 1: this is a softmax over the grades, not ordinal "
                'probabilities of "at least grade k"',
                'set grades = "each" in [meaning], or train ordinal heads (sigmoid)',
            )
        self._ordinal(rows)

    def mask(self, masks: Array) -> None:
        """Check ``masks`` [n, H, W]."""
        if self._meaning.values == "logit":
            self._logits(masks)
            masks = _sigmoid(masks)
        self._probabilities(masks)
        if all(_is_turned_over(mask) for mask in masks[:FILMS]):
            raise self._error(
                "the middle of every simulated film is near 0 and its border near 1: the mask "
                "marks the background",
                "export 1 - mask, so that 1 means limb",
            )

    def boxes(self, rows: Array) -> None:
        height, width = self._recipe.input.height, self._recipe.input.width
        if self._meaning.values == "logit":
            self._logits(rows[:, 4:])
        else:
            self._probabilities(rows[:, 4:], what="objectness and classes")
        if float(rows[:, 2:4].min()) < 0:
            raise self._error(
                "a width or height is negative: columns 0..3 are not centre x, centre y, width, "
                "height",
                "export the detector with decoded boxes, or state anchors for raw heads",
            )
        places = rows[:, :4]
        largest = float(np.abs(places).max())
        if self._meaning.boxes == "share":
            if largest > _LARGEST_SHARE:
                raise self._error(
                    f"boxes reach {largest:.4g}: these are not shares (0..1) of the image",
                    'set boxes = "px" in [meaning] for boxes in px of the input',
                )
            places = places * np.array([width, height, width, height], np.float32)
        elif largest <= _LARGEST_SHARE:
            raise self._error(
                f"boxes reach {largest:.4g} of {width} x {height} px: these are shares (0..1) of "
                "the image, not px",
                'set boxes = "share" in [meaning]',
            )
        self._reach(places, (width, height))

    def _reach(self, places: Array, size: tuple[int, int]) -> None:
        if bool((places[:, 2:] >= places[:, :2]).all()):
            raise self._error(
                "columns 2 and 3 are never less than columns 0 and 1: these are corners "
                "(left, top, right, bottom), not centre x, centre y, width, height",
                "export boxes as centre x, centre y, width, height",
            )
        for axis, side in enumerate(size):
            reached = float(places[:, axis].max())
            if reached < _LEAST_REACH * side:
                raise self._error(
                    f"centres reach {reached:.4g} of {side} px: these are cells of a grid, or px "
                    "of another input size",
                    "export boxes in px of the input",
                )

    def _probabilities(self, values: Array, what: str = "values") -> None:
        low, high = float(values.min()), float(values.max())
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            raise self._error(
                f"{what} lie in {low:.4g} .. {high:.4g}, probabilities lie in 0..1: these are "
                "logits, or another scale",
                'set values = "logit" in [meaning] for raw logits, or export the model with its '
                "last activation",
            )

    def _logits(self, values: Array) -> None:
        low, high = float(values.min()), float(values.max())
        if low >= -_ROUNDING and high <= 1 + _ROUNDING:
            raise self._error(
                f"values lie in {low:.4g} .. {high:.4g}: these are probabilities, not logits",
                'remove values = "logit" from [meaning]',
            )

    def _ordinal(self, rows: Array) -> None:
        if float(rows[:, 0].min()) < 0.5:
            raise self._error(
                f'the first value falls to {float(rows[:, 0].min()):.3g}; "at least grade 0" is '
                "always near 1: the values are of each grade, above each grade, or in reverse",
                'export ordinal heads, value k for "at least grade k"; set grades = "each" in '
                "[meaning] for a softmax",
            )
        rises = np.diff(rows, axis=1).max(axis=1)
        if float(np.median(rises)) > _RISE:
            raise self._error(
                f'values rise by {float(np.median(rises)):.3g} from one grade to the next; "at '
                'least grade k" never rises with k',
                'export ordinal heads; set grades = "each" in [meaning] for a softmax',
            )

    def _error(self, message: str, fix: str) -> ContractError:
        return ContractError(message, where=self._where, fix=fix)


def _is_turned_over(mask: Array) -> bool:
    height, width = mask.shape
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    middle = mask[height // 3 : -(height // 3), width // 3 : -(width // 3)]
    return bool(middle.mean() < 0.5 < border.mean())


def _ends_in_softmax(model: onnx.ModelProto, output: str) -> bool:
    producers = {name: node for node in model.graph.node for name in node.output}
    node = producers.get(output)
    while node is not None and node.op_type in _PASSING:
        node = producers.get(node.input[0])
    return node is not None and node.op_type == "Softmax"


def _sigmoid(values: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))), np.float32)
