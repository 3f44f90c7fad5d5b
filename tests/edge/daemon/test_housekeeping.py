"""What retention keeps beyond a limit raises an alert, which is cleared when it fits again."""

from __future__ import annotations

import pytest
from journal_films import finish, journal, signature, store

from edge.config import Config
from edge.daemon.alerts import Alerts
from edge.daemon.housekeeping import Housekeeping
from edge.journal.copies import keep_copy
from edge.journal.places import Places
from edge.journal.states import State, move
from edge.outputs.whois import Whois

__all__ = ["journal", "store"]


class Folder:
    """A folder of films in which nothing happens."""

    condition = latest_listing = first_listing = lambda _self: None

    def __init__(self):
        self.drop = self.inbox = self


@pytest.fixture
def tidy(tmp_path, journal):
    """One pass of retention; gives the detail of its alert."""
    places, alerts = Places.below(tmp_path), Alerts(lambda: None)
    places.make()
    config = Config.model_validate(
        {"folders": {"watch": tmp_path / "drop"}, "retention": {"quarantine_mib": 1}}
    )
    whois = Whois(tmp_path / "whois.sqlite", 1.0)
    it = Housekeeping(config, tmp_path, places, journal, Folder(), alerts, {}, whois)

    def tidy():
        it._tidy()
        return next((one.detail for one in alerts.active() if one.code == "retention"), "")

    tidy.quarantine = places.quarantine
    return tidy


def test_copies_that_are_needed_and_do_not_fit_are_kept_and_told(journal, tidy):
    job = journal.claim(b"/drop/a.dcm", "a" * 64, signature()).job
    copy = keep_copy(tidy.quarantine, job, b"/drop/a.dcm", "side_not_known", b"x" * (2 << 20))
    finish(journal, job, state=State.HELD, reason="side_not_known")
    assert "retention.quarantine_mib: none of it is removed; fix: " in tidy()
    assert copy.exists()
    with journal.store.transaction():
        move(journal.store, job, State.DISMISSED)
    journal.store.db.execute("UPDATE outbox SET state = 'closed'")
    assert tidy() == ""
    assert not copy.exists()
