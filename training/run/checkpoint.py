"""Checkpoints of a run, replaced atomically and read back with ``weights_only``.

Layer: training.run; one file a run, replaced whole.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import torch

from edge.system.files import whole_file
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def save_checkpoint(path: Path, parts: Mapping[str, Any], seen: int, spent_s: float) -> None:
    """Write the state of each part (anything with ``state_dict``), then replace the file."""
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
    state.update(seen=seen, spent_s=spent_s)
    with whole_file(path, durable=True) as file:
        torch.save(state, file)
    # What a run that was killed has left half written.
    for stale in path.parent.glob(f".{path.name}.*.part"):
        stale.unlink()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """State of every part, on the CPU. Raises `TrainingError` for a file that cannot be read."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except OSError as error:
        raise TrainingError(
            f"{path}: the checkpoint cannot be read: {error.strerror}",
            fix="train this step first, or give the right runs folder",
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{path}: the checkpoint is damaged or no checkpoint",
            fix="delete it to begin this step again",
        ) from error


def load_checkpoint(path: Path, parts: Mapping[str, Any]) -> tuple[int, float]:
    """Fill the parts from a checkpoint; returns samples seen and seconds spent, 0 without one.

    Raises `TrainingError` for a damaged checkpoint and for one of another network.
    """
    if not path.exists():
        return 0, 0.0
    state = read_checkpoint(path)
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["seen"]), float(state["spent_s"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: the checkpoint is of another network or version",
            fix="name another runs folder, or delete it to begin this step again",
        ) from error
