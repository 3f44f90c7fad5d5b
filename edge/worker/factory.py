"""Makes the scorer of a worker from a configuration: engines, self-test, second engines.

Layer: worker; imported in the child alone, so that the daemon stays free of engines and their
libraries.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge.engine.backend_table import REFERENCE
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EngineError, OutputError
from edge.pipeline.settings import PipelineSettings
from edge.system.paths import built_engines
from edge.system.processor import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge.config import Config
    from edge.engine.loader import EngineSet
    from edge.model import Identifiers, LimbResult, OperatorStatement, PictureForm, Versions
    from edge.pipeline.picture.words import Caption
    from edge.scoring.film_scorer import FilmScorer
    from edge.worker.second_opinion import Rechecker

log = logging.getLogger(__name__)


class _Limb(Protocol):
    @property
    def result(self) -> LimbResult: ...
    @property
    def overlay(self) -> Callable[[Caption, PictureForm], bytes | None] | None: ...
    @property
    def figures(self) -> dict[str, float]: ...


class _Film(Protocol):
    @property
    def limbs(self) -> Sequence[_Limb]: ...
    @property
    def stage_ms(self) -> dict[str, float]: ...
    @property
    def study_key(self) -> str | None: ...
    @property
    def patient_key(self) -> str | None: ...
    @property
    def burned_in_annotation(self) -> bool: ...
    @property
    def identifiers(self) -> Identifiers | None: ...


class Scorer(Protocol):
    """What the worker asks of a scorer: `edge.scoring.film_scorer.FilmScorer`, or a stand-in."""

    versions: Versions

    def score(
        self,
        data: bytes,
        file_name: str,
        operator: OperatorStatement | None = None,
        on_stage: Callable[[str], None] | None = None,
    ) -> _Film:
        """Score one film; gives rejected limbs for bad ones."""


class Made(NamedTuple):
    """What a factory gives: a scorer and the hash of its set of engines.

    ``degraded`` are reasons why a lesser engine serves; ``unfit`` says why no score may be
    published, empty where the self-test passed; ``rechecker`` looks at films again when idle, and
    ``second_fault`` says why there is none although the site wants one.
    """

    scorer: Scorer
    engine_set: str
    degraded: tuple[str, ...] = ()
    unfit: str = ""
    rechecker: Rechecker | None = None
    second_fault: str = ""


def film_scorer(config: Config) -> Made:
    """Make the shipped scorer from the engines that are installed.

    An engine whose outputs cannot be used on the self-test's film is left out, and the next back
    end of its recipe serves; where there is none, the scorer is made ``unfit``.

    Raises `edge.errors.EngineError`, with the command that repairs it, when an engine is missing or
    refused.
    """
    folder = config.worker.engines or built_engines()
    chosen = config.worker
    threads = _threads_of(config)
    refused, unfit = set(chosen.refuse), ""

    def load(refuse: set[str]) -> EngineSet:
        return _load_while_importing(
            lambda: load_engines(
                folder,
                threads=threads,
                backend=chosen.backend,
                fallback=chosen.fallback,
                refuse=refuse,
            )
        )

    while True:
        try:
            engines = load(refused)
        except EngineError as error:
            if not refused:
                raise
            # Without those that are refused nothing is left: films wait.
            engines, unfit = load(set()), unfit or str(error)
            break
        from edge.scoring.self_test import self_test  # noqa: PLC0415 - imported while they loaded

        try:
            # With the settings that the record was made with, whatever this site's are.
            unfit = self_test(folder, _scorer(engines, PipelineSettings()), engines)
            break
        except OutputError as error:
            log.error("%s", error)  # noqa: TRY400 - one line an event
            unfit = str(error)
            if error.sha256 in refused:
                break
            refused.add(error.sha256)
    rechecker, second_fault = None, ""
    try:
        rechecker = _rechecker(config, folder, engines)
    except EngineError as error:
        # A candidate's engines must not cost the work of those that serve.
        second_fault = f"no film is scored a second time: {error}"
    return Made(
        _scorer(engines, config.pipeline),
        engines.engine_set_hash,
        degraded=(
            *(f"{it.stem}: {it.why} (fix: {it.fix})" for it in engines.refusals),
            *_missing(engines),
        ),
        unfit=unfit,
        rechecker=rechecker,
        second_fault=second_fault,
    )


def _missing(engines: EngineSet) -> Iterator[str]:
    """Say which grades cannot be given, or only from a lesser mask, for want of an engine."""
    for limb in engines.limbs:
        for role in (Role.MASK, Role.SCORE):
            if engines.get(role, limb) is None:
                yield f"{limb}-{role}: is not installed (fix: sharpedge export)"


def _scorer(engines: EngineSet, settings: PipelineSettings) -> FilmScorer:
    from edge.scoring.film_scorer import FilmScorer  # noqa: PLC0415 - imported while they loaded

    return FilmScorer(engines, settings)


def _load_while_importing(load: Callable[[], EngineSet]) -> EngineSet:
    """Load engines, most of which needs no lock of Python's, while the pipeline is imported."""
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        import_module("edge.scoring.self_test")
        import_module("edge.scoring.film_scorer")
        return loading.result()


def _threads_of(config: Config) -> int:
    """Threads inside one inference: several workers share the cores. 0 stands for all of them."""
    chosen = config.worker
    if chosen.threads or chosen.count == 1:
        return chosen.threads
    import cv2  # noqa: PLC0415 - as the pipeline, while engines are loaded

    threads = max(1, usable_cores() // chosen.count)
    cv2.setNumThreads(threads)
    return threads


def _rechecker(config: Config, folder: Path, serving: EngineSet) -> Rechecker | None:
    """Second engines as the configuration asks for them; None where they are the serving ones."""
    chosen = config.worker
    if chosen.shadow is None and not chosen.recheck_every:
        return None
    second = load_engines(
        chosen.shadow or folder,
        threads=_threads_of(config),
        backend=None if chosen.shadow else REFERENCE,
    )
    if second.engine_set_hash == serving.engine_set_hash:
        return None
    from edge.worker.second_opinion import Rechecker  # noqa: PLC0415 - few sites want one

    every = 1 if chosen.shadow else chosen.recheck_every
    return Rechecker(_scorer(second, config.pipeline), every)
