"""Compares an imported graph with inputs and outputs stored by the model's own framework.

Layer: export; reads one ``.npz`` file. Only this check compares an import with the framework that
trained the model: shapes, ranges and simulated images cannot show that a layer was read in another
way than it was trained.

The file holds ``input``, float32 as the network takes it, or ``pixels``, uint8 grey [n, H, W] that
pass through the recipe's scale, mean and std; and each output of the model under its name in the
recipe, or as ``output`` where there is only one. Images may be stored channels first or last.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.engine.inputs import scale_grey
from edge.engine.passport import Role
from export.errors import ContractError, WeightsError
from export.fp16.sibling import largest_differences
from export.onnx_graph.session import open_session, run_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    import onnx

    from edge.engine.passport import InputSpec
    from export.onnx_graph.builder import Array
    from export.recipe import Recipe

    AnyArray = npt.NDArray[Any]

_INPUTS = ("input", "pixels")
_STORE = (
    "store input (or pixels) and the outputs of the model with numpy.savez; see docs/engines.md, "
    '"A reference from your own framework"'
)


def check_pair(
    model: onnx.ModelProto, recipe: Recipe, spec: InputSpec, path: Path
) -> dict[str, float]:
    """Largest difference of each stored output from what ``model`` gives for the stored input.

    ``model`` is the graph before its outputs are brought to the engine's own form. Raises
    `WeightsError` for a file that cannot be used, `ContractError` where a difference is larger
    than the recipe's tolerance.
    """
    stored = _read(path)
    images = _images(stored, spec, path)
    found = _outputs(model, images)
    wanted = _wanted(stored, found, path)
    differences: dict[str, float] = {}
    for name, array in wanted.items():
        differences |= _differences(recipe, {name: found[name]}, {name: array})
    for name, value in differences.items():
        limit = recipe.tolerance.box_px if name.endswith("_px") else recipe.tolerance.probability
        # Written so that a difference that is not a number fails.
        if not value <= limit:
            raise ContractError(
                f"{name} differs by {value:.3g} from the stored output, allowed is {limit:.3g}",
                where=f"{recipe.name}, {path.name}",
                fix="check scale, mean, std, layout and bn_epsilon in the recipe; convert the "
                "model to .onnx in its own framework if a layer is read differently",
            )
    return {f"reference.{name}": value for name, value in differences.items()}


def _read(path: Path) -> dict[str, AnyArray]:
    try:
        # Opened here: numpy leaves the file open where the archive is damaged.
        with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"the reference is not a readable .npz file: {error}", where=str(path), fix=_STORE
        ) from error


def _images(stored: Mapping[str, AnyArray], spec: InputSpec, path: Path) -> Array:
    given = [name for name in _INPUTS if name in stored]
    if len(given) != 1:
        raise WeightsError(
            f"the reference holds {', '.join(sorted(stored)) or 'nothing'}; it needs one of "
            "input and pixels",
            where=str(path),
            fix=_STORE,
        )
    array = stored[given[0]]
    sides = (spec.channels, spec.height, spec.width)
    if given[0] == "pixels":
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[1:] != sides[1:]:
            raise _misshapen("pixels", array, f"uint8 [n, {sides[1]}, {sides[2]}]", path)
        images = scale_grey(array, spec.scale, spec.mean, spec.std)
    else:
        fitted = _fit(array, (len(array) if array.ndim else 0, *sides))
        if fitted is None or not np.issubdtype(array.dtype, np.floating):
            raise _misshapen("input", array, f"float32 [n, {sides[1]}, {sides[2]}, C]", path)
        images = np.ascontiguousarray(fitted, np.float32)
    if not len(images):
        raise _misshapen(given[0], array, "at least one image", path)
    return images


def _outputs(model: onnx.ModelProto, images: Array) -> dict[str, Array]:
    """Outputs for every image; engines other than scorers take one image a run."""
    session = open_session(model.SerializeToString())
    runs = [run_session(session, images[i : i + 1]) for i in range(len(images))]
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def _wanted(
    stored: Mapping[str, AnyArray], found: Mapping[str, Array], path: Path
) -> dict[str, Array]:
    names = [name for name in stored if name not in _INPUTS]
    if names == ["output"] and len(found) == 1:
        given = {next(iter(found)): stored["output"]}
    else:
        given = {name: stored[name] for name in names}
    if set(given) != set(found):
        raise WeightsError(
            f"the reference holds the outputs {', '.join(sorted(given)) or 'none'}; the model "
            f"gives {', '.join(sorted(found))}",
            where=str(path),
            fix=_STORE,
        )
    wanted: dict[str, Array] = {}
    for name, array in given.items():
        fitted = _fit(array, found[name].shape)
        if fitted is None or array.dtype.kind != "f":
            raise _misshapen(name, array, f"float32 {list(found[name].shape)}", path)
        wanted[name] = fitted.astype(np.float32)
    return wanted


def _differences(
    recipe: Recipe, found: Mapping[str, Array], wanted: Mapping[str, Array]
) -> dict[str, float]:
    if "boxes" in wanted or recipe.role is not Role.DETECT:
        differences = largest_differences(recipe.role, found, wanted)
    else:
        differences = largest_differences(Role.MASK, found, wanted)
    # Logits and raw heads are compared relative to their size.
    size = max(1.0, *(float(np.abs(array).max()) for array in wanted.values()))
    relative = recipe.meaning.values == "logit" or "boxes" not in wanted
    return {
        name: value / size if relative and not name.endswith("_px") else value
        for name, value in differences.items()
    }


def _fit(array: AnyArray, shape: tuple[int, ...]) -> AnyArray | None:
    """Return an array in ``shape``: as it is, turned from channels last, or with one channel."""
    if array.shape == shape:
        return array
    if array.ndim == 4:
        turned: AnyArray = array.transpose(0, 3, 1, 2)
        return turned if turned.shape == shape else None
    if len(shape) == 4 and array.ndim == 3 and (array.shape[0], 1, *array.shape[1:]) == shape:
        return array[:, None]
    return None


def _misshapen(name: str, array: AnyArray, wanted: str, path: Path) -> WeightsError:
    return WeightsError(
        f"the reference's {name} is {array.dtype} {list(array.shape)}, needed is {wanted}",
        where=str(path),
        fix=_STORE,
    )
