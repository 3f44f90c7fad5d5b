"""The operator's commands on a box: release, retry, dismiss, replay, audit, drift.

Opens the configuration's state folder and its journal; the daemon may run or not.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge import config
from edge.audit import Limits, as_json, as_text
from edge.audit import audit as take_stock
from edge.delivery import orders
from edge.delivery.contract import HealthMessage, StateMessage
from edge.delivery.listen import listen
from edge.delivery.store import Head, JournalError, Store
from edge.device_key import NAME, derived_key, device_key
from edge.drift import COMMISSIONING, DriftWatch, as_table
from edge.filing import Places
from edge.model import DISCLAIMER
from edge.state_folder import drop_folder
from edge.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.model import OperatorWord


_NOTICE = f"{DISCLAIMER.capitalize()}."


@contextmanager
def journal_of(state_folder: Path) -> Iterator[Store]:
    """Open an appliance's journal. Raises `JournalError` or `ConfigError` where there is none."""
    path = state_folder / "journal.sqlite"
    if not path.exists() or not (state_folder / NAME).exists():
        raise JournalError(
            f"{state_folder}: no appliance has run here; name its configuration with --config"
        )
    store = Store(path, derived_key(device_key(state_folder), "journal"))
    try:
        yield store
    finally:
        store.close()


def release(config_path: Path | None, films: list[str], word: OperatorWord) -> None:
    """Have held films scored with the limb and side that a person states."""
    _each(config_path, films, lambda store, job: orders.release(store, job, word))


def retry(config_path: Path | None, films: list[str]) -> None:
    """Have films worked on again."""
    _each(config_path, films, orders.retry)


def dismiss(config_path: Path | None, films: list[str]) -> None:
    """End held films for good."""
    _each(config_path, films, orders.dismiss, "dismissed")


def replay(config_path: Path | None, ids: list[str]) -> None:
    """Send messages again under their ids."""
    with journal_of(config.load(config_path).state_folder) as store:
        for result_id in ids:
            done = orders.replay(store, result_id)
            say(f"job {done.job}: {result_id} is sent again. {_NOTICE}")


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
    )
    published = published_heads(it) if ask_broker else ()
    with journal_of(root) as store:
        folder = drop_folder(it, root)
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
    until_s = time.monotonic() + it.broker.connect_s
    heads: list[Head] = []
    for message in listen(
        it.broker,
        topic=it.device.topic("+"),
        client_id=f"sharpedge-audit-{os.getpid()}",
        stopped=lambda: time.monotonic() > until_s or len(heads) == 2,
    ):
        body = message.message
        if message.retained and isinstance(body, HealthMessage | StateMessage):
            heads.append(Head(body.journal_row, body.journal_head))
    return tuple(head for head in heads if head.row)


def _each(
    config_path: Path | None,
    films: list[str],
    order: Callable[[Store, int], orders.Done],
    without_job: str = "is looked at again in the folder",
) -> None:
    with journal_of(config.load(config_path).state_folder) as store:
        for film in films:
            done = order(store, orders.find_job(store, film))
            after = without_job if done.new_job is None else f"goes on as job {done.new_job}"
            say(f"job {done.job}: {after}. {_NOTICE}")
