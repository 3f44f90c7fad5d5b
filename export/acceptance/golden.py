"""The golden set: films, and every call of the FP32 engines over them.

Layer: export; draws simulated patients, or reads a folder of films; keeps films and the recorded
calls in a cache folder, so that engines of several recipes are judged against one FP32 run.

What is recorded is each call of each engine: its grey input, and of its FP32 outputs what a task
needs. A candidate is then judged on the same inputs, so that a flip is its own and not a detector's
that moved a crop by a pixel.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

import phantom
from edge.anatomy import Limb
from edge.engine.inputs import to_inputs
from edge.engine.installed import NO_PASSPORTS
from edge.engine.key import device_key
from edge.engine.loader import EngineSet, open_backend
from edge.engine.passport import Role, open_engine
from edge.errors import NullReason
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.scoring.score_files import films_in, read_film
from edge.scoring.self_test import code_hash
from edge.system.files import whole_file, write_whole
from phantom.command import LIMBS, patient_film, patient_grades

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from edge.engine.protocol import Engine, Tensor, Timings
    from edge.model import JointScore, LimbResult

Grey = npt.NDArray[np.uint8]

PATIENTS = 33
"""33 patients with 62 scores each: 2,046 scores."""
SEED = 20_240_607
LEAST_CONFIDENCE = 0.25
"""Rows of a detector under this are not recorded: none comes near the limit of .5."""
_QUALITY = 92
_KEPT_RUNS = 3
_FACTS_VERSION = 2
"""Changes with what `facts_of` keeps, so that an earlier run is not read for another's."""


class Call(NamedTuple):
    """One call of an engine: grey input [n, H, W] and the FP32 facts by name.

    Facts of a scorer: its outputs, and ``joints`` [n] names. Of a mask: ``mask`` [H, W] bool. Of a
    detector: ``rows`` [k, 5 + classes] and ``index`` [k], the rows' places among all.
    """

    film: str
    engine: str
    limb: Limb
    grey: Grey
    facts: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class GoldenSet:
    """Films by name, in order; ``simulated`` patients, or a site's own."""

    films: Callable[[], Iterator[tuple[str, bytes]]]
    count: int
    simulated: bool
    identity: str


def phantom_set(
    cache: Path, limbs: Sequence[Limb] = tuple(Limb), patients: int = PATIENTS, seed: int = SEED
) -> GoldenSet:
    """Return the films of simulated patients, drawn when they are first asked for.

    Films are of ``limbs`` alone. Every film is drawn as it is, unmirrored; grades are flat, so that
    each is met as often.
    """
    wanted = [index for index, (limb, _) in enumerate(LIMBS) if limb in limbs]
    looks = _hash_of(Path(phantom.__file__).parent)
    folder = cache / f"films-{seed}-{looks[:12]}"

    def films() -> Iterator[tuple[str, bytes]]:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, patients + 1):
            grades = None
            for index in wanted:
                path = folder / f"{number:04d}-{index}.jpg"
                if not path.exists():
                    grades = grades or patient_grades(seed, number, "flat")
                    film = patient_film(grades, seed, number, index, "eval")
                    _write_jpeg(path, film.film.pixels)
                limb, side = LIMBS[index]
                yield f"P{number:04d}-{side}{limb[0].upper()}.jpg", path.read_bytes()

    return GoldenSet(
        films,
        patients * len(wanted),
        simulated=True,
        identity=f"{seed}-{patients}-{wanted}-{looks}",
    )


def folder_set(folder: Path) -> GoldenSet:
    """Return the films of a folder. What is written out names them by number, never by name."""
    paths = list(films_in([folder]))

    def films() -> Iterator[tuple[str, bytes]]:
        for path in paths:
            yield path.name, read_film(path)

    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return GoldenSet(films, len(paths), simulated=False, identity=total.hexdigest())


def reference_engines(folder: Path, threads: int = 0) -> EngineSet:
    """Load the exported FP32 graphs of a folder, whatever else is installed or chosen.

    Raises `edge.errors.EngineError` where one is refused.
    """
    key = device_key()
    engines: dict[tuple[Role, Limb], Engine] = {}
    for path in sorted(folder.glob("*.json")):
        if "." in path.stem or path.name in NO_PASSPORTS:
            continue
        verified = open_engine(path, key)
        passport = verified.passport
        engines[passport.role, passport.limb] = open_backend(verified, threads=threads)
    return EngineSet(engines)


class Recorder:
    """An `Engine` that notes what it is given and what it gives."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.calls: list[tuple[Grey, dict[str, npt.NDArray[Any]]]] = []

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self._engine.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the engine file."""
        return self._engine.sha256

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Input name to shape."""
        return self._engine.input_shapes

    @property
    def passport(self) -> Mapping[str, object]:
        """The JSON sidecar."""
        return self._engine.passport

    @property
    def timings(self) -> Timings:
        """Of the last run."""
        return self._engine.timings

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once, and note it."""
        outputs = self._engine.run(inputs)
        grey = grey_of(self._engine, inputs)
        self.calls.append((grey, facts_of(self._engine, outputs)))
        return outputs


def grey_of(engine: Engine, inputs: Mapping[str, Tensor]) -> Grey:
    """Return the grey images [n, H, W] behind an engine's inputs, exactly."""
    spec = cast("Mapping[str, Any]", engine.passport["input"])
    first = inputs[str(spec["name"])][:, 0]
    grey = (first * spec["std"][0] + spec["mean"][0]) / spec["scale"]
    return np.asarray(np.rint(grey), np.uint8)


def facts_of(engine: Engine, outputs: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    """Of an engine's outputs, what its task decides by; see `Call`."""
    role = Role(str(engine.passport["role"]))
    if role is Role.MASK:
        probability = outputs["mask"][0, 0]
        return {"mask": probability >= 0.5, "probability": probability.astype(np.float16)}
    if role is Role.DETECT:
        rows = outputs["boxes"][0]
        index = np.flatnonzero((rows[:, 4:5] * rows[:, 5:]).max(axis=1) >= LEAST_CONFIDENCE)
        return {"rows": rows[index], "index": index}
    return dict(outputs)


def recorded_calls(
    golden: GoldenSet,
    engines: EngineSet,
    cache: Path,
    settings: PipelineSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Call]:
    """Give every call that the pipeline makes of the FP32 engines, film by film.

    A film's calls are kept in ``cache``; they are made again when films, engines, or the pipeline's
    code change. ``progress`` is given films done and films in all.
    """
    settings = settings or PipelineSettings()
    folder = cache / f"run-{_run_key(golden, engines, settings)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    _forget_runs(cache, folder)
    recorders = {where: Recorder(engine) for where, engine in engines.engines.items()}
    scorer = FilmScorer(EngineSet(recorders), settings)
    for number, (name, data) in enumerate(golden.films()):
        path = folder / f"{number:05d}.npz"
        if not path.exists():
            for recorder in recorders.values():
                recorder.calls.clear()
            results = [limb.result for limb in scorer.score(data, name).limbs]
            shown = Path(name).stem if golden.simulated else f"film {number + 1}"
            _save(path, list(_calls_of(shown, recorders.values(), results)))
        yield from _load(path)
        if progress is not None:
            progress(number + 1, golden.count)


def _forget_runs(cache: Path, current: Path) -> None:
    """Remove recorded runs of engines that are long gone."""
    os.utime(current)
    runs = sorted(cache.glob("run-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in runs[_KEPT_RUNS:]:
        shutil.rmtree(path, ignore_errors=True)


def inputs_of(engine: Engine, call: Call) -> dict[str, Tensor]:
    """Arrays of a recorded call, as this engine's passport asks for them."""
    return to_inputs(engine, call.grey)


def _calls_of(
    film: str, recorders: Iterable[Recorder], results: list[LimbResult]
) -> Iterator[Call]:
    shown_limbs = {str(result.limb) for result in results if result.limb is not None}
    for recorder in recorders:
        role, limb = str(recorder.passport["role"]), str(recorder.passport["limb"])
        if shown_limbs and limb not in shown_limbs:
            # What a hand's detector sees on a foot decides nothing.
            continue
        joints = [
            given
            for result in results
            if result.limb == limb and (given := [_name(j) for j in result.joints if _given(j)])
        ]
        for number, (grey, facts) in enumerate(recorder.calls):
            if role == Role.SCORE:
                facts = {**facts, "joints": np.array(joints[number])}  # noqa: PLW2901
            yield Call(film, recorder.name, Limb(limb), grey, facts)


def _name(joint: JointScore) -> str:
    return str(joint.name or joint.name_candidate)


def _given(joint: JointScore) -> bool:
    """Whether a joint's crop was given to the scorer, its grade believed or not."""
    return joint.erosion is not None or joint.erosion_reason in (
        NullReason.UNFAMILIAR,
        NullReason.DOUBTFUL,
        NullReason.COVERED,
    )


def _save(path: Path, calls: list[Call]) -> None:
    arrays: dict[str, Any] = {}
    for i, call in enumerate(calls):
        arrays[f"{i}/grey"] = call.grey
        arrays |= {f"{i}/fact/{key}": value for key, value in call.facts.items()}
    names = json.dumps([[call.film, call.engine, call.limb] for call in calls])
    arrays["names"] = np.array(names)
    with whole_file(path, durable=False) as file:
        np.savez_compressed(file, **arrays)


def _load(path: Path) -> Iterator[Call]:
    with np.load(path, allow_pickle=False) as arrays:
        keys = list(arrays)
        for i, (film, engine, limb) in enumerate(json.loads(str(arrays["names"]))):
            start = f"{i}/fact/"
            facts = {key[len(start) :]: arrays[key] for key in keys if key.startswith(start)}
            yield Call(film, engine, Limb(limb), arrays[f"{i}/grey"], facts)


def _run_key(golden: GoldenSet, engines: EngineSet, settings: PipelineSettings) -> str:
    parts = {
        "golden": golden.identity,
        "engines": engines.engine_set_hash,
        "settings": settings.model_dump(mode="json"),
        "code": code_hash(),
        "least": LEAST_CONFIDENCE,
        "facts": _FACTS_VERSION,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _hash_of(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def _write_jpeg(path: Path, pixels: Grey) -> None:
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError(f"{path.name}: {pixels.shape} pixels cannot be encoded")
    write_whole(path, data.tobytes(), durable=True)
