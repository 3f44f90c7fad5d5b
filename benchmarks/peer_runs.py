"""Measures ours and peers in turns, in one run.

Layer: benchmarks; measures. In each round everybody runs once, in an order that changes from round
to round, so that what disturbs one round disturbs all; ratios are taken within rounds.
"""

from __future__ import annotations

import gc
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.engines import installed, tuned_threads
from benchmarks.figures import CYCLE
from benchmarks.films import encoded, patient_films
from benchmarks.paper_way import PaperWay, our_way
from benchmarks.peer_tables import OURS
from benchmarks.peers import PEERS, largest_difference
from benchmarks.runs import APPLIANCE_SIZE, SIMULATED
from benchmarks.series import Series
from edge.engine.loader import EngineSet, load_engines, open_backend
from edge.errors import EdgeError
from edge.model import Status
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines
from export.acceptance.latency import typical_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.films import BenchFilm
    from benchmarks.peers import Peer
    from benchmarks.runs import Progress
    from benchmarks.session import Session
    from edge.engine.passport import VerifiedEngine
    from edge.engine.protocol import Engine

PAUSE_S = 0.02
"""Between two contenders: threads of the one before may still spin, waiting for work."""
_WARM_UPS = 2
_DIFFERENCE = 0.02
_PIPELINE = "film to result"
_PAPER = "film to grades"
WHAT_PAPER_MEANS = (
    "paper's way: OpenCV decodes and crops, CLAHE, mask, YOLOv3-608 and VGG16-224 of full width in "
    "ONNX Runtime with its defaults, float32, the trunk run once for each head; ours: each network "
    "in the back end and precision that serves its role here; random weights on both sides, joints "
    "where the simulation put them"
)


def in_turns(
    contenders: Mapping[str, Callable[[int], object]],
    rounds: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[dict[str, list[float]], list[float]]:
    """Milliseconds of every contender in each round, and when each round began.

    Each is called with the number of the round; before the first, all warm up.
    """
    for run in contenders.values():
        for number in range(_WARM_UPS):
            run(number)
    names = list(contenders)
    spent: dict[str, list[float]] = {name: [] for name in names}
    at_s: list[float] = []
    first_s = time.perf_counter()
    for number in range(rounds):
        at_s.append(time.perf_counter() - first_s)
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            time.sleep(PAUSE_S)
            begun_s = time.perf_counter()
            contenders[name](number)
            spent[name].append((time.perf_counter() - begun_s) * 1000)
        progress(number + 1, rounds)
    return spent, at_s


def run_peers(
    session: Session, engines_dir: Path | None, rounds: int, parts: Sequence[str], show: Progress
) -> None:
    """Measure the parts that are asked for: ``graph``, ``pipeline``, ``paper``."""
    folder = engines_dir or built_engines()
    peers = [peer for peer in PEERS if peer.installed]
    session.note(
        *(
            f"{peer.name}: not installed (fix: pip install {peer.package})"
            for peer in PEERS
            if not peer.installed
        )
    )
    if "graph" in parts:
        _graphs(session, folder, peers, rounds, show)
    if {"pipeline", "paper"} & set(parts):
        session.note(SIMULATED)
        films = encoded(patient_films(), APPLIANCE_SIZE, "JPEG")
        if "pipeline" in parts:
            _pipelines(session, folder, peers, rounds, films, show)
        if "paper" in parts:
            _paper(session, folder, rounds, films, show)


def _graphs(
    session: Session, folder: Path, peers: Sequence[Peer], rounds: int, show: Progress
) -> None:
    serving = load_engines(folder)
    own, threads = list(installed(folder)), tuned_threads(folder)
    for path, reference in own:
        if not reference.passport.is_reference:
            continue
        name = reference.passport.name
        where = (reference.passport.role, reference.passport.limb)
        engines: dict[str, tuple[Engine, str]] = {}
        ours = serving.require(*where)
        engines[OURS] = (ours, _precision(ours))
        for other_path, other in own:
            variant = other.passport
            if variant.name != name or variant.build_key == ours.passport.get("build_key"):
                continue
            title = f"{OURS}, {variant.backend} {variant.engine.precision}"
            if other_path == path or variant.graph == reference.passport.graph:
                loaded = open_backend(other, threads=threads.get(other_path.stem, 0))
                engines[title] = (loaded, str(variant.engine.precision))
        inputs = typical_inputs(ours)
        wanted = open_backend(reference).run(inputs)
        for peer in peers:
            engine = _made(session, peer, reference)
            if engine is None:
                continue
            apart = largest_difference(wanted, engine.run(inputs))
            if apart > _DIFFERENCE and str(peer.precision()) == "fp32":
                session.note(f"{peer.name}: outputs of {name} differ by {apart:.1%} from ours")
            engines[peer.name] = (engine, str(peer.precision()))
        batch = str(len(next(iter(inputs.values()))))
        with session.measuring("peers", name):
            spent, at_s = in_turns(
                {title: partial(_run, engine, inputs) for title, (engine, _) in engines.items()},
                rounds,
                partial(show, name),
            )
        session.add(
            Series(
                "peers",
                name,
                tuple(values),
                {
                    "part": "graph",
                    "contender": title,
                    "precision": engines[title][1],
                    "batch": batch,
                },
                at_s=tuple(at_s),
            )
            for title, values in spent.items()
        )
        del engines
        gc.collect()


def _run(engine: Engine, inputs: Mapping[str, object], _number: int) -> None:
    engine.run(inputs)  # type: ignore[arg-type]


def _pipelines(
    session: Session,
    folder: Path,
    peers: Sequence[Peer],
    rounds: int,
    films: Sequence[BenchFilm],
    show: Progress,
) -> None:
    references = {
        (verified.passport.role, verified.passport.limb): verified
        for _, verified in installed(folder)
        if verified.passport.is_reference
    }
    scorers = {OURS: FilmScorer(load_engines(folder), PipelineSettings())}
    for peer in peers:
        made = {where: _made(session, peer, verified) for where, verified in references.items()}
        engines = {where: engine for where, engine in made.items() if engine is not None}
        if len(engines) == len(references):
            scorers[peer.name] = FilmScorer(EngineSet(engines), PipelineSettings())
    for title, scorer in list(scorers.items()):
        for film in films:
            result = scorer.score(film.data, film.name).limbs[0].result
            if result.status is not Status.SCORED:
                session.note(f"{title}: {film.name} was not scored ({result.reason}); left out")
                del scorers[title]
                break
    if OURS not in scorers:
        raise EdgeError("our own pipeline did not score the films (fix: sharpedge score)")
    with session.measuring("peers", "pipeline"):
        spent, at_s = in_turns(
            {title: partial(_score, scorer, films) for title, scorer in scorers.items()},
            rounds,
            partial(show, "pipelines"),
        )
    _add(session, "pipeline", _PIPELINE, spent, at_s, films)


def _paper(
    session: Session, folder: Path, rounds: int, films: Sequence[BenchFilm], show: Progress
) -> None:
    show("full-size networks", 0, 1)
    ours = our_way(load_engines(folder))
    theirs = PaperWay()
    show("full-size networks", 1, 1)
    session.note(WHAT_PAPER_MEANS, f"ours with full-size networks: {ours.description}")
    contenders: dict[str, Callable[[int], object]] = {
        OURS: lambda number: ours.grade(films[number % len(films)]),
        "paper's way, entropy mask": lambda number: theirs.grade(
            films[number % len(films)], by_entropy=True
        ),
        "paper's way, U-Net mask": lambda number: theirs.grade(
            films[number % len(films)], by_entropy=False
        ),
    }
    with session.measuring("peers", "paper"):
        spent, at_s = in_turns(contenders, rounds, partial(show, "full size"))
    _add(session, "paper", _PAPER, spent, at_s, films)


def _add(
    session: Session,
    part: str,
    name: str,
    spent: dict[str, list[float]],
    at_s: list[float],
    films: Sequence[BenchFilm],
) -> None:
    for title, values in spent.items():
        labels = {"part": part, "contender": title, "size": films[0].size}
        if len(values) % len(films) == 0:
            labels[CYCLE] = str(len(films))
        session.add([Series("peers", name, tuple(values), labels, at_s=tuple(at_s))])


def _score(scorer: FilmScorer, films: Sequence[BenchFilm], number: int) -> None:
    film = films[number % len(films)]
    scorer.score(film.data, film.name)


def _made(session: Session, peer: Peer, verified: VerifiedEngine) -> Engine | None:
    """The peer's engine; None, and a note, where it refuses the graph."""
    try:
        return peer.make(verified)
    except Exception as error:  # noqa: BLE001 - libraries of others share no base class
        first = str(error).strip().partition("\n")[0][:160]
        session.note(f"{peer.name}: refuses {verified.passport.name}: {first}")
        return None


def _precision(engine: Engine) -> str:
    stated = engine.passport.get("engine")
    return str(stated.get("precision", "")) if isinstance(stated, dict) else ""
