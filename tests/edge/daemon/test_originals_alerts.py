"""What cannot be moved or deleted is reported."""

from __future__ import annotations

import os

import pytest

from edge.daemon import parting
from edge.daemon.alerts import Alerts
from edge.daemon.originals import OriginalFiles
from edge.journal.records import Original
from edge.model import After, Signature


class Journal:
    """Films that have ended, and what became of their files."""

    def __init__(self, jobs):
        self.became = dict.fromkeys(jobs)

    def ended_originals(self):
        return [
            Original(job, b"/drop/%d.jpg" % job, Signature(0, 0, 0, 0), "")
            for job, became in self.became.items()
            if became is None
        ]

    def note_original(self, job, became):
        self.became[job] = became


class Intake:
    """Does errands at once."""

    def latest_listing(self):
        return ()

    def do(self, errand):
        errand()


@pytest.mark.parametrize("after", [After.MOVE, After.DELETE])
def test_a_folder_that_the_service_may_not_write_to_is_an_alert_until_the_restart(
    tmp_path, monkeypatch, after
):
    answers = {1: "read_only", 2: "deleted", 3: "read_only"}
    monkeypatch.setattr(parting, "part_with", lambda *film: answers[film[-1]])
    journal, alerts = Journal(answers), Alerts(lambda: None)
    it = OriginalFiles(journal, Intake(), alerts, after, tmp_path, tmp_path)
    it.turn()
    it.turn()
    assert journal.became == answers
    (alert,) = alerts.active()
    assert alert.code == "originals"
    assert alert.detail.startswith("films that have ended stay in the drop folder")
    assert os.fspath(tmp_path) not in alert.detail
