"""The steps of ``sharpedge tune``: every engine that agrees with FP32 is timed, the fastest chosen.

Layer: export; writes engines, verdicts and the signed choice into the folder of engines.

Engines of one recipe are run in turns, so that other work on the machine slows all of them alike.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.engine.backend_table import BACKENDS, is_installed
from edge.engine.device import preflight
from edge.engine.installed import forget, not_serving
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import open_engine, read_passport
from edge.engine.tuned import Tuned, TunedEngine, machine_identity, read_tuned, write_tuned
from edge.errors import EngineError
from edge.system.processor import usable_cores
from export.acceptance.install import build_and_judge, candidates
from export.acceptance.latency import typical_inputs
from export.builders import BUILDERS
from export.errors import BuildError, ExportError
from export.exporter import now_utc, write_passport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from edge.engine.backend_table import Precision
    from edge.engine.passport import Passport
    from edge.engine.protocol import Engine, Tensor
    from export.acceptance.install import Gate

    Show = Callable[[str, int, int], None]

LEAST_ROUNDS = 15
LEAST_S = 2.0
_NO_GAIN = 0.97
"""A rival of the FP32 graph must take less than this share of its time."""
_FEWER_THREADS = 0.9
"""Fewer threads must take less than this share of the time of all."""


@dataclass(frozen=True)
class Timed:
    """One engine of a recipe with its number of threads; ``p50_ms`` is the median of a run."""

    stem: str
    passport: Passport
    threads: int
    p50_ms: float


@dataclass(frozen=True)
class TunedRecipe:
    """What was found for one recipe: every engine that was timed, the chosen one first.

    ``refused`` says of each engine that was not timed why it may not serve.
    """

    name: str
    timed: tuple[Timed, ...]
    refused: tuple[str, ...] = ()
    faults: tuple[ExportError, ...] = ()


@dataclass
class _Contest:
    """Engines of one recipe that may serve, loaded; emptied after the recipe."""

    entries: list[tuple[str, Passport, int, Engine]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: list[ExportError] = field(default_factory=list)


def tune(
    folder: Path, names: Sequence[str], backends: Iterable[str], gate: Gate, progress: Show
) -> Iterable[TunedRecipe]:
    """Build and judge what the back ends offer for each recipe, time it, and write the choice.

    Parameters
    ----------
    names
        Exported recipes; the choice of others stays.
    backends
        Names of back ends that are installed; the exported FP32 graph is always timed too.
    progress
        Given what is being done, steps done and steps.

    Yields
    ------
    TunedRecipe
        For each recipe. The choice is written after the last one.

    Raises
    ------
    EngineError
        Where an exported graph is refused, or the choice cannot be written.
    """
    wanted = [name for name in backends if name in BUILDERS]
    chosen: dict[str, TunedEngine] = {}
    for name in names:
        found = _tune_recipe(folder, name, wanted, gate, progress)
        best = found.timed[0]
        chosen[name] = TunedEngine(stem=best.stem, threads=best.threads, p50_ms=best.p50_ms)
        yield found
    key = device_key()
    earlier, _ = read_tuned(folder, key)
    engines = {**(earlier.engines if earlier is not None else {}), **chosen}
    tuned = Tuned(machine=machine_identity(), engines=engines, measured_at=now_utc())
    write_tuned(folder, tuned, key)
    forget(folder, names)


def installed_for_tuning() -> tuple[str, ...]:
    """Names of the back ends that can be timed here; those of a GPU only where there is one."""
    return tuple(
        name
        for name, row in BACKENDS.items()
        if name in BUILDERS
        and is_installed(name)
        and (not row.needs_gpu or preflight().device is not None)
    )


def thread_counts(cores: int) -> tuple[int, ...]:
    """Numbers of threads that are tried: every core, and half of them."""
    return tuple(dict.fromkeys((cores, max(1, cores // 2))))


def time_in_turns(
    runs: Sequence[Callable[[], object]],
    *,
    least_rounds: int = LEAST_ROUNDS,
    least_s: float = LEAST_S,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median time of each run in ms; in each round every run comes once, in alternating order."""
    for run in runs:
        run()
    spent: list[list[float]] = [[] for _ in runs]
    order = list(range(len(runs)))
    until_s = clock() + least_s
    rounds = 0
    while rounds < least_rounds or clock() < until_s:
        for i in order if rounds % 2 else reversed(order):
            begun_s = clock()
            runs[i]()
            spent[i].append((clock() - begun_s) * 1000)
        rounds += 1
    return [statistics.median(values) for values in spent]


def _tune_recipe(
    folder: Path, name: str, backends: Sequence[str], gate: Gate, progress: Show
) -> TunedRecipe:
    contest = _Contest()
    _enter(contest, folder, name, read_passport(folder / f"{name}.json"))
    role = contest.entries[0][1].role
    for backend in backends:
        for precision in candidates(backend, role):
            _offer(contest, folder, name, backend, precision, gate, progress)
    progress("measuring", 0, 1)
    inputs = typical_inputs(contest.entries[0][3])
    medians = time_in_turns([_run_of(engine, inputs) for *_, engine in contest.entries])
    progress("measuring", 1, 1)
    timed = [
        Timed(stem, passport, threads, round(median, 3))
        for (stem, passport, threads, _), median in zip(contest.entries, medians, strict=True)
    ]
    ranked = in_order(timed)
    _note_latency(folder, ranked)
    return TunedRecipe(name, ranked, tuple(contest.refused), tuple(contest.faults))


def _note_latency(folder: Path, ranked: Sequence[Timed]) -> None:
    """Write each engine's median into its passport: it orders those that are not chosen."""
    key = device_key()
    for stem in dict.fromkeys(one.stem for one in ranked):
        best_ms = min(one.p50_ms for one in ranked if one.stem == stem)
        passport = read_passport(folder / f"{stem}.json")
        latency = {**passport.latency_ms, "total_p50": best_ms}
        write_passport(
            folder / f"{stem}.json", passport.model_copy(update={"latency_ms": latency}), key
        )


def _offer(
    contest: _Contest,
    folder: Path,
    name: str,
    backend: str,
    precision: Precision,
    gate: Gate,
    progress: Show,
) -> None:
    """Build and judge one engine; it is timed where it may serve."""
    try:
        built, passport = build_and_judge(name, folder, backend, precision, gate, progress)
        why = not_serving(passport)
        if why is None:
            _enter(contest, folder, built.stem, passport)
        else:
            contest.refused.append(f"{BACKENDS[backend].title} {precision}: {why}")
    except ExportError as error:
        contest.faults.append(error)
    except EngineError as error:
        contest.faults.append(BuildError(str(error), where=f"{name}, {backend}", fix=error.fix))


def _run_of(engine: Engine, inputs: dict[str, Tensor]) -> Callable[[], object]:
    return lambda: engine.run(inputs)


def in_order(timed: Sequence[Timed]) -> tuple[Timed, ...]:
    """Order timed engines, the chosen one first.

    The fastest is chosen; the FP32 graph itself where nothing gains 3 % on it. Fewer threads than
    every core must gain 10 %: other work on the machine makes them look better than they are.
    """

    def judged_ms(one: Timed) -> float:
        most = max(other.threads for other in timed)
        return one.p50_ms if one.threads == most else one.p50_ms / _FEWER_THREADS

    ranked = sorted(timed, key=judged_ms)
    exact = next((one for one in ranked if one.passport.is_reference), None)
    if exact is not None and judged_ms(ranked[0]) > _NO_GAIN * judged_ms(exact):
        ranked.sort(key=lambda one: one is not exact)
    return tuple(ranked)


def _enter(contest: _Contest, folder: Path, stem: str, passport: Passport) -> None:
    """Load an engine once for each number of threads."""
    verified = open_engine(folder / f"{stem}.json", device_key())
    for threads in thread_counts(usable_cores()):
        engine = open_backend(verified, threads=threads)
        contest.entries.append((stem, passport, threads, engine))
