"""An association whose report has come is released after the answer to it, or at the stop."""

from __future__ import annotations

import time

import pytest

from edge.delivery.pacs.dicom import DicomCarrier
from edge.delivery.pacs.settings import PacsSettings


class Association:
    """One that waits for a report."""

    is_open, ended = True, False

    def end(self):
        self.ended = True


@pytest.fixture
def now(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def asked(now):
    carrier, association = DicomCarrier(PacsSettings(), lambda _report: None), Association()
    carrier._asking["1.2"] = (now[0] + 60.0, association)
    return carrier, association


def test_it_is_released_once_the_answer_has_had_its_time(asked, now):
    carrier, association = asked
    carrier.reported("1.2")
    carrier.reported("1.3")
    carrier.tidy()
    assert not association.ended
    now[0] += 0.3
    carrier.tidy()
    assert association.ended
    assert carrier._asking == {}


@pytest.mark.parametrize("reported", [True, False])
def test_a_stop_waits_for_an_answer_alone(asked, monkeypatch, reported):
    carrier, association = asked
    slept = []
    monkeypatch.setattr(time, "sleep", lambda seconds: slept.append((seconds, association.ended)))
    if reported:
        carrier.reported("1.2")
    carrier.stop()
    assert association.ended
    assert slept == ([(pytest.approx(0.2), False)] if reported else [])
