"""The worker: a child process that decodes and scores, so that a hostile film can kill only it.

Layer: worker; this module runs in the child. It speaks with the daemon over one socket: JSON
headers and raw bytes in frames, no pickle, no shared memory, no semaphores. `edge.worker.handle` is
the daemon's side. A thread reads the next film while one is scored, and a film's outcome is sent
before its pictures are drawn, so that neither waits for the other.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import math
import queue
import resource
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.config import Config
from edge.errors import EdgeError, EngineError, OutputError, Reason, place_of, rejected
from edge.model import Outcome, PictureForm
from edge.system.logs import set_up_logs
from edge.worker.captions import Captions
from edge.worker.frames import receive_frame, send_frame
from edge.worker.messages import Failed, Kind, Lost, Ready, SecondOpinion, Stage, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model import Record, Versions
    from edge.worker.factory import Made

log = logging.getLogger(__name__)

_LOST = 3
"""Exit status of a child that cannot go on."""
_PDEATHSIG = 1
_DUMPABLE = 4


def serve(descriptor: int) -> None:
    """Run the child: make the scorer, then score until the socket closes."""
    # A terminal's Ctrl-C goes to the whole group; the daemon decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    leave_no_dump()
    pipe = socket.socket(fileno=descriptor)
    try:
        config = Config.model_validate_json(receive_frame(pipe))
        set_up_logs(config.logs.format, config.logs.level)
        made = _make(config, pipe)
        if made is None:
            return
        drawer = _Drawer(Captions(config), config.delivery.picture)
        incoming = _Incoming(pipe)
        while True:
            task, data = incoming.next()
            if task.second:
                _score_second(made, pipe)
            else:
                _score(made, data, task, pipe, drawer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except MemoryError as error:
        # Outside of scoring: while a film was received, or its result sent.
        log.error("out of memory: %s", place_of(error))  # noqa: TRY400 - one line an event
        raise SystemExit(_LOST) from None


class _Incoming:
    """Reads the next task while the present one is done; holds one, and has one in hand."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._tasks: queue.Queue[tuple[Task, bytes] | Exception] = queue.Queue(maxsize=1)
        threading.Thread(target=self._read, name="incoming", daemon=True).start()

    def next(self) -> tuple[Task, bytes]:
        """Wait for a task and its film, empty where it has none.

        Raises what reading raised: `EOFError` or `OSError` at a closed end, `MemoryError`.
        """
        found = self._tasks.get()
        if isinstance(found, Exception):
            raise found
        return found

    def _read(self) -> None:
        try:
            while True:
                task = Task.model_validate_json(receive_frame(self._pipe))
                self._tasks.put((task, b"" if task.second else receive_frame(self._pipe)))
        except Exception as error:  # noqa: BLE001 - raised where the task is waited for
            self._tasks.put(error)


def _make(config: Config, pipe: socket.socket) -> Made | None:
    module, _, function = config.worker.factory.partition(":")
    try:
        made: Made = getattr(importlib.import_module(module), function)(config)
    except (EdgeError, ImportError, AttributeError) as error:
        _send(pipe, Kind.FAILED, Failed(message=str(error)))
        return None
    except MemoryError:
        short = "there is not enough memory to load the engines; fix: free memory, or add some"
        _send(pipe, Kind.FAILED, Failed(message=short))
        return None
    except Exception as error:  # noqa: BLE001 - the daemon logs one line and tries again
        message = f"worker.factory {config.worker.factory} failed: {place_of(error)}"
        _send(pipe, Kind.FAILED, Failed(message=message))
        return None
    # What loading took and needs no more goes back to the machine.
    ctypes.CDLL(None).malloc_trim(0)
    limit_memory(config.worker.memory_mib)
    ready = Ready(
        versions=made.scorer.versions,
        engine_set=made.engine_set,
        degraded=made.degraded,
        unfit=made.unfit,
        second_fault=made.second_fault,
    )
    _send(pipe, Kind.READY, ready)
    # What stays for good is not looked through again in the middle of a film.
    gc.collect()
    gc.freeze()
    return made


def limit_memory(mib: int) -> None:
    """Bound what a film may take beyond what the engines have taken."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + (mib << 20)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def leave_no_dump() -> None:
    """A crash dump would hold the film in hand with its tags."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    ctypes.CDLL(None).prctl(_DUMPABLE, 0)


class _Drawer(NamedTuple):
    """What all pictures of a site have in common."""

    captions: Captions
    form: PictureForm


def _score(made: Made, data: bytes, task: Task, pipe: socket.socket, drawer: _Drawer) -> None:
    scorer = made.scorer
    try:
        film = scorer.score(data, task.name, task.operator, _stages_to(pipe))
    except (MemoryError, EdgeError) as error:
        # Out of memory or a lost device: a fresh child may do better, so this one ends.
        log.error("%s", error if isinstance(error, EngineError) else place_of(error))  # noqa: TRY400
        if isinstance(error, EngineError):
            sha256 = error.sha256 if isinstance(error, OutputError) else ""
            _send(pipe, Kind.LOST, Lost(message=str(error), sha256=sha256))
        raise SystemExit(_LOST) from None
    except Exception as error:  # noqa: BLE001 - one film must not end the appliance
        # Not the exception's own text: it may hold what stood in the film's tags or name.
        log.error("a fault in the software: %s", place_of(error))  # noqa: TRY400
        _send(pipe, Kind.OUTCOME, _internal(scorer.versions, task.name, error))
        return
    results = tuple(limb.result for limb in film.limbs)
    if made.rechecker is not None:
        made.rechecker.offer(data, task.name, task.operator, results)
    outcome = Outcome(
        limbs=results,
        stage_ms=film.stage_ms,
        study_key=film.study_key,
        patient_key=film.patient_key,
        burned_in_annotation=film.burned_in_annotation,
        at_s=time.monotonic(),
        figures=tuple(_finite(limb.figures) for limb in film.limbs),
        second_waits=made.rechecker is not None and made.rechecker.waits,
        pictured=tuple(limb.overlay is not None for limb in film.limbs),
        identifiers=film.identifiers,
    )
    _send(pipe, Kind.OUTCOME, outcome)
    caption = drawer.captions.caption(task, film.study_key, film.patient_key)
    for limb in film.limbs:
        if limb.overlay is not None:
            send_frame(pipe, _drawn(partial(limb.overlay, caption, drawer.form)))
    # What a large film took goes back to the machine.
    ctypes.CDLL(None).malloc_trim(0)


def _drawn(draw: Callable[[], bytes | None]) -> bytes:
    """A labelled picture; empty where it could not be drawn, which costs no result.

    A child that is out of memory ends: a fresh one may do better.
    """
    try:
        return draw() or b""
    except MemoryError as error:
        log.error("out of memory: %s", place_of(error))  # noqa: TRY400 - one line an event
        raise SystemExit(_LOST) from None
    except Exception as error:  # noqa: BLE001 - as when scoring
        log.error("a fault in the software: %s", place_of(error))  # noqa: TRY400 - as above
        return b""


def _score_second(made: Made, pipe: socket.socket) -> None:
    """Score the film that was kept again; whatever happens is answered."""
    opinion = SecondOpinion()
    if made.rechecker is not None:
        figures = made.rechecker.look(_stages_to(pipe))
        opinion = SecondOpinion(figures=figures, fault=made.rechecker.fault)
    _send(pipe, Kind.SECOND, opinion)


def _stages_to(pipe: socket.socket) -> Callable[[str], None]:
    def report(stage: str) -> None:
        _send(pipe, Kind.STAGE, Stage(name=stage, at_s=time.monotonic()))

    return report


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """Figures of one limb; none where one is no number, as of a picture without any detail."""
    return figures if all(map(math.isfinite, figures.values())) else {}


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


def _send(pipe: socket.socket, kind: Kind, body: Record) -> None:
    send_frame(pipe, kind.encode() + b"\n" + body.model_dump_json().encode())


def _main(arguments: list[str]) -> None:
    serve(int(arguments[0]))


if __name__ == "__main__":
    # Run by its full name, so that factories and this process share one set of classes.
    from edge.worker.child import _main as main

    main(sys.argv[1:])
