"""From finished runs to compact weight files, with the record of their training.

Layer: training.tasks; reads run folders, writes weight files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edge import __version__
from edge.model import DISCLAIMER
from edge.pipeline.plausibility import PASSPORT_KEY
from edge.system.paths import engines_home
from export.importers.compact import load_compact, save_compact
from training.data.crop_statistics import describe_crops
from training.errors import TrainingError
from training.models.darknet import DarknetModule
from training.models.heads import TASKS, Head, TrunkTrainer, linear_of
from training.models.tensors import device
from training.models.trunk import FoldedTrunk
from training.models.unet import MultiScaleUNet
from training.run.checkpoint import read_checkpoint
from training.run.model_cards import code_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from edge.anatomy import Limb
    from training.models.darknet import Section


ATTRIBUTION = (
    "Trained in part on radiographs of FracAtlas (Abedeen et al., Scientific Data 10, 2023, "
    "doi 10.1038/s41597-023-02432-4, CC BY 4.0); see NOTICE"
)


def training_record(command: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """What the weight file of every training states: command, versions, figures, notice."""
    return {
        "command": command,
        "software": __version__,
        "torch": torch.__version__,
        "figures": figures,
        "notice": DISCLAIMER,
    }


def sources_record(films_dir: Path | None, names: set[str]) -> dict[str, Any]:
    """SHA-256 of each real film that a model learnt from, by name, and whose films they are."""
    hashes = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (() if films_dir is None else films_dir.rglob("*.jpg"))
        if path.name in names
    }
    return {
        "code": code_hash(Path(__file__).parents[2]),
        "real_films": dict(sorted(hashes.items())),
        "attribution": ATTRIBUTION if hashes else "trained on simulated films alone",
    }


def trained_detector(run_dir: Path, sections: list[Section]) -> tuple[DarknetModule, int]:
    """The averaged network of a detector's run in evaluation mode, and the samples it saw."""
    model = DarknetModule(sections)
    state = read_checkpoint(run_dir / "checkpoint.pt")
    model.load_state_dict(state["average"])
    return model.eval(), int(state["seen"])


def publish_detector(
    run_dir: Path, sections: list[Section], out: Path, meta: dict[str, Any]
) -> None:
    """Write the averaged weights of a detector's run."""
    save_compact(out, trained_detector(run_dir, sections)[0].arrays(), meta)


def publish_mask(run_dir: Path, out: Path, meta: dict[str, Any]) -> None:
    """Write the weights of a mask network's run."""
    model = MultiScaleUNet()
    model.load_state_dict(read_checkpoint(run_dir / "checkpoint.pt")["model"])
    save_compact(out, model.eval().arrays(), meta)


def committed_trunk(limb: Limb) -> Path:
    """The compact file of the trunk that a limb's committed scorer has."""
    return engines_home() / "weights" / f"{limb}-trunk.npz"


def committed_sha256(limb: Limb) -> dict[str, str]:
    """SHA-256 of the files of a limb's committed trunk and heads, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in _committed_files(limb)
    }


def committed_scorer(limb: Limb) -> dict[str, np.ndarray]:
    """The arrays of a limb's committed trunk and heads."""
    trunk, heads = (load_compact(path)[0] for path in _committed_files(limb))
    return trunk | heads


def _committed_files(limb: Limb) -> tuple[Path, Path]:
    trunk = committed_trunk(limb)
    return trunk, trunk.with_name(f"{limb}-heads.npz")


def follow_committed(record: Mapping[str, Any], limb: Limb) -> dict[str, Any]:
    """The record of a scorer that went on from a limb's committed one, with what that one states.

    ``history`` is every training in its order, ``begun_from`` the SHA-256 of the committed files.
    """
    _, before = load_compact(committed_trunk(limb))
    films = before.get("real_films", {}) | record["real_films"]
    return {
        **record,
        "history": f"{before.get('history', before.get('command'))}; then {record['command']}",
        "begun_from": committed_sha256(limb),
        "real_films": dict(sorted(films.items())),
        "attribution": ATTRIBUTION if films else record["attribution"],
    }


def publish_trunk(
    arrays: Mapping[str, np.ndarray], out: Path, meta: dict[str, Any], compact: bytes | None = None
) -> FoldedTrunk:
    """Write a folded trunk and return it as it is read back: quantised.

    ``compact`` is the trunk's own compact file, written as it is, where it has one.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    if compact is None:
        save_compact(out, arrays, meta)
    else:
        out.write_bytes(compact)
    folded = FoldedTrunk(load_compact(out)[0]).eval()
    return folded.to(device(), memory_format=torch.channels_last)


def trunk_arrays(run_dir: Path) -> dict[str, np.ndarray]:
    """The folded trunk of a finished run, as another run starts from it."""
    return _finished(run_dir).trunk.eval().arrays()


def trained_scorer(
    run_dir: Path, limb: Limb, start_share: float = 0.0
) -> tuple[dict[str, np.ndarray], dict[str, Head]]:
    """The folded trunk of a finished run and the limb's heads that it learnt with, by task.

    ``start_share`` (0 to 1) of their weights are those of the committed scorer that the training
    began from; weights of trainings that began alike may be averaged (Wortsman et al., "Model
    soups", 2022). Raises `TrainingError` where the committed heads are not the linear ones of a
    trunk's training.
    """
    model = _finished(run_dir)
    arrays = model.trunk.eval().arrays()
    heads = {task: model.heads[task] for task in TASKS if task.startswith(f"{limb}_")}
    if start_share:
        committed = committed_scorer(limb)
        arrays = {
            name: start_share * committed[name] + (1 - start_share) * value
            for name, value in arrays.items()
        }
        for task, head in heads.items():
            before = linear_of(committed, task)
            if before is None:
                raise TrainingError(
                    f"the committed {task} is no linear head", fix="give --start-share 0"
                )
            with torch.no_grad():
                head.weight.lerp_(before.weight, start_share)
                head.bias.lerp_(before.bias, start_share)
    return arrays, {task: Head.of_linear(head) for task, head in heads.items()}


def _finished(run_dir: Path) -> TrunkTrainer:
    model = TrunkTrainer()
    model.load_state_dict(read_checkpoint(run_dir / "checkpoint.pt")["average"])
    return model


def publish_heads(
    out: Path,
    arrays: Mapping[str, np.ndarray],
    meta: dict[str, Any],
    learnt_from: np.ndarray | None,
) -> None:
    """Write a limb's heads.

    ``learnt_from`` are the crops [n, s, s] uint8 of the training; their statistics let the pipeline
    refuse unfamiliar crops. Without them every crop is graded.
    """
    known = {} if learnt_from is None else {PASSPORT_KEY: describe_crops(learnt_from)}
    save_compact(out, arrays, meta | known)
