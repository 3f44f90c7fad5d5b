"""Named sets of values for training on one's own data set: ``demo`` and ``paper``.

Room: training. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from training.models.detector import DetectorRecipe
from training.models.unet import MaskRecipe
from training.run.recipes import PAPER as PAPER_DEMO


@dataclass(frozen=True)
class HeadsRecipe:
    """How the scorers' heads are trained on features of a frozen trunk.

    ``balance`` is what is done about the many joints of grade 0, in the training fold alone:
    ``undersample`` thins them to the next largest grade, ``weights`` weighs every grade's joints by
    one over how many there are, ``none`` leaves them. ``crop_views`` is how often a joint is cut,
    each time with other errors of place and size; only the first is ever measured. ``gate``: 0
    against the rest first, the grade among the rest after it.
    """

    epochs: int = 250
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    rate_falls: bool = True
    balance: str = "undersample"
    gate: bool = False
    split: str = "patient"
    crop_px: int = 96
    crop_views: int = 4
    checkpoint_every_s: float = 120.0
    seed: int = 1


@dataclass(frozen=True)
class OwnRecipe:
    """Values of the three trainings."""

    name: str = "demo"
    mask: MaskRecipe = field(default_factory=MaskRecipe)
    detector: DetectorRecipe = field(default_factory=DetectorRecipe)
    heads: HeadsRecipe = field(default_factory=HeadsRecipe)


OWN_PAPER = OwnRecipe(
    name="paper",
    mask=PAPER_DEMO.mask,
    detector=PAPER_DEMO.hand_detector,
    heads=HeadsRecipe(
        batch=32, learning_rate=1e-4, weight_decay=0.0, rate_falls=False, crop_views=1
    ),
)
"""The paper's schedules, where it states them."""

OWN_RECIPES = {recipe.name: recipe for recipe in (OwnRecipe(), OWN_PAPER)}
"""Name on the command line to recipe."""
