"""A journal with as many films as are asked for, each with one sealed message of a limb.

Layer: benchmarks; writes one SQLite file through a `Store`.

Messages are as the outbox keeps them, without joints, so that a million fit on a small disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edge.anatomy import Limb
from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import ClosedSource, Ledger
from edge.journal.kinds import MQTT, RESULT
from edge.journal.states import State
from edge.model import Laterality, LateralitySource, LimbResult, Status, Versions
from edge.outputs.message import StoredMessage
from edge.system.clock import Anchor, steady_unix_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.journal.store import Store

DEVICE = DeviceName("bench", "room", "device")
KEY = b"k" * 32
ENGINE_SET = "e" * 64
_A_TRANSACTION = 20_000
_RECEIVER = "dashboard"


def limb_result() -> LimbResult:
    """A limb that was scored; without joints."""
    return LimbResult(
        file="film-1.jpg",
        limb_index=0,
        status=Status.SCORED,
        limb=Limb.HAND,
        laterality=Laterality.LEFT,
        laterality_source=LateralitySource.FILENAME,
        versions=Versions(software="bench"),
    )


def sha_of(number: int) -> str:
    """SHA-256 that stands for a film's bytes."""
    return hashlib.sha256(b"film %d" % number).hexdigest()


def fill(store: Store, films: int) -> None:
    """Enter films 1 to ``films`` as delivered: each has its log row, message and receipt."""
    with _fast(store):
        _fill(store, films)


def _fill(store: Store, films: int) -> None:
    body = _stored_json(1, sha_of(1))
    for first in range(1, films + 1, _A_TRANSACTION):
        numbers = range(first, min(first + _A_TRANSACTION, films + 1))
        made = [(it, sha_of(it), _id_of(it)) for it in numbers]
        with store.transaction() as db:
            now = steady_unix_s()
            db.executemany(
                "INSERT INTO job (number, path, sha256, device, inode, size, mtime_ns, state, "
                "since, original) VALUES (?, ?, ?, 1, ?, 1, 1, ?, ?, 'kept')",
                ((it, b"/d/%d.jpg" % it, sha, it, State.RECEIPTED, now) for it, sha, _ in made),
            )
            db.executemany(
                "INSERT INTO outbox (row, id, kind, job, limb_index, outcome, sequence, payload, "
                "created, state, seal, name, destination, sendings) "
                "VALUES (?, ?, ?, ?, 0, 'scored:', ?, ?, ?, 'closed', ?, ?, ?, 1)",
                _messages(store, made, body, now),
            )
            db.executemany(
                "INSERT INTO receipt VALUES (?, ?, ?)",
                ((result_id, _RECEIVER, now) for _, _, result_id in made),
            )
            for number, sha, result_id in made:
                store.log(State.RECEIPTED, number, sha256=sha, ids=[result_id])
            db.execute("INSERT OR REPLACE INTO meta VALUES ('sequence', ?)", (numbers[-1],))


def let_wait(store: Store, films: int) -> None:
    """Have the messages of films 1 to ``films`` wait, as if no broker had ever been reached."""
    with _fast(store), store.transaction() as db:
        db.execute("DELETE FROM receipt")
        db.execute("UPDATE outbox SET state = 'queued', sendings = 0 WHERE row <= ?", (films,))
        db.execute("UPDATE job SET state = ? WHERE number <= ?", (State.QUEUED, films))


@contextlib.contextmanager
def _fast(store: Store) -> Iterator[None]:
    """Keep the indices in memory, and wait for no disk: nothing here outlives a power cut."""
    store.db.execute("PRAGMA synchronous=OFF")
    store.db.execute("PRAGMA cache_size=-600000")
    try:
        yield
    finally:
        store.db.execute("PRAGMA cache_size=-2000")
        store.db.execute("PRAGMA synchronous=FULL")
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # Else the first checkpoint that is measured writes the whole file to the disk.
        with Path(store.db.execute("PRAGMA database_list").fetchone()["file"]).open("rb") as file:
            os.fsync(file.fileno())


def _messages(
    store: Store, made: list[tuple[int, str, str]], body: bytes, now: float
) -> Iterator[tuple[object, ...]]:
    first = sha_of(1).encode()
    for number, sha, result_id in made:
        payload = body.replace(first, sha.encode())
        payload = payload.replace(b'"job":1,', b'"job":%d,' % number)
        seal = store.seal(result_id, RESULT, payload)
        yield (
            number, result_id, RESULT, number, number, payload, now, seal, str(DEVICE), MQTT
        )  # fmt: skip


def _id_of(number: int) -> str:
    return ResultKey(DEVICE, sha_of(number), 0, ENGINE_SET).result_id()


def _stored_json(job: int, sha256: str) -> bytes:
    now = steady_unix_s()
    ledger = Ledger(
        closed=now, closed_source=ClosedSource.CLOSE_EVENT, picked_up=now, queued=now,
        clock_synchronised=True,
    )  # fmt: skip
    stored = StoredMessage(
        topic=RESULT,
        name=str(DEVICE),
        anchor=Anchor.at(0.0, now),
        body=limb_result(),
        job=job,
        film_sha256=sha256,
        study="0" * 32,
        patient=None,
        supersedes=None,
        ledger=ledger,
    )
    return stored.model_dump_json().encode()
