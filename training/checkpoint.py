"""Checkpoints that survive being cut off, read back with ``weights_only``.

Room: training. One file a run, replaced whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def save_checkpoint(path: Path, parts: Mapping[str, Any], seen: int, spent_s: float) -> None:
    """Write the state of each part (anything with ``state_dict``), then put it in place at once."""
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
    state.update(seen=seen, spent_s=spent_s)
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def load_checkpoint(path: Path, parts: Mapping[str, Any]) -> tuple[int, float]:
    """Fill the parts from a checkpoint; returns samples seen and seconds spent, 0 without one."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["seen"]), float(state["spent_s"])
