"""Examples of simulated and labelled films, and the trainings of every demo model on them.

Layer: training.tasks; reads labelled films, writes checkpoints under a runs folder and compact
weights. The recipe ``demo`` is the one that made the committed weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.anatomy import Limb
from edge.model import DISCLAIMER
from edge.system.paths import engines_home
from training.datasets.labelled_films import read_labelled, read_proposed, split
from training.errors import TrainingError
from training.models.darknet import read_cfg
from training.models.trunk import PLAIN
from training.run.run_folder import last_figures, require_same_values
from training.synthetic.outlines import MaskExample, canvas_example
from training.synthetic.phantom_films import PhantomFilms, draw_phantom_films
from training.tasks.demo_crops import crops_of_films
from training.tasks.demo_heads import train_demo_heads
from training.tasks.detector import DetectorExamples, train_detector
from training.tasks.estimate import estimate_hours
from training.tasks.mask import MaskExamples, train_mask
from training.tasks.publish import (
    committed_scorer,
    committed_sha256,
    committed_trunk,
    follow_committed,
    publish_detector,
    publish_mask,
    publish_trunk,
    sources_record,
    trained_scorer,
    training_record,
    trunk_arrays,
)
from training.tasks.recipe_files import next_command, write_score_recipe
from training.tasks.recipes import options_of
from training.tasks.trunk import train_trunk
from training.tasks.trunk_file import read_trunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.datasets.labelled_films import LabelledFilm
    from training.synthetic.crops import CropSet
    from training.tasks.recipes import DemoRecipe
    from training.tasks.trunk_file import TrunkFile

    Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoJob:
    """Films, folders and recipe of one command."""

    films_dir: Path | None
    labels: Path
    runs: Path
    weights: Path
    recipe: DemoRecipe
    trunk: TrunkFile | None = None
    films: dict[Limb, list[LabelledFilm]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        films_dir: Path | None,
        labels: Path,
        runs: Path,
        weights: Path,
        recipe: DemoRecipe,
        trunk: TrunkFile | None = None,
    ) -> DemoJob:
        """Read the labelled films. Raises `TrainingError` for those that cannot be used."""
        films: dict[Limb, list[LabelledFilm]] = {
            limb: []
            if films_dir is None
            else read_labelled(labels, films_dir, limb) + read_proposed(labels, films_dir, limb)
            for limb in recipe.limbs
        }
        return cls(films_dir, labels, runs, weights, recipe, trunk, films)

    @property
    def phantoms_dir(self) -> Path:
        """Folder of the simulated films."""
        return self.runs / "shelf"

    def record(
        self,
        recipe: Any,
        figures: dict[str, Any],
        learnt_from: set[str] | None = None,
        scorer_of: Limb | None = None,
    ) -> dict[str, Any]:
        """What a model's file states of its training; ``learnt_from`` names its real films.

        A limb's scorer (``scorer_of``) that went on from the committed one states that one's films
        and trainings too.
        """
        command = "sharpedge train demo" + options_of(self.recipe)
        if self.trunk is not None:
            command += f" --trunk {self.trunk.source}"
        if self.films_dir is not None:
            command += " --films FRACATLAS"
        sizes = ("seed", "hand_phantoms", "foot_phantoms")
        simulated = {key: getattr(self.recipe, key) for key in sizes}
        if self.recipe.trunk_sha256:
            simulated["trunk_sha256"] = self.recipe.trunk_sha256
        sources = sources_record(self.films_dir, learnt_from or set())
        values = {"name": self.recipe.name, **simulated, **asdict(recipe)}
        record = training_record(command, figures) | sources | {"recipe": values}
        if scorer_of is not None and self.recipe.goes_on:
            record = follow_committed(record, scorer_of)
        return record


def train_demo(
    films_dir: Path | None,
    labels: Path,
    runs: Path,
    weights: Path,
    recipe: DemoRecipe,
    say: Say,
    trunk_path: Path | None = None,
) -> dict[str, Any]:
    """Train all models; each step resumes where it was interrupted. Returns the figures.

    Without ``films_dir`` everything is trained on simulated films alone, and that is printed. The
    first line printed is the estimate. ``trunk_path`` is the trunk to begin from in place of the
    committed ones (`read_trunk`), for a recipe that trains the scorers alone; no committed weights
    are then in what is published. Raises `TrainingError` for labels, films or a trunk that cannot
    be used and for a runs folder that was begun with other values.
    """
    trunk = None
    if recipe.limb_trunk is not None and recipe.limb_trunk.start_share and not recipe.further:
        raise TrainingError(
            f"the recipe {recipe.name} does not begin from the committed scorers",
            fix="with --start-share give --recipe further",
        )
    if trunk_path is not None:
        if not recipe.further:
            raise TrainingError(
                f"the recipe {recipe.name} trains a trunk from nothing",
                fix="with --trunk give --recipe further, or heads to leave the trunk as it is",
            )
        trunk = read_trunk(trunk_path)
        recipe = replace(recipe, trunk_sha256=trunk.sha256)
        if recipe.limb_trunk is not None:
            recipe = replace(recipe, limb_trunk=replace(recipe.limb_trunk, start_share=0.0))
    require_same_values(runs, _values_of_training(recipe))
    job = DemoJob.of(films_dir, labels, runs, weights, recipe, trunk)
    real = sum(len(films) for films in job.films.values())
    hours = estimate_hours(recipe, real)
    steps = ", ".join(f"{name} {value} h" for name, value in hours.items())
    say(
        f"estimate for this machine: at most {sum(hours.values()):.1f} h from nothing ({steps}); "
        f"recipe {recipe.name}"
    )
    if films_dir is None:
        say("no folder of FracAtlas films was named: training on simulated films alone")
    for limb, films in job.films.items():
        if films:
            kept = len(split(films)[1])
            say(f"{limb}: {len(films)} labelled real films, {kept} of them only measured")
    figures: dict[str, Any] = {}
    for limb in recipe.limbs if not recipe.further else ():
        say(f"{limb}: drawing simulated films")
        draw_phantom_films(
            job.phantoms_dir, limb, recipe.phantoms(limb), recipe.seed, recipe.film_px
        )
        say(f"{limb}: detector")
        figures[f"{limb}-detect"] = _detector(job, limb)
        say(f"{limb}: mask")
        figures[f"{limb}-mask"] = _mask(job, limb)
    figures["scorers"] = _scorers(job, say)
    return figures


def _values_of_training(recipe: DemoRecipe) -> dict[str, Any]:
    """What a run is begun with: a start share is of what is published, and may be tried after.

    A mean is of the trained scorer and the one that it began from: other committed weights are
    another beginning.
    """
    values = asdict(recipe)
    if recipe.limb_trunk is not None:
        del values["limb_trunk"]["start_share"]
        if recipe.goes_on:
            values["begun_from"] = {limb: committed_sha256(limb) for limb in recipe.limbs}
    return values


def _detector(job: DemoJob, limb: Limb) -> dict[str, Any]:
    cfg = read_cfg(engines_home() / "cfg" / "yolov3-quarter.cfg")
    run_dir, start_from = job.runs / f"detect-{limb}", None
    recipe = job.recipe.detector(limb)
    films, validation = split(job.films[limb])
    learnt_from = {film.film for film in films}
    if limb is Limb.FOOT:
        # The foot's detector starts from the hand's weights, so the hand's films made it too.
        start_from = job.runs / f"detect-{Limb.HAND}" / "checkpoint.pt"
        learnt_from |= {film.film for film in split(job.films[Limb.HAND])[0]}
    examples = DetectorExamples(films, validation, PhantomFilms(job.phantoms_dir, limb))
    train_detector(cfg, run_dir, examples, recipe, start_from)
    found = last_figures(run_dir)
    record = job.record(recipe, found, learnt_from)
    publish_detector(run_dir, cfg, job.weights / f"{limb}-detect.npz", record)
    return found


def phantom_examples(phantoms_dir: Path, limb: Limb, most: int) -> list[MaskExample]:
    """The first simulated films of a folder on their canvases, with their true outlines."""
    found = []
    for film in PhantomFilms(phantoms_dir, limb).films[:most]:
        outline = cv2.imread(str(phantoms_dir / f"mask-{film.film}"), cv2.IMREAD_GRAYSCALE)
        found.append(canvas_example(film, np.asarray(outline, np.uint8)))
    return [example for example in found if example is not None]


def _mask(job: DemoJob, limb: Limb) -> dict[str, Any]:
    phantoms = phantom_examples(job.phantoms_dir, limb, job.recipe.mask_phantoms)
    measured = min(40, len(phantoms) // 5)
    # An outline needs every finger: proposed labels were checked for their joints only.
    training, validation = split([film for film in job.films[limb] if not film.proposed])
    # A film whose outline cannot be made is not learnt from, and not named in the record.
    real = [(film.film, canvas_example(film, None)) for film in training]
    usable = [(name, example) for name, example in real if example is not None]
    unseen = [canvas_example(film, None) for film in validation]
    examples = MaskExamples(
        phantoms=phantoms[measured:],
        real=[example for _, example in usable],
        held_out_phantoms=phantoms[:measured],
        held_out_real=[example for example in unseen if example is not None],
    )
    run_dir = job.runs / f"mask-{limb}"
    train_mask(run_dir, examples, job.recipe.mask)
    found = last_figures(run_dir)
    record = job.record(job.recipe.mask, found, {name for name, _ in usable})
    publish_mask(run_dir, job.weights / f"{limb}-mask.npz", record)
    return found


def _scorers(job: DemoJob, say: Say) -> dict[str, Any]:
    recipe = job.recipe
    found = crops_of_films(job.runs / "crops", job.films_dir, job.labels, recipe, say)
    shared = job.runs / "trunk"
    if not recipe.further:
        say("scorers: trunk")
        train_trunk(shared, found.crops, found.held_out, recipe.trunk)
    figures: dict[str, Any] = {}
    for limb in recipe.limbs:
        say(f"{limb}: scorers")
        crops, held_out = found.crops.of(limb), found.held_out.of(limb)
        out = job.weights / f"{limb}-trunk.npz"
        ready, rule = None, PLAIN
        if recipe.further and recipe.limb_trunk is None:
            kept = job.trunk or read_trunk(committed_trunk(limb))
            record = {"trunk": kept.source, "trunk_sha256": kept.sha256, "notice": DISCLAIMER}
            trunk, rule = publish_trunk(kept.arrays, out, record, kept.compact), kept.rule
        else:
            run_dir = _limb_trunk(job, limb, shared, crops, held_out)
            values = recipe.limb_trunk or recipe.trunk
            record = job.record(values, last_figures(run_dir), found.painted, limb)
            arrays, own = trained_scorer(run_dir, limb, values.start_share)
            trunk = publish_trunk(arrays, out, record)
            ready = own if recipe.head.of_the_trunk else None
        figures |= train_demo_heads(
            limb,
            trunk,
            rule,
            crops.first_simulated(recipe.head_crops),
            held_out,
            recipe.head,
            job.runs / f"heads-{limb}",
            job.weights / f"{limb}-heads.npz",
            partial(job.record, recipe.head, learnt_from=found.painted, scorer_of=limb),
            ready,
        )
        if recipe.further:
            made = write_score_recipe(job.weights, limb, "", recipe.crop_px, rule)
            say(next_command(job.weights, [made]))
    return figures


def _limb_trunk(job: DemoJob, limb: Limb, shared: Path, crops: CropSet, held_out: CropSet) -> Path:
    """Run folder of a limb's trunk: its own, trained on from another one, or the shared one."""
    if job.recipe.limb_trunk is None:
        return shared
    run_dir = job.runs / f"trunk-{limb}"
    if job.trunk is not None:
        start = job.trunk.plain_arrays()
    elif job.recipe.further:
        start = committed_scorer(limb)
    else:
        start = trunk_arrays(shared)
    train_trunk(run_dir, crops, held_out, job.recipe.limb_trunk, start)
    return run_dir
