"""Model cards: what each committed model is, learnt from and was measured at, from its own file.

Layer: training.run; reads ``engines/weights``, writes one page. Imports no torch. ``python -m
training.run.model_cards docs/models.md``.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.model import DISCLAIMER
from edge.system.paths import engines_home
from export.importers.compact import load_compact

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = ("training", "phantom", "edge/pipeline")
_WHAT = {
    "mask": (
        "U-Net with multi-scale inputs: which part of the canvas is limb.",
        (
            "Fails where two limbs touch, where a cast or splint is as bright as bone, and where "
            "collimated borders cut the limb. A mask that cuts a joint or is of an implausible "
            "size is not used, and the result says so."
        ),
    ),
    "detect": (
        "YOLOv3 with the published topology at a quarter of its width: where the joints are.",
        (
            "Loses joints of children (growth plates look like joint spaces), under casts, on "
            "obliques and flexed fingers, and where fusion has left no line. Luxated joints are "
            "placed less exactly. Names come from the shape template, not from this model."
        ),
    ),
    "trunk": (
        "VGG16's thirteen convolutions, batch normalisation folded in; frozen under all heads.",
        "See the heads.",
    ),
    "exclusion": (
        (
            "A linear layer on the frozen trunk: what forbids a grade (bones that cover the joint "
            "space, growth plates, what is no sharp joint)."
        ),
        (
            "It learnt covered joint spaces from a few dozen joints of a dozen films. Closing "
            "growth plates of adolescents are missed; a stated age decides where there is one. The "
            "shares are of films that were not learnt from."
        ),
    ),
    "heads": (
        "Two ordinal heads on the frozen trunk: erosion and narrowing of one joint crop.",
        (
            "No film of a patient with rheumatoid arthritis was at hand: every grade above 0 that "
            "was learnt is simulated or painted on a healthy joint. Osteoarthritis, gout, old "
            "fractures and surgery will be graded as if they were rheumatoid damage. Blurred, "
            "noisy or very small joints are graded worse; the doubtful ones are left out."
        ),
    ),
}
_HEAD = f"""# Model cards

{DISCLAIMER.capitalize()}. Written by `python -m training.run.model_cards` from the models' own
files: do not edit. A figure on simulated (phantom) or painted films says how well a model does on
such films; it says nothing about patients."""
_HIDDEN = frozenset({"n", "n_of_grade", "minutes", "seen"})


def code_hash(root: Path) -> str:
    """SHA-256 over the Python files that make and measure the models, names and bytes."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def cards_page(weights: Path) -> str:
    """The page with one card for each file of compact weights."""
    cards = [_card(path) for path in sorted(weights.glob("*.npz"))]
    return "\n\n".join((_HEAD, *cards)) + "\n"


def _card(path: Path) -> str:
    arrays, meta = load_compact(path)
    role = path.stem.rpartition("-")[2]
    what, fails = _WHAT[role]
    films = meta["real_films"]
    recipe = ", ".join(f"{key} {_brief(value)}" for key, value in sorted(meta["recipe"].items()))
    rows = {
        "What it is": what,
        "Numbers": f"{sum(array.size for array in arrays.values()):,} (weights and statistics), "
        f"{path.stat().st_size / 2**20:.1f} MiB as int8 with a scale an output channel",
        "SHA-256": f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`",
        "Made by": f"`{meta['command']}`, sharpedge {meta['software']}, torch {meta['torch']}, "
        f"code {meta.get('code', 'not recorded')[:16]}",
        "Recipe": recipe,
        "Learnt from": f"simulated films, and {len(films)} real films "
        "(names and SHA-256 in the file itself)",
        "Licence": f"Apache-2.0. {meta['attribution']}",
        "Fails": fails,
        "Use": f"{DISCLAIMER.capitalize()}.",
    }
    if meta["recipe"].get("start_share"):
        rows["Figures"] = "of the trained weights alone, before the mean with those begun from"
    lines = [f"## {path.stem}", "| | |\n| --- | --- |"]
    lines[-1] += "".join(f"\n| {name} | {text} |" for name, text in rows.items())
    lines.append(_figures(meta["figures"]))
    return "\n\n".join(lines)


def _figures(figures: Mapping[str, Any]) -> str:
    rows: list[tuple[str, str]] = []
    for name, value in sorted(figures.items()):
        if not isinstance(value, dict):
            rows += [] if name in _HIDDEN else [(name, _brief(value))]
            continue
        label = name if "found" in value else f"{name}, simulated"
        rows.append((label, _one_task(value)))
        rows += [
            (f"{name}, {source}", _one_task(part))
            for source, part in sorted(value.items())
            if isinstance(part, dict) and source not in _HIDDEN
        ]
    lines = ["| Measured on what it did not learn from | |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {text} |" for name, text in rows)])


def _one_task(part: Mapping[str, Any]) -> str:
    """One scorer's figures in a line."""
    return ", ".join(
        f"{key.replace('_', ' ')} {_brief(value)}"
        for key, value in part.items()
        if not isinstance(value, dict)
    )


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(cards_page(engines_home() / "weights"), encoding="utf-8")
