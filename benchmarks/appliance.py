"""Measures file closed to message received, through the real daemon, broker and folder.

Layer: benchmarks; starts a broker and a daemon on this machine and stops both.

Films are dropped as a pattern says; a subscriber that gives receipts notes when each message
arrives. Waiting and scoring are taken from the stamps of the message itself.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.daemon import running
from benchmarks.series import Series
from edge.contract.payloads import RejectMessage, ResultMessage
from edge.delivery.settings import protocol_of
from edge.delivery.subscriber import Subscriber
from edge.errors import EdgeError
from edge.model import Status
from edge.system.local_broker import local_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.daemon import Daemon
    from edge.contract.payloads import Ledger
    from edge.delivery.listen import Received

BENCH = "appliance"
FILM_S = 60.0
"""Longest wait for one message."""
PICTURES_S = 5.0
"""Wait for the pictures that follow the last message."""
_PATIENT = 4
_WARM_UP = 4
_SOI = b"\xff\xd8"


@dataclass(frozen=True)
class Pattern:
    """How films arrive.

    Attributes
    ----------
    name : str
        For the label ``pattern``.
    group : int
        Films that are dropped together.
    every_s : float
        From one group to the next, whether the films before were scored or not. 0: a group is
        dropped as soon as fewer than ``depth`` films wait for their message.
    depth : int
        Used where ``every_s`` is 0.
    """

    name: str
    group: int = 1
    every_s: float = 0.0
    depth: int = 1


ALONE = Pattern("one film at a time")
"""The next film is dropped when the message of the one before has arrived."""
SUSTAINED = Pattern("sustained maximum", depth=8)
"""Eight films wait at any time."""


def patients(every_s: float) -> Pattern:
    """One patient (four films at once) every ``every_s`` seconds."""
    return Pattern(f"one patient every {every_s:g} s", group=_PATIENT, every_s=every_s)


def rate(films_a_minute: float) -> Pattern:
    """Single films at an even pace."""
    return Pattern(f"{films_a_minute:g} films a minute", every_s=60.0 / films_a_minute)


def burst(films: int) -> Pattern:
    """All films at once."""
    return Pattern(f"burst of {films}", group=films)


@dataclass
class _Run:
    """What was dropped and what arrived, by SHA-256 of the film."""

    began_s: float = field(default_factory=time.time)
    closed_s: dict[str, float] = field(default_factory=dict)
    """Wall time at which each file was closed, in order."""
    results: dict[str, Received] = field(default_factory=dict)
    pictures_s: dict[str, float] = field(default_factory=dict)
    """Wall time of each picture by result id."""

    @property
    def waiting(self) -> int:
        return len(self.closed_s) - len(self.results)


def measure(
    folder: Path,
    films: Sequence[Path],
    pattern: Pattern,
    count: int,
    *,
    settings: str = "",
    labels: dict[str, str] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Series]:
    """Drop ``count`` films as ``pattern`` says and time their messages.

    Four films before warm up and are not counted.

    Parameters
    ----------
    folder : Path
        Empty, on the disk whose speed counts; the daemon's folders are made in it.
    films : sequence of Path
        JPEG files named ``<patient>-<limb code>.jpg``, taken in turns, each made new by a comment.
    settings : str
        TOML with sections of the configuration; what it does not set has its default.
    labels : dict of str to str, optional
        Added to the labels of every series.
    progress : callable, optional
        Called with the number of messages that arrived and their total.

    Returns
    -------
    list of Series
        ``closed to received``, ``wait for a worker``, ``scoring``, ``recording and delivery`` and
        ``closed to picture`` in ms, film by film in the order of their closing; ``between
        messages`` in ms in the order of arrival; ``films a minute``; ``memory`` of ``daemon`` and
        ``workers`` (PSS, MiB) after the last film; ``launch to serving`` in s.

    Raises
    ------
    EdgeError
        Where the daemon does not start, a message stays out, or a film was not scored.
    """
    if not films:
        raise EdgeError("no films to measure with")
    with (
        local_broker() as broker,
        Subscriber(broker.port, protocol_of(broker)) as subscriber,
        running(folder, broker, settings) as daemon,
    ):
        started_s = daemon.wait_until_it_serves(subscriber)
        source = _Films(films, folder, daemon.drop)
        _follow(_Run(), ALONE, _WARM_UP, source, subscriber, daemon, lambda _done, _total: None)
        run = _Run()
        _follow(run, pattern, count, source, subscriber, daemon, progress)
        _collect_pictures(run, subscriber)
        memory_mib = daemon.memory_mib()
    about = {"pattern": pattern.name, "broker": broker.name, **(labels or {})}
    return [
        *_series(run, about),
        *(
            Series(BENCH, "memory", (value,), {**about, "process": name}, "MiB")
            for name, value in memory_mib.items()
        ),
        Series(BENCH, "launch to serving", (started_s,), about, "s"),
    ]


class _Films:
    """Gives films that the daemon has not seen, one file after the other."""

    def __init__(self, films: Sequence[Path], folder: Path, drop: Path) -> None:
        self._films = [(film.stem.rpartition("-"), film.read_bytes()) for film in films]
        self._staged = folder / "staged.jpg"
        self._drop = drop
        self._number = 0

    def drop(self) -> tuple[str, float]:
        """Copy the next film into the drop folder; SHA-256 and wall time of its close."""
        (patient, _, limb), data = self._films[self._number % len(self._films)]
        turn = self._number // len(self._films)
        data = renewed(data, self._number)
        self._number += 1
        self._staged.write_bytes(data)
        shutil.copyfile(self._staged, self._drop / f"{patient}R{turn:04d}-{limb}.jpg")
        return hashlib.sha256(data).hexdigest(), time.time()


def renewed(jpeg: bytes, number: int) -> bytes:
    """The same picture under other bytes: a comment segment after the start marker.

    Raises `EdgeError` for what is no JPEG.
    """
    if not jpeg.startswith(_SOI):
        raise EdgeError("films of this benchmark must be JPEG files")
    text = f"bench {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def _follow(
    run: _Run,
    pattern: Pattern,
    count: int,
    source: _Films,
    subscriber: Subscriber,
    daemon: Daemon,
    progress: Callable[[int, int], None],
) -> None:
    """Drop films and take in their messages until all have arrived."""
    next_s = latest_s = time.monotonic()
    while len(run.results) < count:
        now_s = time.monotonic()
        due = now_s >= next_s if pattern.every_s else run.waiting < pattern.depth
        if len(run.closed_s) < count and due:
            for _ in range(min(pattern.group, count - len(run.closed_s))):
                digest, closed_s = source.drop()
                run.closed_s[digest] = closed_s
            next_s += pattern.every_s
            latest_s = time.monotonic()
            continue
        all_dropped = len(run.closed_s) == count
        left_s = FILM_S if all_dropped or not pattern.every_s else next_s - now_s
        before = len(run.results)
        _take_in(run, subscriber, min(left_s, 0.5))
        if len(run.results) > before:
            latest_s = time.monotonic()
            progress(len(run.results), count)
        if run.waiting and time.monotonic() - latest_s > FILM_S:
            raise EdgeError(daemon.with_log(f"no message for a film in {FILM_S:.0f} s"))


def _take_in(run: _Run, subscriber: Subscriber, limit_s: float) -> None:
    message = subscriber.wait_for(lambda _message: True, max(0.001, limit_s))
    if message is None:
        return
    body = message.message
    if message.kind == "image" and message.result_id:
        run.pictures_s[message.result_id] = message.received_unix_s
    if isinstance(body, ResultMessage | RejectMessage) and body.film_sha256 in run.closed_s:
        if body.status is not Status.SCORED:
            raise EdgeError(f"a film of the benchmark was not scored ({body.reason})")
        run.results.setdefault(body.film_sha256, message)


def _collect_pictures(run: _Run, subscriber: Subscriber) -> None:
    """Wait a little for the pictures that follow the last messages."""
    wanted = {message.result_id for message in run.results.values()}
    end_s = time.monotonic() + PICTURES_S
    while wanted - run.pictures_s.keys() and (left_s := end_s - time.monotonic()) > 0:
        _take_in(run, subscriber, left_s)


def _series(run: _Run, about: dict[str, str]) -> list[Series]:
    received_s = {digest: run.results[digest].received_unix_s for digest in run.closed_s}
    at_s = tuple(closed_s - run.began_s for closed_s in run.closed_s.values())
    parts: dict[str, list[float]] = {}
    for digest, closed_s in run.closed_s.items():
        message = run.results[digest]
        body = message.message
        assert isinstance(body, ResultMessage)  # noqa: S101 - `_take_in` looked
        for name, value_ms in _parts_ms(body.ledger, closed_s, received_s[digest]).items():
            parts.setdefault(name, []).append(value_ms)
        picture_s = run.pictures_s.get(body.id)
        if picture_s is not None:
            parts.setdefault("closed to picture", []).append((picture_s - closed_s) * 1e3)
    arrived = sorted(received_s.values())
    between_ms = tuple((b - a) * 1e3 for a, b in pairwise(arrived))
    series = [
        Series(BENCH, name, tuple(values), about, at_s=at_s if len(values) == len(at_s) else ())
        for name, values in parts.items()
    ]
    if between_ms:
        series.append(Series(BENCH, "between messages", between_ms, about))
        a_minute = 60e3 * len(between_ms) / sum(between_ms)
        series.append(Series(BENCH, "films a minute", (a_minute,), about, "1/min"))
    return series


def _parts_ms(ledger: Ledger, closed_s: float, received_s: float) -> dict[str, float]:
    """Where the time from closed to received went, by the stamps of the message.

    A film's scoring begins with its decoding, which ends at the stamp ``decoded``.
    """
    assert ledger.decoded is not None  # noqa: S101 - a film that was scored was decoded
    assert ledger.inferred is not None  # noqa: S101 - as above
    began_s = ledger.decoded - ledger.stage_ms.get("decode", 0.0) / 1e3
    return {
        "closed to received": (received_s - closed_s) * 1e3,
        "wait for a worker": (began_s - closed_s) * 1e3,
        "scoring": (ledger.inferred - began_s) * 1e3,
        "recording and delivery": (received_s - ledger.inferred) * 1e3,
    }
