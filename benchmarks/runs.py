"""Runs each benchmark inside a session.

Layer: benchmarks; measures; films and folders of the appliance lie in a temporary folder.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import appliance, films, scaling
from benchmarks.engines import (
    Effort,
    describe,
    describe_unmeasured,
    installed,
    measure_engine,
    tuned_threads,
)
from benchmarks.figures import CYCLE
from benchmarks.flops import count_flops
from benchmarks.full_size import PUBLISHED, computing_as, random_engine
from benchmarks.peak import conv_gflops, sgemm_gflops
from benchmarks.pipeline import compare_grades, labels_of, measure_pipeline
from benchmarks.report import EngineRow
from edge.anatomy import Limb
from edge.engine.backend_table import REFERENCE
from edge.engine.loader import EngineSet, load_engines
from edge.errors import EdgeError, EngineError
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.appliance import Pattern
    from benchmarks.films import BenchFilm, Format
    from benchmarks.session import Session
    from edge.engine.passport import VerifiedEngine

    Progress = Callable[[str, int, int], None]

APPLIANCE_SIZE = (2000, 2500)
SIMULATED = "films are simulated: one patient, LH RH LF RF, resized"
PEAKS = (
    "measured peaks: numpy's float32 product of two 2048 x 2048 matrices; one 3 x 3 convolution of "
    "256 channels over 64 x 64 px in the engine's own back end, float32 or bfloat16"
)
PUBLISHED_NOTE = (
    "YOLOv3-608, VGG-19-224 and U-Net-256 are named and sized as in NVIDIA's jetson_benchmarks, "
    "beside our VGG16-224 and U-Net-512x416; weights are random. VGG-19 has its 16 convolutions "
    "and no dense layers; the U-Nets have the widths of ours, YOLOv3 has two classes"
)
ROWS_NOTE = "filled journals hold messages without joints"
_PEAK_S = 1.0


def run_engine(
    session: Session, engines_dir: Path | None, effort: Effort, only: Sequence[str], show: Progress
) -> None:
    """Measure every installed engine alone. Raises `EngineError` where none is installed."""
    folder = engines_dir or built_engines()
    serving = load_engines(folder)
    items = list(installed(folder, only))
    if not items:
        raise EngineError(
            f"{folder}: no engine to measure ({', '.join(only) or 'none is installed'})",
            engine="any",
            fix="sharpedge export; sharpedge engines list shows what is installed",
        )
    graphs = {v.passport.name: v.data for _, v in installed(folder) if v.passport.is_reference}
    begun_s = time.perf_counter()
    peaks = [_peaks(items, effort)]
    threads = tuned_threads(folder)
    for number, (path, verified) in enumerate(items):
        show("engines", number, len(items))
        with session.measuring("engine", path.stem):
            session.add(
                measure_engine(
                    path.stem, verified, effort, begun_s, threads=threads.get(path.stem, 0)
                )
            )
    # Before and after: a peak that was disturbed is none.
    peaks.append(_peaks(items, effort))
    for path, verified in items:
        key = _computes(verified)
        own = {how: max(found[key].get(how, 0.0) for found in peaks) for how in peaks[0][key]}
        session.engines[path.stem] = describe(path, verified, serving, own, graphs)
    session.note(PEAKS)
    show("engines", len(items), len(items))


def run_pipeline(
    session: Session,
    engines_dir: Path | None,
    rounds: int,
    sizes: Sequence[tuple[int, int]],
    formats: Sequence[Format],
    show: Progress,
) -> None:
    """Measure the pipeline over films of every size and format, and compare its grades."""
    folder = engines_dir or built_engines()
    serving = load_engines(folder)
    kinds = bench_films(session, sizes, formats, show)
    if not kinds:
        raise EdgeError("no film could be made in any of the formats; see the notes above")
    scorer = FilmScorer(serving, PipelineSettings())
    session.note(SIMULATED)
    with session.measuring("pipeline"):
        session.add(measure_pipeline(scorer, kinds, rounds, partial(show, "films")))
    reference = FilmScorer(reference_set(folder), PipelineSettings())
    session.accuracy += compare_grades(scorer, reference, kinds)
    _describe(session, folder, serving)


def run_appliance(
    session: Session,
    engines_dir: Path | None,
    patterns: Sequence[tuple[Pattern, int]],
    show: Progress,
) -> None:
    """Measure file closed to message received; each pattern with its number of films."""
    serving = load_engines(engines_dir or built_engines())
    settings = f"[worker]\nengines = '{engines_dir.resolve()}'\n" if engines_dir else ""
    drawn = films.encoded(films.patient_films(), APPLIANCE_SIZE, "JPEG")
    session.note(SIMULATED)
    labels = labels_of(drawn)
    with tempfile.TemporaryDirectory(prefix="sharpedge-bench-") as name:
        folder = Path(name)
        paths = [folder / film.name for film in drawn]
        for path, film in zip(paths, drawn, strict=True):
            path.write_bytes(film.data)
        for number, (pattern, count) in enumerate(patterns):
            with session.measuring("appliance", pattern.name):
                session.add(
                    appliance.measure(
                        folder / str(number),
                        paths,
                        pattern,
                        count,
                        settings=settings,
                        labels=labels if count % len(paths) == 0 else _without_cycle(labels),
                        progress=partial(show, pattern.name),
                    )
                )
    _describe(session, engines_dir or built_engines(), serving)


def run_scaling(session: Session, films_of_each: int, rows: Sequence[int], show: Progress) -> None:
    """Measure films a minute by arrival rate and workers, and steps by rows of the journal.

    ``rows`` are sizes of journal and outbox; with none only arrivals are measured.
    """
    session.note(SIMULATED, ROWS_NOTE)
    with tempfile.TemporaryDirectory(prefix="sharpedge-bench-") as name:
        folder = Path(name)
        paths = _written(folder)
        with session.measuring("scaling", "arrivals"):
            session.add(
                scaling.measure_arrivals(
                    folder / "arrivals",
                    paths,
                    count=films_of_each,
                    say=lambda text: show(text, 0, 1),
                )
            )
        if rows:
            with session.measuring("scaling", "journal"):
                session.add(
                    scaling.measure_journal(
                        folder / "journals", rows, say=lambda text: show(text, 0, 1)
                    )
                )
    _describe(session, built_engines(), load_engines(built_engines()))


def _written(folder: Path) -> list[Path]:
    """Write one patient's films as JPEG."""
    found = []
    for film in films.encoded(films.patient_films(), APPLIANCE_SIZE, "JPEG"):
        found.append(folder / film.name)
        found[-1].write_bytes(film.data)
    return found


def bench_films(
    session: Session,
    sizes: Sequence[tuple[int, int]],
    formats: Sequence[Format],
    show: Progress,
) -> list[tuple[BenchFilm, ...]]:
    """Films of every size and format; a format that cannot be written becomes a note."""
    drawn = films.patient_films()
    wanted = [(size, form) for size in sizes for form in formats]
    found = []
    for number, (size, form) in enumerate(wanted):
        show("drawing", number, len(wanted))
        try:
            found.append(films.encoded(drawn, size, form))
        except EdgeError as error:
            session.note(str(error))
    show("drawing", len(wanted), len(wanted))
    return found


def reference_set(folder: Path) -> EngineSet:
    """The FP32 graphs of a folder in ONNX Runtime, whatever serves there. Raises `EngineError`."""
    return load_engines(folder, backend=REFERENCE)


def run_published(
    session: Session, engines_dir: Path | None, effort: Effort, show: Progress
) -> None:
    """Measure networks of published names and sizes, with random weights, one image at a time.

    Each runs as the FP32 graph in ONNX Runtime, and in the back end and precision that serve its
    role for hands here.
    """
    serving = load_engines(engines_dir or built_engines())
    begun_s = time.perf_counter()
    for number, (title, name) in enumerate(PUBLISHED.items()):
        show("published", number, len(PUBLISHED))
        exact = random_engine(name)
        served = serving.require(exact.passport.role, Limb.HAND).passport
        ways = {_computes(one): one for one in (exact, computing_as(exact, served))}
        for (backend, precision), verified in ways.items():
            stem = f"{title} {backend} {precision}"
            with session.measuring("engine", stem):
                session.add(measure_engine(stem, verified, effort, begun_s, batch=1))
            session.engines[stem] = EngineRow(
                stem=stem,
                name=title,
                backend=backend,
                precision=precision,
                sha256=verified.passport.engine.sha256,
                batch=1,
                gflop=count_flops(exact.data) / 1e9,
                judged="random weights",
            )
    session.note(PUBLISHED_NOTE)
    show("published", len(PUBLISHED), len(PUBLISHED))


def _peaks(
    items: Sequence[tuple[Path, VerifiedEngine]], effort: Effort
) -> dict[tuple[str, str], dict[str, float]]:
    """Back end and precision to how a peak was measured and its GFLOP/s."""
    seconds = min(_PEAK_S, effort.seconds)
    matrix = sgemm_gflops(seconds)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for _, verified in items:
        key = _computes(verified)
        if key not in found:
            own = conv_gflops(verified, seconds)
            found[key] = {"numpy matrices": matrix}
            if own is not None:
                found[key]["convolution in its back end"] = own
    return found


def _computes(verified: VerifiedEngine) -> tuple[str, str]:
    return verified.passport.backend, str(verified.passport.engine.precision)


def _describe(session: Session, folder: Path, serving: EngineSet) -> None:
    """Name the engines that serve, where `run_engine` has not measured them."""
    for path, verified in installed(folder):
        row = describe_unmeasured(path, verified, serving)
        if row.serves:
            session.engines.setdefault(path.stem, row)


def _without_cycle(labels: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != CYCLE}
