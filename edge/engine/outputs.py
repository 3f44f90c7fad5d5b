"""Runs an engine and checks what it returns before anything is decided from it.

Layer: engine; arrays only. The pipeline calls every engine through `run_engine`, so that each
object with the engine protocol is checked, whatever its back end. A number that is not finite, or
outside the range of the engine's role, is an `OutputError`. An output that is constant is only a
suspicion: a blank film can give one. `suspects` collects these for the caller, which then decides
with `check_suspect` whether the engine or the film is the cause.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from edge.engine.inputs import input_size, to_inputs
from edge.engine.passport import Role
from edge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from edge.engine.protocol import Engine, Tensor

RANGE_TOLERANCE = 1e-3
"""A sigmoid that was computed in half precision may round to this much beyond 0 or 1."""
_BOX_SIDES = 4
_OBJECTNESS = 5
_FIX = "sharpedge export, then restart; sharpedge engines list shows what is installed"

_suspected: ContextVar[dict[str, tuple[Engine, Role]] | None] = ContextVar(
    "_suspected", default=None
)


def run_engine(engine: Engine, role: Role, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run ``engine`` once and check its outputs.

    Parameters
    ----------
    engine : Engine
        Any object with the engine protocol.
    role : Role
        What it is run for, which decides the range of its outputs.
    inputs : mapping of str to float32 array
        As `edge.engine.inputs.to_inputs` makes them, first side the batch.

    Returns
    -------
    dict of str to float32 array
        Finite arrays: probabilities [n, 1, H, W] (mask), rows [n, N, 5 + classes] (detect), or
        [n, K] for each head (score).

    Raises
    ------
    OutputError
        Where an output is missing, has another shape, holds a number that is not finite, or one
        outside [0, 1] where the role demands a probability.
    EngineError
        Where the engine fails while it runs.
    """
    outputs = engine.run(inputs)
    batch = len(next(iter(inputs.values())))
    if not outputs:
        raise _fault(engine, "it returned no output")
    for name, shape in _stated(engine, role).items():
        if name not in outputs:
            raise _fault(engine, f"output {name} is missing")
        if shape and not _fits(np.shape(outputs[name]), shape):
            raise _fault(engine, f"output {name} has the shape {list(np.shape(outputs[name]))}")
    for name, values in outputs.items():
        why = _why_unusable(role, np.asarray(values), batch)
        if why:
            raise _fault(engine, f"output {name} {why}")
    found = _suspected.get()
    if found is not None and _is_constant(role, outputs):
        found[engine.name] = (engine, role)
    return outputs


@contextmanager
def suspects() -> Iterator[dict[str, tuple[Engine, Role]]]:
    """Collect the engines, with their roles, that give a constant output inside the block."""
    found: dict[str, tuple[Engine, Role]] = {}
    token = _suspected.set(found)
    try:
        yield found
    finally:
        _suspected.reset(token)


def check_suspect(engine: Engine, role: Role, film: npt.NDArray[np.uint8]) -> None:
    """Run a suspected engine over a film that is known to be good.

    Parameters
    ----------
    engine, role
        One that `suspects` has collected.
    film : uint8 array [height, width]
        A film on which no engine of any role gives a constant output.

    Raises
    ------
    OutputError
        Where the output is constant on this film too.
    """
    height, width = input_size(engine)
    pictures = _tiles(film, (width, height)) if role is Role.SCORE else _whole(film, width, height)
    # Outside the collector: this run must not add to what it decides about.
    token = _suspected.set(None)
    try:
        outputs = run_engine(engine, role, to_inputs(engine, pictures))
    finally:
        _suspected.reset(token)
    if _is_constant(role, outputs):
        raise _fault(engine, "its output does not depend on its input")


def _fault(engine: Engine, why: str) -> OutputError:
    return OutputError(
        f"{engine.name}: {why}; no grade is given from it",
        engine=engine.name,
        fix=_FIX,
        sha256=engine.sha256,
    )


def _stated(engine: Engine, role: Role) -> dict[str, tuple[int | None, ...]]:
    """Output name to shape as the passport states them; a scorer always has both heads."""
    stated = cast("Mapping[str, Sequence[int | None]]", engine.passport.get("outputs") or {})
    heads = ("erosion", "narrowing") if role is Role.SCORE else ()
    return dict.fromkeys(heads, ()) | {name: tuple(stated[name]) for name in stated}


def _fits(found: tuple[int, ...], stated: tuple[int | None, ...]) -> bool:
    """Whether a shape is the stated one; the first side is the batch, None is free."""
    return len(found) == len(stated) and all(
        side in (None, size) for size, side in zip(found[1:], stated[1:], strict=True)
    )


def _why_unusable(role: Role, values: npt.NDArray[Any], batch: int) -> str:
    """Return what is wrong with one output; empty where it may be used.

    The comparisons are written so that a number that is not finite never passes one.
    """
    sides = {Role.MASK: 4, Role.DETECT: 3, Role.SCORE: 2}[role]
    if values.ndim != sides or len(values) != batch or values.size == 0:
        return f"has the shape {list(values.shape)} for a batch of {batch}"
    if not np.issubdtype(values.dtype, np.floating):
        return f"is {values.dtype}, not floating point"
    finite = np.isfinite(values)
    if not finite.all():
        return f"is not finite in {values.size - int(finite.sum())} of {values.size} numbers"
    if role is Role.DETECT:
        if values.shape[2] <= _OBJECTNESS:
            return f"has rows of {values.shape[2]} numbers, which hold no class"
        if not (values[..., 2:_BOX_SIDES] >= -RANGE_TOLERANCE).all():
            return "holds a box with a negative side"
        values = values[..., _BOX_SIDES:]
    low, high = float(values.min()), float(values.max())
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
        return f"lies in {low:.4g} .. {high:.4g}, not in 0 .. 1"
    return ""


def _is_constant(role: Role, outputs: Mapping[str, Tensor]) -> bool:
    """Whether an output does not depend on what was looked at.

    The same for every crop, or over every class of the only one; the same over the whole picture.
    """
    if role is Role.DETECT:
        rows = next(iter(outputs.values()))
        parts = [rows[..., :_BOX_SIDES], rows[..., _BOX_SIDES:]] if rows.shape[1] > 1 else []
        return any(_is_flat(part, 1) for part in parts)
    if role is Role.SCORE:
        return any(_is_flat(head, 0 if len(head) > 1 else 1) for head in outputs.values())
    return any(_is_flat(values, None) for values in outputs.values())


def _is_flat(values: Tensor, axis: int | None) -> bool:
    """Whether finite values are the same along an axis, or everywhere."""
    first = values.flat[0] if axis is None else values.take([0], axis)
    return not (values != first).any()


def _whole(film: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    small = cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)[None]


def _tiles(film: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Nine parts of a film: the crops of a scorer in kind, whatever limb it scores."""
    rows = [part for row in np.array_split(film, 3) for part in np.array_split(row, 3, axis=1)]
    scaled = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in rows]
    return np.asarray(scaled, np.uint8)
