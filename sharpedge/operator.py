"""What the operator's commands do: release, retry, dismiss, replay, audit, drift.

Release, retry and dismiss ask the running appliance over its socket; where none runs they write the
journal, and the appliance follows at its next start.

Layer: sharpedge; asks at the operator socket, opens the state folder of a configuration.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from edge import config
from edge.contract.payloads import HealthMessage, StateMessage
from edge.daemon.audit import Limits, as_json, as_text
from edge.daemon.audit import audit as take_stock
from edge.daemon.state_folder import drop_folder
from edge.delivery.listen import listen
from edge.errors import ConfigError
from edge.journal import orders
from edge.journal.chain import Head
from edge.journal.places import Places
from edge.journal.store import JournalError, Store
from edge.model import DISCLAIMER
from edge.operator.client import NotRunningError, OperatorError, ask_first, film_name
from edge.operator.peers import this_user
from edge.operator.protocol import Ask, Request
from edge.operator.settings import SERVICE_SOCKET, likely_sockets
from edge.scoring.drift import COMMISSIONING, DriftWatch, as_table
from edge.system.device_key import derived_key, device_key
from edge.system.terminal import complain, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.model import OperatorStatement
    from edge.operator.client import Told


_NOTICE = f"{DISCLAIMER.capitalize()}."
_BROKER_S = 2.0
"""Limit for what the broker keeps: an audit without it proves nearly as much."""


def journal_file(state_folder: Path) -> Path:
    """Path of an appliance's journal. Raises `JournalError` where there is none."""
    path = state_folder / "journal.sqlite"
    try:
        there = path.exists()
    except OSError as error:
        raise JournalError(unusable(path, error.strerror or "error")) from error
    if not there:
        raise JournalError(
            f"{state_folder}: no appliance has run here; name its configuration with --config"
        )
    return path


@contextmanager
def journal_of(state_folder: Path) -> Iterator[Store]:
    """Open an appliance's journal.

    Raises `JournalError` or `ConfigError` where there is none, or it cannot be used.
    """
    path = journal_file(state_folder)
    key = derived_key(device_key(state_folder, expected=True), "journal")
    try:
        store = Store(path, key)
        try:
            yield store
        finally:
            store.close()
    except sqlite3.Error as error:
        raise JournalError(unusable(path, str(error))) from error


def unusable(path: Path, why: str) -> str:
    """Say why a journal cannot be used, and what to do."""
    fix = "run this as the appliance's user, with the state folder writable"
    if "locked" in why or "busy" in why:
        fix = "another program holds it: end that one, or try again"
    elif "malformed" in why or "not a database" in why:
        fix = "restart the appliance, which sets a damaged journal aside"
    return f"{path}: cannot be used ({why}); fix: {fix}"


class Where(NamedTuple):
    """Where an appliance is asked; ``config`` is None where only its socket is known."""

    sockets: tuple[Path, ...]
    config: config.Config | None

    def tell(self, request: Request) -> Told:
        """Ask the running appliance. Raises `edge.operator.client.OperatorError`."""
        state = None if self.config is None else str(self.config.state_folder.absolute())
        return ask_first(self.sockets, request.model_copy(update={"state": state}))


def where(config_path: Path | None) -> Where:
    """Find the appliance of a configuration; without one, the packaged service of this machine.

    Raises `ConfigError`.
    """
    try:
        it = config.load(config_path)
    except ConfigError as error:
        if config_path is not None:
            raise
        if not SERVICE_SOCKET.exists():
            raise ConfigError(f"no service runs here ({SERVICE_SOCKET}), and {error}") from error
        return Where((SERVICE_SOCKET,), None)
    return Where(likely_sockets(it.operator, it.state_folder), it)


def release(config_path: Path | None, films: list[str], word: OperatorStatement) -> int:
    """Have held films scored with the limb and side that a person states."""
    request = Request(ask=Ask.RELEASE, limb=word.limb, side=word.laterality)

    def order(store: Store, job: int) -> orders.Done:
        return orders.release(store, job, word, this_user())

    return _each(config_path, films, request, order)


def retry(config_path: Path | None, films: list[str]) -> int:
    """Have films worked on again."""

    def order(store: Store, job: int) -> orders.Done:
        return orders.retry(store, job, this_user())

    return _each(config_path, films, Request(ask=Ask.RETRY), order)


def list_set_aside(config_path: Path | None) -> int:
    """Print the messages that are set aside; 3 where there are any."""
    with journal_of(config.load(config_path).state_folder) as store:
        found = orders.set_aside(store)
    for it in found:
        say(f"job {it.job}: {it.kind} {it.result_id}: set aside: {it.why}")
    say(f"{len(found)} messages are set aside. {_NOTICE}")
    if found:
        say("fix: `sharpedge retry --all` sends them again, `sharpedge dismiss JOB` gives them up")
    return 3 if found else 0


def take_all_back(config_path: Path | None) -> int:
    """Send every message again that is set aside; 1 where one cannot be."""
    with journal_of(config.load(config_path).state_folder) as store:
        found = orders.set_aside(store)
        done = sum(_done(partial(orders.take_back, store, it)) for it in found)
    say(f"{done} of {len(found)} messages are sent again. {_NOTICE}")
    return int(done < len(found))


def dismiss(config_path: Path | None, films: list[str]) -> int:
    """End held films for good, or give up messages that are set aside."""

    def order(store: Store, job: int) -> orders.Done:
        return orders.dismiss(store, job, this_user())

    return _each(config_path, films, Request(ask=Ask.DISMISS), order, "dismissed")


def replay(config_path: Path | None, ids: list[str]) -> int:
    """Send messages again under their ids; 1 where one is not known."""
    with journal_of(config.load(config_path).state_folder) as store:

        def order(result_id: str) -> None:
            done = orders.replay(store, result_id)
            say(f"job {done.job}: {result_id} is sent again. {_NOTICE}")

        return int(sum(_done(partial(order, it)) for it in ids) < len(ids))


def audit(config_path: Path | None, *, machine: bool, ask_broker: bool) -> int:
    """Print what an audit finds; returns its exit status.

    ``ask_broker`` also holds the journal against the head that is published, which shows an older
    journal that was put back.
    """
    it = config.load(config_path)
    root = it.state_folder.absolute()
    limits = Limits(
        folder_s=it.folders.abandoned_s + it.folders.rescan_s + 60.0,
        hand_s=3 * it.limits.film_s + it.limits.worker_start_s,
        outbox_s=it.delivery.alert_s,
        held_s=it.limits.held_s,
    )
    with journal_of(root) as store:
        folder = drop_folder(it, root)
        published = partial(published_heads, it) if ask_broker else tuple
        report = take_stock(store, Places.below(root), folder, limits, published)
    say(as_json(report) if machine else as_text(report, _NOTICE))
    return report.exit_status


def drift(config_path: Path | None, *, machine: bool, again: bool) -> int:
    """Print what the drift watch knows; 1 when something has drifted.

    ``again`` makes the next films the measure.
    """
    watch = DriftWatch(config.load(config_path).state_folder / "drift")
    if again:
        watch.begin_again()
        say(f"The next {COMMISSIONING} films of each limb are the measure. {_NOTICE}")
        return 0
    shifts = watch.shifts()
    if machine:
        rows = [asdict(shift) | {"drifted": shift.drifted} for shift in shifts]
        say(json.dumps({"shifts": rows, "notice": DISCLAIMER}))
    else:
        say(f"{as_table(watch)}\n{_NOTICE}")
    return int(any(shift.drifted for shift in shifts))


def published_heads(it: config.Config) -> tuple[Head, ...]:
    """Heads in the retained messages of this device; none where no broker answers in time."""
    until_s = time.monotonic() + _BROKER_S
    heads: list[Head] = []
    for message in listen(
        it.broker.model_copy(update={"connect_s": min(it.broker.connect_s, _BROKER_S)}),
        topic=it.device.topic("+"),
        stopped=lambda: time.monotonic() > until_s or len(heads) == 2,
    ):
        body = message.message
        if message.retained and isinstance(body, HealthMessage | StateMessage):
            heads.append(Head(body.journal_row, body.journal_head))
    return tuple(head for head in heads if head.row)


def _each(
    config_path: Path | None,
    films: list[str],
    request: Request,
    order: Callable[[Store, int], orders.Done],
    without_job: str = "is looked at again in the folder",
) -> int:
    """Carry out an order for each film, whatever becomes of the others; 1 where one failed.

    The running appliance is sent ``request``; where none runs ``order`` writes the journal.
    """
    at = where(config_path)

    def carry_out(film: str) -> orders.Done:
        try:
            answer = at.tell(request.model_copy(update={"film": film_name(film)})).answer
        except NotRunningError:
            with journal_of((at.config or config.load(config_path)).state_folder) as store:
                return order(store, orders.find_job(store, film))
        return orders.Done(answer.job or 0, answer.new_job)

    def follow(film: str) -> None:
        done = carry_out(film)
        after = without_job if done.new_job is None else f"goes on as job {done.new_job}"
        say(f"job {done.job}: {after}. {_NOTICE}")

    return int(sum(_done(partial(follow, it)) for it in films) < len(films))


def _done(step: Callable[[], object]) -> bool:
    """Do one step of several; one that cannot be done is reported and stops no other."""
    try:
        step()
    except (JournalError, OperatorError) as error:
        complain(str(error))
        return False
    return True
