"""Named sets of values for `training.tasks.demo.train_demo`: ``demo``, ``further``, ``paper``.

Room: training. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.model import Limb
from training.models.detector import DetectorRecipe
from training.models.scorer import HeadRecipe, TrunkRecipe
from training.models.unet import MaskRecipe

_LIMB_TRUNK = TrunkRecipe(samples=140_000, small=(0, 0), learning_rate=6e-4, frozen=4)


@dataclass(frozen=True)
class DemoRecipe:
    """Sizes of every step.

    ``trunk`` learns both limbs; from there, or with ``further`` from the committed ones, each limb
    goes on with its own (``limb_trunk``) on its own crops. ``further`` leaves all other models
    alone.
    """

    name: str = "demo"
    further: bool = False
    hand_phantoms: int = 500
    foot_phantoms: int = 1_500
    mask_phantoms: int = 500
    film_px: int = 700
    crop_shards: int = 40
    crops_per_shard: int = 2_000
    held_out_crops: int = 2_000
    framed_shards: int = 20
    framed_films: int = 60
    painted_shards: int = 8
    enlarged_shards: int = 8
    hand_paintings: int = 120
    foot_paintings: int = 120
    head_crops: int = 16_000
    crop_px: int = 96
    seed: int = 1
    hand_detector: DetectorRecipe = field(default_factory=lambda: DetectorRecipe(samples=38_000))
    foot_detector: DetectorRecipe = field(default_factory=lambda: DetectorRecipe(samples=48_000))
    mask: MaskRecipe = field(default_factory=MaskRecipe)
    trunk: TrunkRecipe = field(default_factory=lambda: TrunkRecipe(samples=290_000))
    limb_trunk: TrunkRecipe | None = _LIMB_TRUNK
    head: HeadRecipe = field(default_factory=lambda: HeadRecipe(of_the_trunk=True))

    def phantoms(self, limb: Limb) -> int:
        """How many simulated films of one limb are drawn."""
        return self.hand_phantoms if limb is Limb.HAND else self.foot_phantoms

    @property
    def paintings(self) -> dict[Limb, int]:
        """How many films of each limb are painted for a shard: about as many joints of either."""
        return {Limb.HAND: self.hand_paintings, Limb.FOOT: self.foot_paintings}


_DARKNET_BATCH = 64

_PAPER_DETECTOR = DetectorRecipe(
    samples=4_000 * _DARKNET_BATCH,
    batch=_DARKNET_BATCH,
    optimiser="sgd",
    learning_rate=1e-3,
    weight_decay=5e-4,
    warm_up=1_000 * _DARKNET_BATCH,
    rate_steps=(3_200 * _DARKNET_BATCH, 3_600 * _DARKNET_BATCH),
)

PAPER = DemoRecipe(
    name="paper",
    hand_detector=_PAPER_DETECTOR,
    foot_detector=_PAPER_DETECTOR,
    mask=MaskRecipe(
        batch=16,
        learning_rate=1e-4,
        weight_decay=0.0,
        rate_falls=False,
        soft_dice=False,
        epochs=200,
    ),
    trunk=TrunkRecipe(),
    limb_trunk=None,
    framed_shards=0,
    head=HeadRecipe(
        batch=32,
        learning_rate=1e-4,
        weight_decay=0.0,
        rate_falls=False,
        undersample_zero=True,
        test_share=0.1,
        validation_share=0.1,
    ),
)
"""The paper's schedules, where it states them. Adam is AdamW without weight decay. The trunk has no
published schedule (the paper's came from ImageNet): one for both limbs, as the paper's is. No crop
is of a whole film, whose joints would stand on both sides of its split by joint."""

FURTHER = DemoRecipe(name="further", further=True, crop_shards=8)
"""What the committed scorers were last trained by."""

RECIPES = {recipe.name: recipe for recipe in (DemoRecipe(), FURTHER, PAPER)}
"""Name on the command line to recipe."""
