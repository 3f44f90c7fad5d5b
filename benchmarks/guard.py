"""Notices when engines or pipeline became slower: ``python -m benchmarks.guard``.

Layer: benchmarks; measures; appends one line to the history file that it is given.

Each round runs a fixed computation in numpy, then every engine that serves, then one film. What is
kept are ratios to that computation in the same round, so that a slower or busier machine changes
nothing. The last runs on the same kind of machine, with the same back ends and precisions, are what
a ratio is held against.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.films import encoded, patient_films
from benchmarks.intervals import Interval, median_ratio
from benchmarks.machine import machine
from benchmarks.peer_runs import in_turns
from benchmarks.pipeline import WHOLE, timed
from benchmarks.runs import APPLIANCE_SIZE
from benchmarks.session import code_version
from edge.engine.loader import load_engines
from edge.engine.passport import Passport
from edge.errors import EdgeError
from edge.model import DISCLAIMER
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines
from edge.system.terminal import Progress
from export.acceptance.latency import typical_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.engine.loader import EngineSet

HISTORY = Path(__file__).parent / "results" / "history.jsonl"
GROWTH = 1.15
"""A ratio grew where its whole interval lies over this multiple of the median of the last runs."""
LAST = 5
ROUNDS = 24
_REFERENCE = "reference"
_FILM = "film"
_SIDE = 1024
_REPEATS = 3
_SLIGHT = 0.02
"""Stages below this share of a film are not guarded: their time is that of the clock."""

Ratios = dict[str, Interval]


def measure_ratios(engines: EngineSet, rounds: int, progress: Callable[[int, int], None]) -> Ratios:
    """Ratios of every engine, stage and whole film to the reference computation."""
    films = encoded(patient_films(), APPLIANCE_SIZE, "JPEG")
    scorer = FilmScorer(engines, PipelineSettings())
    stages: dict[str, list[float]] = {}

    def film(number: int) -> None:
        outcome, whole_ms = timed(scorer, films[number % len(films)])
        for name, spent_ms in {**outcome.stage_ms, WHOLE: whole_ms}.items():
            stages.setdefault(name, []).append(spent_ms)

    contenders: dict[str, Callable[[int], object]] = {_REFERENCE: _reference()}
    for engine in engines.engines.values():
        inputs = typical_inputs(engine)
        contenders[f"engine {engine.name}"] = partial(_run, engine.run, inputs)
    contenders[_FILM] = film
    spent, _ = in_turns(contenders, rounds, progress)
    reference = spent.pop(_REFERENCE)
    spent.pop(_FILM)
    least = _SLIGHT * float(np.median(stages[WHOLE]))
    for name, values in stages.items():
        # The warm-up was timed too; stages that not every film has are left aside.
        if len(values) == len(stages[WHOLE]) and np.median(values) >= least:
            spent[f"pipeline {name}"] = values[-rounds:]
    return {name: median_ratio(reference, values) for name, values in spent.items()}


def grown(ratios: Ratios, earlier: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Names whose ratio grew, with how many times the median of the last runs it is.

    ``earlier`` are lines of the history from the same kind of machine that were not found slower.
    """
    found = {}
    for name, ratio in ratios.items():
        before = [line["ratios"][name][1] for line in earlier[-LAST:] if name in line["ratios"]]
        if before and ratio.low > GROWTH * float(np.median(before)):
            found[name] = ratio.value / float(np.median(before))
    return found


def read_history(path: Path, kind: str, serving: dict[str, str]) -> list[dict[str, Any]]:
    """Lines of one kind of machine and engines that may be compared with. Raises `EdgeError`."""
    try:
        lines = path.read_text("utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise EdgeError(f"{path}: the history cannot be read: {error}") from error
    return [
        entry
        for entry in entries
        if entry["machine"] == kind and entry["serving"] == serving and not entry["grown"]
    ]


def kind_of_machine() -> str:
    """Processor and cores: ratios of one kind are comparable."""
    about = machine()
    return f"{about['processor']}, {about['cores']} cores"


def kinds_of_engines(engines: EngineSet) -> dict[str, str]:
    """Back end and precision of each engine that serves: ratios of the same ones are comparable."""
    return {
        engine.name: f"{about.backend} {about.engine.precision}"
        for engine in engines.engines.values()
        for about in [Passport.model_validate(engine.passport)]
    }


def guard(
    history: Path,
    rounds: int,
    *,
    accept: bool,
    say: Callable[[str], None],
    folder: Path | None = None,
) -> int:
    """Measure, compare, append; 1 where something grew and ``accept`` is not given."""
    engines = load_engines(folder or built_engines())
    kind, serving = kind_of_machine(), kinds_of_engines(engines)
    earlier = read_history(history, kind, serving)
    ratios = measure_ratios(engines, rounds, Progress("rounds"))
    slower = grown(ratios, earlier)
    commit, changed = code_version()
    entry = {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "changed": changed,
        "machine": kind,
        "rounds": rounds,
        "serving": serving,
        "engine_set": engines.engine_set_hash[:16],
        "grown": [] if accept else sorted(slower),
        "ratios": {name: [round(part, 4) for part in ratio] for name, ratio in ratios.items()},
    }
    with history.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    for name, ratio in ratios.items():
        told = f", {slower[name]:.2f} times the last runs: SLOWER" if name in slower else ""
        say(f"{name}: {ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f}) of the reference{told}")
    runs = f"{min(len(earlier), LAST)} earlier runs of such engines on {kind}"
    say(f"compared with {runs}; written: {history}")
    if slower and not accept:
        say("fix: find the commit that made it slower; or, where that is wanted, run with --accept")
        return 1
    return 0


def _reference() -> Callable[[int], object]:
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((_SIDE, _SIDE), np.float32) for _ in range(2))
    out = np.empty_like(left)

    def compute(_number: int) -> None:
        for _ in range(_REPEATS):
            np.matmul(left, right, out=out)

    return compute


def _run(run: Callable[[Any], object], inputs: object, _number: int) -> None:
    run(inputs)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=f"Guards against slower code. {DISCLAIMER}.")
    parser.add_argument("--history", type=Path, default=HISTORY)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="a multiple of four")
    parser.add_argument("--accept", action="store_true", help="keep ratios that grew as normal")
    parser.add_argument("--engines", type=Path, help="the folder of the engines; default: ours")
    given = parser.parse_args()
    try:
        return guard(
            given.history, given.rounds, accept=given.accept, say=print, folder=given.engines
        )
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
