"""The worker: a child process that decodes and scores, so that a hostile film can kill only it.

Both ends live here: `serve` runs in the child, `Worker` is the daemon's handle. They speak over
one socket pair: JSON headers and raw bytes, no pickle, no shared memory, no semaphores. The
child needs nothing of the parent but that socket.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pydantic import Field

from edge.agreement import Recheck
from edge.config import Config
from edge.errors import EdgeError, EngineError, Reason, place_of, rejected
from edge.model import Laterality, Limb, LimbResult, OperatorWord, Record, StrEnum, Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.engine.loader import EngineSet
    from edge.engine.passport import Backend
    from edge.recheck import Rechecker

log = logging.getLogger(__name__)

_IDLE_S = 0.5
"""So long without a film, and one is scored a second time."""
_LOST = 3
"""Exit status of a child that cannot go on."""
_PDEATHSIG = 1
_DUMPABLE = 4


class _Limb(Protocol):
    @property
    def result(self) -> LimbResult: ...
    @property
    def overlay_jpeg(self) -> bytes | None: ...
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


class Scorer(Protocol):
    """What the worker asks of a scorer: `edge.pipeline.scorer.FilmScorer`, or a stand-in."""

    versions: Versions

    def score(
        self,
        data: bytes,
        file_name: str,
        operator: OperatorWord | None = None,
        on_stage: Callable[[str], None] | None = None,
    ) -> _Film:
        """Score one film; gives rejected limbs for bad ones."""


class Made(NamedTuple):
    """What a factory gives: a scorer and the hash of its set of engines.

    ``degraded`` are reasons why a lesser engine serves; ``unfit`` says why no score may be
    published, empty where the self-test passed; ``rechecker`` looks at films again when idle.
    """

    scorer: Scorer
    engine_set: str
    degraded: tuple[str, ...] = ()
    unfit: str = ""
    rechecker: Rechecker | None = None


def film_scorer(config: Config) -> Made:
    """Make the shipped scorer from the engines that are installed.

    Raises `edge.errors.EngineError` with the mend when an engine is missing or refused.
    """
    # Imported in the child only: the daemon stays free of the pipeline and its libraries.
    from edge.engine.loader import load_engines  # noqa: PLC0415
    from edge.paths import built_engines  # noqa: PLC0415
    from edge.pipeline.scorer import FilmScorer  # noqa: PLC0415
    from edge.pipeline.settings import PipelineSettings  # noqa: PLC0415
    from edge.selftest import self_test  # noqa: PLC0415

    folder = config.worker.engines or built_engines()
    chosen = config.worker
    engines = load_engines(
        folder, threads=chosen.threads, backend=chosen.backend, fallback=chosen.fallback
    )
    return Made(
        FilmScorer(engines, config.pipeline),
        engines.engine_set_hash,
        degraded=tuple(f"{it.stem}: {it.why} (mend: {it.mend})" for it in engines.refusals),
        # With the settings that the record was made with, whatever this site's are.
        unfit=self_test(folder, FilmScorer(engines, PipelineSettings()), engines),
        rechecker=_rechecker(config, folder, engines),
    )


def _rechecker(config: Config, folder: Path, serving: EngineSet) -> Rechecker | None:
    """Second engines as the configuration asks for them; None where they are the serving ones."""
    from edge.engine.loader import load_engines  # noqa: PLC0415 - as in `film_scorer`
    from edge.engine.passport import Backend  # noqa: PLC0415
    from edge.pipeline.scorer import FilmScorer  # noqa: PLC0415
    from edge.recheck import Rechecker  # noqa: PLC0415

    chosen = config.worker
    if chosen.shadow is None and not chosen.recheck_every:
        return None
    second = load_engines(
        chosen.shadow or folder,
        threads=chosen.threads,
        backend=None if chosen.shadow else Backend.ONNXRUNTIME,
    )
    if second.engine_set_hash == serving.engine_set_hash:
        return None
    every = 1 if chosen.shadow else chosen.recheck_every
    return Rechecker(FilmScorer(second, config.pipeline), every)


class Kind(StrEnum):
    """What the child says."""

    READY = "ready"
    FAILED = "failed"
    STAGE = "stage"
    OUTCOME = "outcome"
    RECHECK = "recheck"
    LOST = "lost"
    """The engines' device failed: this child ends."""


class Ready(Record):
    """The scorer is made; the fields are those of `Made`."""

    versions: Versions
    engine_set: str
    degraded: tuple[str, ...] = ()
    unfit: str = ""


class Failed(Record):
    """The scorer cannot be made; the message says what mends it."""

    message: str


class Task(Record):
    """What is said before a film's bytes: its name, and what an operator stated of it."""

    name: str
    limb: Limb | None = None
    laterality: Laterality | None = None

    @property
    def operator(self) -> OperatorWord | None:
        """The operator's word, None where there is none."""
        word = OperatorWord(self.limb, self.laterality)
        return None if word == OperatorWord() else word


class Stage(Record):
    """A stage of the film in hand begins; monotonic seconds."""

    name: str
    at_s: float


class Outcome(Record):
    """A film is done. ``pictures`` are JPEGs beside ``limbs``, None where there is none.

    ``figures`` are for the drift watch, one of each limb or none at all.
    """

    limbs: tuple[LimbResult, ...]
    stage_ms: dict[str, float]
    study_key: str | None
    patient_key: str | None
    burned_in_annotation: bool
    at_s: float
    figures: tuple[dict[str, float], ...] = ()
    pictures: tuple[bytes | None, ...] = Field(default=(), exclude=True)


class Died(NamedTuple):
    """The child is gone, or was killed because it exceeded a limit.

    ``ready`` tells whether it had made its scorer, ``device_lost`` whether its engines failed.
    """

    timeout: bool
    detail: str
    ready: bool
    device_lost: bool = False


Word = Ready | Failed | Stage | Outcome | Recheck | Died


def serve(descriptor: int) -> None:
    """Run the child: make the scorer, then score until the socket closes."""
    # A terminal's Ctrl-C goes to the whole group; the daemon decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    _leave_no_dump()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    pipe = Connection(descriptor)
    try:
        config = Config.model_validate_json(pipe.recv_bytes())
        made = _make(config, pipe)
        while made is not None:
            again = made.rechecker
            if again is not None and again.waits and not pipe.poll(_IDLE_S):
                figures = again.look()
                if figures is not None:
                    _say(pipe, Kind.RECHECK, figures)
            task = Task.model_validate_json(pipe.recv_bytes())
            _score(made, pipe.recv_bytes(), task, pipe)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _make(config: Config, pipe: Connection) -> Made | None:
    module, _, function = config.worker.factory.partition(":")
    try:
        made: Made = getattr(importlib.import_module(module), function)(config)
    except (EdgeError, ImportError, AttributeError) as error:
        _say(pipe, Kind.FAILED, Failed(message=str(error)))
        return None
    _limit_memory(config.worker.memory_mib)
    ready = Ready(
        versions=made.scorer.versions,
        engine_set=made.engine_set,
        degraded=made.degraded,
        unfit=made.unfit,
    )
    _say(pipe, Kind.READY, ready)
    return made


def _limit_memory(mib: int) -> None:
    """Bound what a film may take beyond what the engines have taken."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + (mib << 20)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _leave_no_dump() -> None:
    """A crash dump would hold the film in hand with its tags."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    ctypes.CDLL(None).prctl(_DUMPABLE, 0)


def _score(made: Made, data: bytes, task: Task, pipe: Connection) -> None:
    scorer = made.scorer

    def tell(stage: str) -> None:
        _say(pipe, Kind.STAGE, Stage(name=stage, at_s=time.monotonic()))

    try:
        film = scorer.score(data, task.name, task.operator, tell)
    except (MemoryError, EdgeError) as error:
        # Out of memory or a lost device: a fresh child may do better, so this one ends.
        log.error("%s", error if isinstance(error, EngineError) else place_of(error))  # noqa: TRY400
        if isinstance(error, EngineError):
            _say(pipe, Kind.LOST, Failed(message=str(error)))
        raise SystemExit(_LOST) from None
    except Exception as error:  # noqa: BLE001 - one film must not end the appliance
        # Not the exception's own text: it may hold what stood in the film's tags or name.
        log.error("a fault in the software: %s", place_of(error))  # noqa: TRY400
        _say(pipe, Kind.OUTCOME, _internal(scorer.versions, task.name, error))
        pipe.send_bytes(b"")
        return
    outcome = Outcome(
        limbs=tuple(limb.result for limb in film.limbs),
        stage_ms=film.stage_ms,
        study_key=film.study_key,
        patient_key=film.patient_key,
        burned_in_annotation=film.burned_in_annotation,
        at_s=time.monotonic(),
        figures=tuple(limb.figures for limb in film.limbs),
    )
    _say(pipe, Kind.OUTCOME, outcome)
    for limb in film.limbs:
        pipe.send_bytes(limb.overlay_jpeg or b"")
    if made.rechecker is not None:
        made.rechecker.offer(data, task.name, task.operator, outcome.limbs)
    # What a large film took goes back to the machine.
    ctypes.CDLL(None).malloc_trim(0)


def _internal(versions: Versions, name: str, error: Exception) -> Outcome:
    limb = rejected(Reason.INTERNAL, name, versions, detail=type(error).__name__)
    return Outcome(
        limbs=(limb,),
        stage_ms={},
        study_key=None,
        patient_key=None,
        burned_in_annotation=False,
        at_s=time.monotonic(),
    )


def _say(pipe: Connection, kind: Kind, body: Record) -> None:
    pipe.send_bytes(kind.encode() + b"\n" + body.model_dump_json().encode())


@dataclass(frozen=True)
class Limits:
    """Seconds: making the scorer, one stage, one film."""

    start_s: float
    stage_s: float
    film_s: float


class Worker:
    """The daemon's handle on the child. Not thread-safe.

    Parameters
    ----------
    config
        Handed to the child as a whole.
    limits
        The child is killed when it exceeds one; `read` then gives `Died`.
    """

    def __init__(self, config: Config, limits: Limits) -> None:
        self._config = config
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._begun_s = 0.0
        self._beat_s = 0.0
        self.ready = False
        self.busy = False

    @property
    def pipe(self) -> Connection | None:
        """What to wait on; None while there is no child."""
        return self._pipe

    @property
    def beat_s(self) -> float:
        """Monotonic time of the child's last sign of progress."""
        return self._beat_s

    def start(self, backend: Backend | None = None) -> None:
        """Start a child; it says `Ready` or `Failed` in its time.

        ``backend`` comes before the one that the site has chosen. Raises `OSError` where no
        process can be made.
        """
        ours, theirs = socket.socketpair()
        with theirs, ours:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
            self._pipe = Connection(ours.detach())
        self._begun_s = self._beat_s = time.monotonic()
        self.ready = self.busy = False
        config = self._config
        if backend is not None:
            chosen = config.worker.model_copy(update={"backend": backend})
            config = config.model_copy(update={"worker": chosen})
        self._send(config.model_dump_json().encode())

    def score(self, data: bytes, task: Task) -> None:
        """Hand over a film; only when `ready` and not `busy`."""
        self._begun_s = self._beat_s = time.monotonic()
        self.busy = True
        self._send(task.model_dump_json().encode())
        self._send(data)

    def _send(self, data: bytes) -> None:
        assert self._pipe is not None  # noqa: S101 - start was called
        try:
            self._pipe.send_bytes(data)
        except OSError:
            # The child is gone; `read` finds its end of the pipe closed and says so.
            return

    def deadline_s(self) -> float | None:
        """Monotonic time at which the child is killed if it says nothing more."""
        if self._pipe is None or (self.ready and not self.busy):
            return None
        if not self.ready:
            return self._begun_s + self._limits.start_s
        return min(self._beat_s + self._limits.stage_s, self._begun_s + self._limits.film_s)

    def forgive(self, lost_s: float) -> None:
        """Do not count seconds in which nothing ran: the machine or its processes were stopped."""
        self._begun_s += lost_s
        self._beat_s += lost_s

    def read(self) -> Word | None:
        """Next word of the child, None when it has said nothing; enforces the limits."""
        if self._pipe is None:
            return None
        try:
            if self._pipe.poll():
                return self._hear(self._pipe)
        except (OSError, EOFError, ValueError):
            ready, code = self.ready, self.kill()
            return Died(timeout=False, detail=f"worker ended with status {code}", ready=ready)
        deadline_s = self.deadline_s()
        if deadline_s is not None and time.monotonic() > deadline_s:
            ready, _ = self.ready, self.kill()
            return Died(timeout=True, detail="worker exceeded its time limit", ready=ready)
        return None

    def _hear(self, pipe: Connection) -> Word:
        """Read one word. Raises `ValueError` for what is no word."""
        kind, _, body = pipe.recv_bytes().partition(b"\n")
        self._beat_s = time.monotonic()
        said = Kind(kind.decode())
        if said is Kind.STAGE:
            return Stage.model_validate_json(body)
        if said is Kind.READY:
            self.ready = True
            return Ready.model_validate_json(body)
        if said is Kind.FAILED:
            return Failed.model_validate_json(body)
        if said is Kind.LOST:
            why = Failed.model_validate_json(body).message
            self.kill()
            return Died(timeout=False, detail=f"worker ended: {why}", ready=True, device_lost=True)
        if said is Kind.RECHECK:
            return Recheck.model_validate_json(body)
        outcome = Outcome.model_validate_json(body)
        pictures = tuple(pipe.recv_bytes() or None for _ in outcome.limbs)
        self.busy = False
        return outcome.model_copy(update={"pictures": pictures})

    def kill(self) -> int | None:
        """End the child at once; returns its exit status."""
        self.ready = self.busy = False
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is None:
            return None
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return code


def _environment() -> dict[str, str]:
    """Environment of the child: ours without what is only for systemd's main process."""
    kept = {k: v for k, v in os.environ.items() if k not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}
    # The child finds the modules that we found, also those of the working folder.
    return {**kept, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def _main(arguments: list[str]) -> None:
    serve(int(arguments[0]))


if __name__ == "__main__":
    # Run by its full name, so that factories and this process share one set of classes.
    from edge.worker import _main as main

    main(sys.argv[1:])
