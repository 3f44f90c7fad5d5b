"""Writes a first recipe for a model's files, with comments on what a person must check.

Layer: export; reads the model's files; `write_template` writes one recipe beside them.
"""

from __future__ import annotations

import json
import pkgutil
from typing import TYPE_CHECKING, cast

from edge.anatomy import LIMBS, Limb
from edge.engine.passport import Role
from export.errors import RecipeError
from export.importer_table import IMPORTERS
from export.importers.facts import DEFAULT_SIDE_PX, wanted_files
from export.importers.filekind import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from export.importers.facts import Facts


def write_template(files: Sequence[Path]) -> Path:
    """Write a recipe beside the first file and return its path.

    Raises `RecipeError` where the recipe is there already or the files are not understood,
    `ExportError` where a file cannot be read.
    """
    facts = _facts(files)
    path = files[0].with_suffix(".toml")
    if path.exists():
        raise RecipeError(
            "the recipe is there already", where=str(path), fix="remove it, or edit it"
        )
    name = files[0].name.lower()
    limb = Limb.FOOT if "foot" in name or "feet" in name else Limb.HAND
    path.write_text(render(facts, limb), encoding="utf-8")
    return path


def render(facts: Facts, limb: Limb) -> str:
    """Return the text of a recipe."""
    height, width = facts.height or DEFAULT_SIDE_PX, facts.width or DEFAULT_SIDE_PX
    free = "" if facts.height and facts.width else " # the model leaves its sides free: choose them"
    scale = "1.0" if facts.scales_itself else "0.00392156862745098"
    why = "the model scales pixels itself" if facts.scales_itself else "1 / 255, check this"
    rows = [
        "# Made by sharpedge export --init. Check every line against the training of the model;",
        "# docs/engines.md states what each engine is given and must give.",
        f'name = "{limb}-{facts.role}"',
        f'role = "{facts.role}" # mask, detect or score',
        f'limb = "{limb}" # hand or foot',
        "",
        "[source]",
        *facts.source,
    ]
    if facts.outputs:
        pairs = ", ".join(
            f"{ours} = {json.dumps(theirs)}" for ours, theirs in facts.outputs.items()
        )
        rows.append(f"outputs = {{ {pairs} }} # name here = name in the model")
    rows += [
        "",
        "[input] # value = (pixel * scale - mean) / std, pixel 0..255, bones bright",
        f'layout = "{facts.layout}"',
        f"channels = {facts.channels} # every channel holds the same grey",
        f"height = {height}{free}",
        f"width = {width}",
        f"scale = {scale} # {why}",
        "mean = [0.0]",
        "std = [1.0]",
    ]
    for number in range(facts.classes):
        name = str(LIMBS[limb].detector_classes[number % 2])
        rows += [
            "",
            "[[classes]] # in the order of the model's outputs",
            f'name = "{name}"',
            f'meaning = "class {number} of the model"',
        ]
    rows += _meaning(facts.role)
    rows += [
        "",
        "# [reference] # inputs and outputs of your own framework, which every import must meet",
        '# file = "reference.npz"',
        "",
    ]
    return "\n".join(rows)


def _meaning(role: Role) -> list[str]:
    choices = {
        Role.SCORE: '# grades = "at-least" # "each" for a softmax over the grades',
        Role.DETECT: '# boxes = "px" # "share" for boxes as shares of the sides',
        Role.MASK: "",
    }
    rows = ["", "# [meaning] # what the outputs mean; tested at import", choices[role]]
    return [row for row in rows if row or row is rows[0]] + [
        '# values = "probability" # "logit" where the model lacks its last activation'
    ]


def _facts(files: Sequence[Path]) -> Facts:
    for row in IMPORTERS.values():
        found = pkgutil.resolve_name(row.facts)(files) if row.facts else None
        if found is not None:
            return cast("Facts", found)
    if len(files) == 1 and (kind := kind_of(files[0])) is not None:
        raise RecipeError(f"the file is {kind.name}", where=str(files[0]), fix=kind.fix)
    names = ", ".join(path.name for path in files) or "no file"
    raise RecipeError(f"{names}: not files of one model", where="--init", fix=wanted_files())
