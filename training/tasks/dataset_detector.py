"""``sharpedge train detector``: any Darknet network that the importer knows, on a data set's boxes.

Layer: training.tasks; writes checkpoints, and one ``.cfg`` and ``.weights`` a limb.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from edge.system.paths import engines_home
from export.importers.compact import load_compact
from export.importers.darknet import parse_cfg, read_weights, write_darknet_weights
from export.importers.darknet.weights import array_shapes
from training.data.placement import boxed_films, place_films
from training.datasets.split import Part, fingerprint
from training.errors import TrainingError
from training.models.darknet import DarknetModule, sections_of
from training.run.run_folder import last_figures, require_same_values
from training.synthetic.phantom_films import PhantomFilms
from training.tasks.dataset_job import limbs_of
from training.tasks.detector import DetectorExamples, shortened, train_detector
from training.tasks.pretrained import fitting_arrays, two_classes
from training.tasks.publish import trained_detector
from training.tasks.recipe_files import next_command, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from edge.anatomy import Limb
    from training.datasets.places import Placed
    from training.datasets.truth import FilmTruth
    from training.tasks.dataset_job import DataSetJob
    from training.tasks.recipes import DetectorRecipe

_TOLERANCE = 1e-3


def train_detectors(
    job: DataSetJob,
    cfg: Path,
    weights: Path | None,
    *,
    samples: int | None,
    places_from_engines: bool,
    from_committed: bool,
) -> dict[str, Any]:
    """Train one detector a limb; returns the figures by limb.

    ``weights`` are Darknet weights to start from; ``from_committed`` starts from the committed
    detector's. ``places_from_engines``: films without boxes get the boxes that the installed
    engines find.
    """
    text = cfg.read_text("utf-8-sig", errors="replace")
    adapted = two_classes(text)
    side = parse_cfg(adapted).input[1]
    recipe = replace(job.recipe.detector, size_px=side)
    if samples is not None:
        recipe = shortened(recipe, samples)
    figures: dict[str, Any] = {}
    written = []
    for limb in limbs_of(job):
        run_dir = job.runs / f"detect-{limb}"
        start = _start_of(text, adapted, weights, limb, from_committed=from_committed)
        arrays = None if start is None else start.arrays
        if start is not None:
            job.say(f"{limb}: begins with {start.summary}")
        learnt, apart = (
            _with_boxes(job, limb, part, places_from_engines=places_from_engines)
            for part in (Part.TRAIN, Part.VALIDATION)
        )
        films = {part: boxed_films(mine) for part, mine in ((Part.TRAIN, learnt),
                                                            (Part.VALIDATION, apart))}  # fmt: skip
        if not films[Part.TRAIN]:
            raise TrainingError(
                f"{limb}: no film has boxes",
                fix="draw some (labelImg, one XML a film), or add --boxes-from-engines to learn "
                "from what the installed engines see",
            )
        job.say(f"{limb}: {len(films[Part.TRAIN])} films with boxes, "
                f"{len(films[Part.VALIDATION])} of other patients only measured")  # fmt: skip
        require_same_values(
            run_dir,
            asdict(recipe)
            | {
                "data_set": fingerprint(job.dataset),
                "cfg": hashlib.sha256(adapted.encode()).hexdigest(),
                "pretrained": start and start.sha256,
                "boxes_from_engines": places_from_engines,
            },
        )
        examples = DetectorExamples(
            films[Part.TRAIN], films[Part.VALIDATION], PhantomFilms(run_dir, limb)
        )
        train_detector(sections_of(adapted), run_dir, examples, recipe, pretrained=arrays)
        figures[str(limb)] = last_figures(run_dir)
        written.append(_publish(job, limb, adapted, learnt, recipe, run_dir))
    job.say(next_command(job.out, written))
    return figures


@dataclass(frozen=True)
class _Pretrained:
    """Arrays that a detector starts from, and a summary to print."""

    arrays: dict[str, np.ndarray]
    summary: str
    sha256: str


def _start_of(
    text: str, adapted: str, weights: Path | None, limb: Limb, *, from_committed: bool
) -> _Pretrained | None:
    path = engines_home() / "weights" / f"{limb}-detect.npz" if from_committed else weights
    if path is None:
        return None
    data = path.read_bytes()
    arrays = load_compact(path)[0] if from_committed else fitting_arrays(text, data)
    shapes = array_shapes(parse_cfg(adapted))
    fit = [name for name, shape in shapes.items() if name in arrays and arrays[name].shape == shape]
    if not fit:
        raise TrainingError(
            f"{path.name}: none of its arrays fits the .cfg",
            fix="give the .cfg that the weights were trained with",
        )
    summary = f"{len(fit)} of {len(shapes)} arrays of {path.name}"
    return _Pretrained(arrays, summary, hashlib.sha256(data).hexdigest())


def _with_boxes(
    job: DataSetJob, limb: Limb, part: Part, *, places_from_engines: bool
) -> list[FilmTruth]:
    films = job.films(limb, part)
    if not places_from_engines:
        return films
    bare = [film for film in films if all(joint.place is None for joint in film.joints)]
    placed = place_films(bare, job.engines, job.runs, job.progress(f"{limb} joints"))
    found = {one.truth.name: _as_found(one) for one in placed}
    return [found.get(film.name, film) for film in films]


def _as_found(one: Placed) -> FilmTruth:
    places = dict(zip(one.names, one.points.tolist(), strict=True))
    joints = tuple(
        replace(joint, centre=tuple(places[joint.name])) if joint.name in places else joint
        for joint in one.truth.joints
    )
    return replace(one.truth, joints=joints)


def _publish(
    job: DataSetJob,
    limb: Limb,
    cfg: str,
    learnt: list[FilmTruth],
    recipe: DetectorRecipe,
    run_dir: Path,
) -> Path:
    network = parse_cfg(cfg)
    model, seen = trained_detector(run_dir, sections_of(cfg))
    data = write_darknet_weights(network, model.arrays(), seen=seen)
    read_weights(network, data)
    names = {"cfg": f"cfg/{limb}-detect.cfg", "weights": f"weights/{limb}-detect.weights"}
    for name, content in ((names["cfg"], cfg.encode()), (names["weights"], data)):
        (job.out / name).parent.mkdir(parents=True, exist_ok=True)
        (job.out / name).write_bytes(content)
    job.say(f"{limb}: {opencv_agrees(model, job.out / names['cfg'], job.out / names['weights'])}")
    record = job.record(recipe, learnt, last_figures(run_dir))
    (job.out / "weights" / f"{limb}-detect.json").write_text(
        json.dumps(record, indent=1) + "\n", "utf-8"
    )
    source = ['kind = "darknet"', *(f'{key} = "{name}"' for key, name in names.items()),
              "bn_epsilon = 1e-6"]  # fmt: skip
    return write_recipe(job.out, limb, "detect", source, network.input[1:], network.input[0])


def opencv_agrees(model: DarknetModule, cfg: Path, weights: Path) -> str:
    """Read the pair with OpenCV's own Darknet reader, where it has one, and compare the centres.

    Raises `TrainingError` where the two networks differ.
    """
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        return f"OpenCV {cv2.__version__} has no Darknet reader (4 has): not compared with it"
    if any(head.new_coords for head in model.network.heads):
        return "OpenCV reads new_coords in another way: not compared with it"
    side = model.network.input[1]
    image = np.random.default_rng(1).random((1, model.input_channels, side, side), np.float32)
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(image)
    theirs = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    with torch.no_grad():
        heads = model(torch.from_numpy(image))
    decoded = []
    for head, anchor in zip(heads, model.anchors(), strict=True):
        n, _, high, wide = head.shape
        rows = head.reshape(n, len(anchor), -1, high, wide).permute(0, 3, 4, 1, 2)
        decoded.append(rows[..., 4].sigmoid().reshape(-1))
    apart = float(np.abs(theirs[:, 4] - torch.cat(decoded).numpy()).max())
    if apart > _TOLERANCE:
        raise TrainingError(
            f"OpenCV's reader gives another objectness, {apart:.2g} apart",
            fix="report it with the .cfg: the file must not be used",
        )
    return f"OpenCV {cv2.__version__} reads the .weights and agrees (objectness within {apart:.1g})"
