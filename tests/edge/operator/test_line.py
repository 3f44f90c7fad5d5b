"""The appliance's condition in one line."""

from __future__ import annotations

import pytest
from held_films import LIVE
from hypothesis import given
from hypothesis import strategies as st

from edge.contract.payloads import Alert
from edge.operator.line import films, reasons, status_line

CALM = LIVE.model_copy(update={"alerts": (), "connected": True})


@pytest.mark.parametrize(
    ("change", "held", "messages", "line"),
    [
        ({}, {}, 0, "waiting for films"),
        ({"connected": False}, {"side_not_known": 3}, 2,
         "3 films held: side not known; 2 waiting for the broker"),
        ({}, {"side_not_known": 2, "two_limbs": 1}, 1,
         "3 films held: 2 side not known, 1 two limbs; 1 waiting for an answer"),
        ({"presence": "starting"}, {}, 0, "engines are being loaded, films wait"),
        ({"presence": "unfit"}, {}, 0, "no engine may be used, films wait"),
        ({"alerts": (Alert(code="paused", detail="-"), Alert(code="disk_low", detail="-"))}, {}, 0,
         "paused by a dashboard; alerts: disk_low"),
        # What it says is in the line anyway.
        ({"alerts": (Alert(code="films_held", detail="-"),)}, {"two_limbs": 1}, 0,
         "1 film held: two limbs"),
    ],
)  # fmt: skip
def test_the_line_says_what_hinders_and_what_waits(change, held, messages, line):
    assert status_line(CALM.model_copy(update=change), held, messages) == line


def test_of_a_stopped_appliance_it_says_so():
    assert status_line(None, {}, 1) == "not running; 1 waiting for the broker"


def test_many_reasons_are_counted():
    assert reasons({"a": 4, "b": 3, "c": 2, "d": 1, "e": 1}) == "4 a, 3 b, 2 c, 2 other reasons"
    assert films(1) == "1 film"


@given(
    held=st.dictionaries(
        st.sampled_from(["side_not_known", "two_limbs", "immature", "oblique_view"]),
        st.integers(1, 10**6),
    ),
    messages=st.integers(0, 10**6),
)
def test_it_is_one_short_line_with_the_number_of_all_held_films(held, messages):
    line = status_line(CALM, held, messages)
    assert "\n" not in line
    assert len(line) < 200
    assert not held or line.startswith(films(sum(held.values())))
