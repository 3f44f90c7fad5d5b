"""From checkpoints to the compact weights that are committed, with where they came from.

Room: training. Writes ``engines/weights``.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch

from edge import __version__
from edge.model import DISCLAIMER, Limb
from export.compact import load_compact, save_compact
from training.darknet import DarknetModule
from training.scorer import (
    TASKS,
    UNKNOWN,
    Crops,
    FoldedTrunk,
    HeadRecipe,
    TrunkTrainer,
    balanced_accuracy,
    cache_features,
    decode_grades,
    train_head,
)
from training.unet import MultiScaleUNet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np

    from training.darknet import Section

ATTRIBUTION = (
    "Trained in part on radiographs of FracAtlas (Abedeen et al., Scientific Data 10, 2023, "
    "doi 10.1038/s41597-023-02432-4, CC BY 4.0); see NOTICE"
)


def provenance(command: str, films: Iterable[Path], figures: dict[str, Any]) -> dict[str, Any]:
    """What a passport says of a training: command, hash of every real film, figures."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in films}
    return {
        "command": command,
        "software": __version__,
        "torch": torch.__version__,
        "real_films": dict(sorted(hashes.items())),
        "attribution": ATTRIBUTION if hashes else "trained on simulated films alone",
        "figures": figures,
        "notice": DISCLAIMER,
    }


def last_figures(run_dir: Path) -> dict[str, Any]:
    """Last line of a run's log."""
    lines = (run_dir / "log.jsonl").read_text("utf-8").splitlines()
    return dict(json.loads(lines[-1]))


def ship_detector(run_dir: Path, sections: list[Section], out: Path, meta: dict[str, Any]) -> None:
    """Write the averaged weights of a detector's run."""
    model = DarknetModule(sections)
    state = torch.load(run_dir / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["average"])
    save_compact(out, model.eval().arrays(), meta)


def ship_mask(run_dir: Path, out: Path, meta: dict[str, Any]) -> None:
    """Write the weights of a mask network's run."""
    model = MultiScaleUNet()
    state = torch.load(run_dir / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
    save_compact(out, model.eval().arrays(), meta)


def ship_trunk(run_dir: Path, out: Path, meta: dict[str, Any]) -> FoldedTrunk:
    """Write the folded trunk and return it as it will be read back: quantised."""
    model = TrunkTrainer()
    state = torch.load(run_dir / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
    save_compact(out, model.trunk.eval().arrays(), meta)
    arrays, _ = load_compact(out)
    return FoldedTrunk(arrays).eval().to(memory_format=torch.channels_last)


def ship_heads(
    trunk: FoldedTrunk,
    crops: Crops,
    held_out: Crops,
    out_dir: Path,
    recipe: HeadRecipe,
    describe: Callable[[dict[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Train the four heads on cached features and write one file a limb; returns the figures.

    The figures are of simulated crops that no head has seen.
    """
    features = cache_features(trunk, crops.pixels)
    unseen = cache_features(trunk, held_out.pixels)
    figures: dict[str, Any] = {}
    for i, limb in enumerate(Limb):
        arrays: dict[str, np.ndarray] = {}
        for kind in ("erosion", "narrowing"):
            task = f"{limb}_{kind}"
            grades, truth = getattr(crops, kind), getattr(held_out, kind)
            rows = (crops.limb == i) & (grades != UNKNOWN)
            test = (held_out.limb == i) & (truth != UNKNOWN)
            head = train_head(
                features[torch.from_numpy(rows)],
                torch.from_numpy(grades[rows]),
                TASKS[task],
                recipe,
            )
            with torch.no_grad():
                guess = decode_grades(head(unseen[torch.from_numpy(test)]).sigmoid().numpy())
            figures[task] = {
                "phantom_balanced_exact": round(balanced_accuracy(truth[test], guess), 4),
                "phantom_balanced_within_one": round(balanced_accuracy(truth[test], guess, 1), 4),
                "n": int(test.sum()),
            }
            arrays |= head.arrays(task)
        mine = {task: value for task, value in figures.items() if task.startswith(str(limb))}
        save_compact(out_dir / f"{limb}-heads.npz", arrays, describe(mine))
    return figures
