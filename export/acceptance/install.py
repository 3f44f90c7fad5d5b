"""The steps of ``sharpedge build`` after the export: build, judge, measure, activate.

Layer: export; writes into the folder of engines and the cache of golden films. A step that was
done before an interruption is not done again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from edge.engine.backend_table import BACKENDS, REFERENCE, Precision
from edge.engine.backends.onnxruntime import OnnxRuntimeEngine
from edge.engine.device import preflight
from edge.engine.installed import activate, not_serving, scan
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import (
    Acceptance,
    EngineFile,
    InputSpec,
    Passport,
    Role,
    VerifiedEngine,
    open_engine,
    read_passport,
)
from edge.engine.tuned import read_tuned
from edge.errors import EngineError
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.scoring.self_test import write_record
from edge.system.paths import data_root, engines_home
from export.acceptance.gate import judge, scores_in, tally
from export.acceptance.golden import (
    folder_set,
    inputs_of,
    phantom_set,
    recorded_calls,
    reference_engines,
)
from export.acceptance.latency import measure, typical_inputs
from export.builders.build import (
    DEFAULT_OPTIONS,
    BuilderOptions,
    Calibration,
    Candidate,
    build_candidate,
    precisions,
)
from export.errors import BuildError, ExportError, RecipeError
from export.exporter import write_passport
from export.fp16.convert import to_rounded
from export.fp16.plan import plan_of_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge.engine.loader import EngineSet
    from edge.engine.protocol import Engine, Tensor
    from export.acceptance.golden import Call, GoldenSet

NO_DEVICE = "no device"
CALIBRATION_PATIENTS = 12
"""48 films, 384 crops of joints."""
CALIBRATION_SEED = 20_240_501


@dataclass(frozen=True)
class Built:
    """What became of one recipe on one back end."""

    stem: str
    passport: Passport
    cached: bool
    active: bool


@dataclass(frozen=True)
class Gate:
    """The films an engine is judged over, where their FP32 run is kept, and the FP32 engines.

    With ``renew`` an engine that has a verdict is judged again.
    """

    golden: GoldenSet
    cache: Path
    references: EngineSet
    renew: bool = False


def gate_of(folder: Path, films: Path | None = None) -> Gate:
    """Return the gate of an engine folder: simulated films of its limbs, or a folder of own films.

    Raises `EngineError` where an exported graph is refused.
    """
    references = reference_engines(folder)
    cache = data_root() / "golden"
    golden = phantom_set(cache, references.limbs) if films is None else folder_set(films)
    return Gate(golden, cache, references, renew=films is not None)


def record_self_test(folder: Path) -> bool:
    """Write what the shipped film gives with the exported FP32 graphs; False where none can score.

    Raises `EngineError` where an exported graph is refused.
    """
    engines = reference_engines(folder)
    if not engines.engines:
        return False
    return write_record(folder, FilmScorer(engines, PipelineSettings()), engines)


def find_recipe(word: str) -> Path:
    """Return the recipe of a path, or of a shipped engine's name. Raises `RecipeError`."""
    for path in (Path(word), engines_home() / f"{word}.toml"):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in engines_home().glob("*.toml")))
    raise RecipeError("no such recipe", where=word, fix=f"name a recipe's path, or one of {names}")


def build_and_install(
    name: str,
    folder: Path,
    backends: Iterable[str],
    gate: Gate,
    progress: Callable[[str, int, int], None],
    options: BuilderOptions = DEFAULT_OPTIONS,
) -> Iterator[Built | ExportError]:
    """Take an exported engine to gated ones, one for each back end, the fastest active.

    A back end with several precisions is tried in the next one where one is not accepted.
    ``progress`` is given what is being done, steps done and steps. An error of one back end is
    given in its place and does not stop the others.
    """
    role = read_passport(folder / f"{name}.json").role
    for backend in backends:
        for precision in candidates(backend, role):
            try:
                built, passport = build_and_judge(
                    name, folder, backend, precision, gate, progress, options
                )
                active = _activate_fastest(folder, name, built.stem, progress)
            except ExportError as error:
                yield error
                break
            except (EngineError, OSError) as error:
                fix = error.fix if isinstance(error, EngineError) else "check the engine folder"
                yield BuildError(str(error), where=f"{name}, {backend}", fix=fix)
                break
            yield Built(built.stem, passport, built.cached, active)
            if not_serving(passport) is None:
                break


def build_and_judge(
    name: str,
    folder: Path,
    backend: str,
    precision: Precision,
    gate: Gate,
    progress: Callable[[str, int, int], None],
    options: BuilderOptions = DEFAULT_OPTIONS,
) -> tuple[Candidate, Passport]:
    """Build one engine and judge it; returns it with its passport, verdict included.

    Raises `ExportError` or `EngineError`.
    """
    built = build_candidate(
        name,
        folder,
        backend,
        progress,
        precision=precision,
        options=options,
        calibration=calibration_of(gate, progress) if precision is Precision.INT8 else None,
    )
    return built, accept(built, gate, progress)


def candidates(backend: str, role: Role) -> tuple[Precision, ...]:
    """Precisions in which an engine of a role is built for a back end, the fastest first.

    The exported graph itself is no candidate. Detectors are not built in 8 bits: see
    `export.acceptance.gate.CENTRE_PX`.
    """
    return tuple(
        precision
        for precision in precisions(backend)
        if not (backend == REFERENCE and precision is Precision.FP32)
        and not (role is Role.DETECT and precision is Precision.INT8)
    )


def calibration_of(gate: Gate, progress: Callable[[str, int, int], None]) -> Calibration:
    """Return what the pipeline gives the FP32 engines over simulated films.

    They are other patients than those of the gate.
    """
    films = phantom_set(
        gate.cache, gate.references.limbs, CALIBRATION_PATIENTS, seed=CALIBRATION_SEED
    )

    def images(name: str) -> list[Tensor]:
        engine = next(one for one in gate.references.engines.values() if one.name == name)
        spec = InputSpec.model_validate(engine.passport["input"])
        calls = recorded_calls(
            films,
            gate.references,
            gate.cache,
            progress=lambda done, total: progress("calibrating", done, total),
        )
        return [inputs_of(engine, call)[spec.name] for call in calls if call.engine == name]

    return Calibration(films.identity, images)


def accept(built: Candidate, gate: Gate, progress: Callable[[str, int, int], None]) -> Passport:
    """Judge a built engine over the golden set, write the verdict into its passport, return it.

    A verdict over films that is there already holds, unless the gate renews it. One that came
    before any film, because a library was missing, does not.
    """
    key = device_key()
    earlier = built.passport.acceptance
    if earlier is not None and earlier.films and not gate.renew:
        return built.passport
    folder = built.path.parent
    verified = open_engine(built.path, key)
    passport = verified.passport
    latency: dict[str, float] = {}
    if BACKENDS[passport.backend].needs_gpu and preflight().device is None:
        simulated = _simulated(folder, passport, key)
        judged = _judged(simulated, passport.engine.precision, gate, progress)
        acceptance = judged.model_copy(
            update={
                "accepted": False,
                "reason": NO_DEVICE,
                "warning": f"figures of FP16 rounding simulated on the CPU: {judged.reason}",
            }
        )
    else:
        try:
            engine = open_backend(verified)
            acceptance = _judged(engine, passport.engine.precision, gate, progress)
        except EngineError as error:
            acceptance = Acceptance(accepted=False, reason=str(error))
        else:
            if acceptance.accepted:
                latency = measure(engine, typical_inputs(engine)).figures
    accepted = passport.model_copy(update={"acceptance": acceptance, "latency_ms": latency})
    write_passport(built.path, accepted, key)
    return accepted


def _judged(
    engine: Engine,
    precision: Precision,
    gate: Gate,
    progress: Callable[[str, int, int], None],
) -> Acceptance:
    scores = 0

    def counted() -> Iterator[Call]:
        nonlocal scores
        for call in recorded_calls(
            gate.golden,
            gate.references,
            gate.cache,
            progress=lambda done, total: progress("judging", done, total),
        ):
            scores += scores_in(call)
            yield call

    found = tally(engine, counted())
    return judge(found, precision, Role(str(engine.passport["role"])), all_scores=scores)


def _simulated(folder: Path, passport: Passport, key: bytes) -> Engine:
    """Return the FP32 graph with FP16's rounding, as an engine of ONNX Runtime."""
    reference = open_engine(folder / f"{passport.name}.json", key)
    model = onnx.load_from_string(reference.data)
    half = reference.passport.half
    kept = [item.node for item in half.kept_fp32] if half else []
    data = to_rounded(model, plan_of_kept(model, kept)).SerializeToString()
    file = EngineFile(
        file="simulated.onnx", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)
    )
    simulated = reference.passport.model_copy(update={"engine": file})
    return OnnxRuntimeEngine(VerifiedEngine(simulated, data, reference.path))


def _activate_fastest(
    folder: Path, name: str, stem: str, progress: Callable[[str, int, int], None]
) -> bool:
    """Activate the new engine where it was accepted and none that serves is faster.

    Where the recipe was tuned, that measurement decides: it ran the engines in turns.
    """
    key = device_key()
    tuned, _ = read_tuned(folder, key)
    if tuned is not None and name in tuned.engines:
        return False
    items = {item.stem: item.passport for item in scan(folder) if item.passport is not None}
    new = items[stem]
    if not_serving(new) is not None:
        return False
    reference = items[name]
    if not reference.latency_ms:
        progress("measuring", 0, 1)
        engine = open_backend(open_engine(folder / f"{name}.json", key))
        figures = measure(engine, typical_inputs(engine)).figures
        reference = reference.model_copy(update={"latency_ms": figures})
        write_passport(folder / f"{name}.json", reference, key)
        items[name] = reference
        progress("measuring", 1, 1)
    rivals = [
        passport.latency_ms["total_p50"]
        for other, passport in items.items()
        if passport.name == name
        and passport.graph == new.graph
        and not_serving(passport) is None
        and "total_p50" in passport.latency_ms
        and other != stem
    ]
    if rivals and min(rivals) < new.latency_ms["total_p50"]:
        return False
    activate(folder, stem, key)
    return True
