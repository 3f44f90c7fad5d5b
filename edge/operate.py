"""The operator's commands on a box: release, retry, dismiss, replay.

Opens the configuration's state folder and its journal; the daemon may run or not.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge import config
from edge.delivery import orders
from edge.delivery.store import JournalError, Store
from edge.device_key import NAME, derived_key, device_key
from edge.model import DISCLAIMER
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


def _each(
    config_path: Path | None,
    films: list[str],
    order: Callable[[Store, int], orders.Done],
    without_job: str = "is looked at again at the appliance's next start",
) -> None:
    with journal_of(config.load(config_path).state_folder) as store:
        for film in films:
            done = order(store, orders.find_job(store, film))
            after = without_job if done.new_job is None else f"goes on as job {done.new_job}"
            say(f"job {done.job}: {after}. {_NOTICE}")
