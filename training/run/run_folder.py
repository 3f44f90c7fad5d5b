"""The files of a run folder that no network needs: its recipe and its log of figures.

Layer: training.run; writes ``recipe.json``, reads ``log.jsonl``. Imports no torch.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def require_same_values(runs: Path, values: Mapping[str, Any]) -> None:
    """Refuse to resume from checkpoints of a run with other values.

    Raises `TrainingError` naming them; writes ``recipe.json`` otherwise.
    """
    path = runs / "recipe.json"
    mine = json.loads(json.dumps(values, default=str))
    if path.exists():
        try:
            begun = json.loads(path.read_text("utf-8"))
        except ValueError:
            begun = {}
        odd = sorted(key for key in mine if begun.get(key) != mine[key])
        if odd:
            raise TrainingError(
                f"{runs} was begun with other values of {', '.join(odd)}",
                fix="name another folder with --runs, or delete this one",
            )
    runs.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(mine, indent=1) + "\n", "utf-8")


def last_figures(run_dir: Path) -> dict[str, Any]:
    """Last whole line of a run's log; an incomplete line at its end is ignored."""
    lines = (run_dir / "log.jsonl").read_text("utf-8").split("\n")[:-1]
    return dict(json.loads(lines[-1]))
