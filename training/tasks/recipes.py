"""Values of every training: what each task takes, and the named presets of the commands.

Layer: training.tasks; values only, imports no torch. A preset names the values; where the examples
come from decides which class it is: `DemoRecipe` (simulated and labelled films) or `DataSetRecipe`
(a data set of one's own).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edge.anatomy import Limb


@dataclass(frozen=True)
class DetectorRecipe:
    """How a detector is trained; the defaults are the demo's. Lengths are in samples.

    ``rate_steps`` are Darknet's ``steps``: with them the learning rate rises with the fourth power
    of the warm-up's share and falls to a tenth at each; without them it ends in a cosine.
    """

    samples: int = 40_000
    batch: int = 16
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    warm_up: int = 2_000
    decay_share: float = 0.35
    rate_steps: tuple[int, ...] = ()
    phantom_share: float = 0.4
    size_px: int = 416
    seed: int = 1
    checkpoint_every_s: float = 180.0


@dataclass(frozen=True)
class MaskRecipe:
    """How a mask network is trained; the defaults are the demo's. ``size`` is height, width in px.

    ``epochs`` replaces ``samples``: an epoch has as many samples as there are examples, and after
    each the loss on a tenth of the examples, not trained on, is measured; training stops when it
    has not fallen for ``patience_epochs``, and the best epoch's weights are kept.
    """

    samples: int = 7_600
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    rate_falls: bool = True
    soft_dice: bool = True
    size: tuple[int, int] = (256, 208)
    real_share: float = 0.35
    seed: int = 1
    checkpoint_every_s: float = 120.0
    epochs: int | None = None
    patience_epochs: int = 10


@dataclass(frozen=True)
class TrunkRecipe:
    """How the trunk is trained; the defaults are the demo's.

    Between the two sample counts of ``small`` crops are shrunk to ``small_px``: less than half the
    work a sample, and training ends on full-size crops. The first ``frozen`` convolutions stay as
    they are. The weights that are published are averaged over the last ``averaged_share`` of the
    steps; ``start_share`` of them, heads included, are those of the committed scorer that the
    training began from.
    """

    samples: int = 420_000
    batch: int = 64
    painted_share: float = 0.5
    small: tuple[int, int] = (70_000, 130_000)
    small_px: int = 64
    learning_rate: float = 2e-3
    averaged_share: float = 0.04
    start_share: float = 0.0
    frozen: int = 0
    seed: int = 1
    checkpoint_every_s: float = 180.0


@dataclass(frozen=True)
class HeadSchedule:
    """How long and how fast a head learns; the defaults are the demo's, 250 epochs the paper's."""

    epochs: int = 250
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    rate_falls: bool = True
    seed: int = 1


@dataclass(frozen=True)
class DemoHeads(HeadSchedule):
    """Heads on simulated and painted crops.

    With ``test_share`` and ``validation_share`` these parts of the crops are measured and not
    trained on; ``undersample_zero`` thins grade 0 in the rest. With ``of_the_trunk`` no head is
    trained: the linear heads of the trunk's own training are kept, which learnt from crops shown
    in many ways.
    """

    of_the_trunk: bool = False
    undersample_zero: bool = False
    test_share: float = 0.0
    validation_share: float = 0.0


@dataclass(frozen=True)
class DataSetHeads(HeadSchedule):
    """Heads on the graded joints of a data set.

    ``balance`` is what is done about the many joints of grade 0, in the training fold alone:
    ``undersample`` thins them to the next largest grade, ``weights`` weighs every grade's joints by
    one over how many there are, ``none`` leaves them. ``crop_views`` is how often a joint is cut,
    each time with other errors of place and size; only the first is ever measured. ``gate``: 0
    against the rest first, the grade among the rest after it.
    """

    balance: str = "undersample"
    gate: bool = False
    split: str = "patient"
    crop_px: int = 96
    crop_views: int = 4
    checkpoint_every_s: float = 120.0


_LIMB_TRUNK = TrunkRecipe(samples=140_000, small=(0, 0), learning_rate=6e-4, frozen=4)


@dataclass(frozen=True)
class DemoRecipe:
    """Sizes of every step on simulated and labelled films.

    ``trunk`` learns both limbs; from it, or with ``further`` from the committed ones, the own trunk
    (``limb_trunk``) of each of ``limbs`` is trained on that limb's crops. ``further`` trains no
    other model; without ``limb_trunk`` it leaves the trunks as they are and trains heads on them.
    ``trunk_sha256`` is of the file named in place of the committed trunks.
    """

    name: str = "demo"
    further: bool = False
    limbs: tuple[Limb, ...] = tuple(Limb)
    trunk_sha256: str = ""
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
    head: DemoHeads = field(default_factory=lambda: DemoHeads(of_the_trunk=True))

    @property
    def goes_on(self) -> bool:
        """Whether the trunks of the committed scorers are trained on."""
        return self.further and self.limb_trunk is not None and not self.trunk_sha256

    def phantoms(self, limb: Limb) -> int:
        """Number of simulated films of one limb."""
        return {Limb.HAND: self.hand_phantoms, Limb.FOOT: self.foot_phantoms}[limb]

    def detector(self, limb: Limb) -> DetectorRecipe:
        """Values of one limb's detector."""
        return {Limb.HAND: self.hand_detector, Limb.FOOT: self.foot_detector}[limb]

    @property
    def paintings(self) -> dict[Limb, int]:
        """Films of each limb painted for a shard: about as many joints of either."""
        counts = {Limb.HAND: self.hand_paintings, Limb.FOOT: self.foot_paintings}
        return {limb: counts[limb] for limb in self.limbs}


@dataclass(frozen=True)
class DataSetRecipe:
    """Values of the three trainings on a data set."""

    name: str = "demo"
    mask: MaskRecipe = field(default_factory=MaskRecipe)
    detector: DetectorRecipe = field(default_factory=DetectorRecipe)
    heads: DataSetHeads = field(default_factory=DataSetHeads)


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
_PAPER_MASK = MaskRecipe(
    batch=16,
    learning_rate=1e-4,
    weight_decay=0.0,
    rate_falls=False,
    soft_dice=False,
    epochs=200,
)

_PAPER_HEADS = DemoHeads(
    batch=32,
    learning_rate=1e-4,
    weight_decay=0.0,
    rate_falls=False,
    undersample_zero=True,
    test_share=0.1,
    validation_share=0.1,
)

DEMO_RECIPES = {
    recipe.name: recipe
    for recipe in (
        DemoRecipe(),
        DemoRecipe(
            name="further",
            further=True,
            limb_trunk=replace(
                _LIMB_TRUNK, samples=60_000, learning_rate=4e-4, painted_share=0.4, start_share=0.3
            ),
            crop_shards=4,
            framed_shards=12,
            painted_shards=4,
            enlarged_shards=3,
        ),
        DemoRecipe(name="heads", further=True, limb_trunk=None, crop_shards=8, head=_PAPER_HEADS),
        DemoRecipe(
            name="paper",
            hand_detector=_PAPER_DETECTOR,
            foot_detector=_PAPER_DETECTOR,
            mask=_PAPER_MASK,
            trunk=TrunkRecipe(),
            limb_trunk=None,
            framed_shards=0,
            head=_PAPER_HEADS,
        ),
    )
}
"""Presets of ``sharpedge train demo`` by name.

``further`` goes on from the committed scorers, which were last trained so, with lengths and shares
that their files state; ``heads`` is the paper's way for the
scorers alone: frozen trunks, and heads of 250 epochs on their features. ``paper`` has the paper's
schedules where it states them. Adam is AdamW without weight decay. The trunk has no published
schedule (the paper's came from ImageNet): one for both limbs, as the paper's is. No crop is of a
whole film, whose joints would stand on both sides of its split by joint.
"""


def with_options(
    recipe: DemoRecipe,
    *,
    limb: Limb | None = None,
    crop_px: int | None = None,
    samples: int | None = None,
    learning_rate: float | None = None,
    start_share: float | None = None,
    seed: int | None = None,
) -> DemoRecipe:
    """A preset with the values of the command's options; ``None`` leaves the preset's.

    ``samples``, ``learning_rate`` and ``start_share`` are of each limb's own trunk training.
    """
    changed: dict[str, Any] = {}
    if limb is not None:
        changed["limbs"] = (limb,)
    if crop_px is not None:
        changed["crop_px"] = crop_px
    if seed is not None:
        changed["seed"] = seed
    trunk = {"samples": samples, "learning_rate": learning_rate, "start_share": start_share}
    if recipe.limb_trunk is not None:
        stated: dict[str, Any] = {name: value for name, value in trunk.items() if value is not None}
        changed["limb_trunk"] = replace(recipe.limb_trunk, **stated)
    return replace(recipe, **changed)


def options_of(recipe: DemoRecipe) -> str:
    """The options of ``sharpedge train demo`` that give this recipe, each after a space."""
    preset = DEMO_RECIPES.get(recipe.name, recipe)
    options = [] if recipe.name == "demo" else [f"--recipe {recipe.name}"]
    if recipe.limbs != preset.limbs:
        options += [f"--limb {limb}" for limb in recipe.limbs]
    options += [
        f"--{name.replace('_', '-')} {getattr(recipe, name)}"
        for name in ("crop_px", "seed")
        if getattr(recipe, name) != getattr(preset, name)
    ]
    if recipe.limb_trunk and preset.limb_trunk:
        options += [
            f"--{name.replace('_', '-')} {getattr(recipe.limb_trunk, name)}"
            for name in ("samples", "learning_rate", "start_share")
            if getattr(recipe.limb_trunk, name) != getattr(preset.limb_trunk, name)
        ]
    return "".join(f" {option}" for option in options)


DATA_SET_RECIPES = {
    recipe.name: recipe
    for recipe in (
        DataSetRecipe(),
        DataSetRecipe(
            name="paper",
            mask=_PAPER_MASK,
            detector=_PAPER_DETECTOR,
            heads=DataSetHeads(
                batch=32, learning_rate=1e-4, weight_decay=0.0, rate_falls=False, crop_views=1
            ),
        ),
    )
}
"""Presets of ``sharpedge train mask``, ``detector`` and ``scorers`` by name."""
