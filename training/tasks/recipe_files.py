"""Recipes that ``sharpedge export`` takes, beside the weights that were trained.

Layer: training.tasks; writes ``NAME.toml`` into the output folder.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge.anatomy import JointClass, Limb
from training.datasets.truth import detector_classes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.models.trunk import InputRule

MEANINGS = {
    (Limb.HAND, JointClass.PIP): "proximal interphalangeal joint of a finger, or the "
    "interphalangeal joint of the thumb",
    (Limb.HAND, JointClass.MCP): "metacarpophalangeal joint",
    (Limb.FOOT, JointClass.PIP): "interphalangeal joint of the hallux",
    (Limb.FOOT, JointClass.MTP): "metatarsophalangeal joint",
}


def write_recipe(
    out: Path,
    limb: Limb,
    role: str,
    source: Sequence[str],
    size: tuple[int, int],
    channels: int,
    *,
    scale: float = 1 / 255,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> Path:
    """Write one recipe; ``source`` are its lines, ``size`` is (height, width) in px."""
    classes = []
    if role == "detect":
        for kind in detector_classes(limb):
            classes += [
                "",
                "[[classes]]",
                f'name = "{kind}"',
                f'meaning = "{MEANINGS[limb, kind]}"',
            ]
    lines = [
        "# Written by sharpedge train; research use only, not a medical device.",
        f'name = "{limb}-{role}"',
        f'role = "{role}"',
        f'limb = "{limb}"',
        "",
        "[source]",
        *source,
        "",
        "[input] # (pixel * scale - mean) / std, pixel 0..255",
        'layout = "NCHW"',
        f"channels = {channels}",
        f"height = {size[0]}",
        f"width = {size[1]}",
        f"scale = {scale!r}",
        f"mean = {json.dumps(list(mean))}",
        f"std = {json.dumps(list(std))}",
        *classes,
    ]
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{limb}-{role}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_score_recipe(out: Path, limb: Limb, folder: str, crop_px: int, rule: InputRule) -> Path:
    """Write the recipe of a limb's trunk and heads, which lie in ``folder`` of ``out``."""
    files = json.dumps([f"{folder}{limb}-{part}.npz" for part in ("trunk", "heads")])
    source = ['kind = "compact"', 'architecture = "vgg16"', f"files = {files}"]
    return write_recipe(
        out,
        limb,
        "score",
        source,
        (crop_px, crop_px),
        3,
        scale=rule.scale,
        mean=rule.mean,
        std=rule.std,
    )


def next_command(out: Path, recipes: Sequence[Path]) -> str:
    """Text with the command that exports what was written."""
    names = " ".join(str(path) for path in recipes)
    return f"next: sharpedge export {names} --out {out / 'built'}"
