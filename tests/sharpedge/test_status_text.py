"""A status as text: 80 columns, every subject, no line that a terminal breaks."""

from __future__ import annotations

import pytest
from held_films import DEVICE, LIVE, Films
from hypothesis import given
from hypothesis import strategies as st

from edge.contract.payloads import Alert
from edge.errors import Reason
from edge.journal import orders
from edge.model import Laterality, OperatorStatement
from edge.operator.reading import JournalView
from edge.operator.status import compose
from sharpedge.status_text import WIDTH, age, clock, held_text, shortened, status_text

LONG = "MUELLER_ANNA_19561204_hand_ap_rechts_" + "x" * 200 + ".jpg"


@pytest.fixture
def status(tmp_path):
    films = Films(tmp_path)
    films.held(LONG)
    films.held("b.jpg", Reason.OTHER_BODY_PART)
    films.add(f"s{LONG}", side=Laterality.LEFT)
    films.add(f"c{LONG}", reason=Reason.UNSUPPORTED_TRANSFER_SYNTAX)
    job = films.held("d.jpg")
    orders.release(films.store, job, OperatorStatement(None, Laterality.LEFT), "anna (via page)")
    alerts = (Alert(code="unreadable", detail="a word and another " * 20),)
    live = LIVE.model_copy(update={"alerts": alerts})
    yield compose(JournalView(films.store, films.places), live, str(DEVICE))
    films.close()


def test_every_subject_is_there_in_80_columns(status):
    text = status_text(status)
    lines = [it for it in text.splitlines() if "  picture  " not in it]
    assert max(map(len, lines)) <= WIDTH
    for words in ("Waiting", "Held for a person: 2", "Last results", "Rejected lately",
                  "Decided lately", "anna (via page)", "Alerts", "Outbox: ", "Versions: ",
                  "Research use only"):  # fmt: skip
        assert words in text, words


def test_a_copys_path_and_each_command_stand_whole_on_a_line(status):
    lines = [it.strip() for it in held_text(status).splitlines()]
    for film in status.held:
        assert any(line.endswith(film.copy_path) for line in lines)
        for command in film.commands.values():
            assert any(line.endswith(command) for line in lines)


def test_what_contradicts_what_stands_beside_the_reason(status):
    first = status.held[0]
    told = ("already_framed", "dicom L hand, filename R hand")
    doubted = first.model_copy(update={"flags": told})
    text = " ".join(held_text(status.model_copy(update={"held": (doubted,)})).split())
    assert f"{first.meaning} (dicom L hand, filename R hand): " in text
    assert "already framed" not in text


def test_a_limb_without_grades_says_why_and_a_rejected_film_when(status):
    result = status.results[0].model_copy(
        update={"status": "not_graded", "reason": "unfamiliar", "subtotals": None}
    )
    text = status_text(status.model_copy(update={"results": (result,)}))
    assert "not graded: the joint looks like nothing that the scorer learnt from" in text
    (row,) = [it for it in text.splitlines() if it.startswith(f"  {status.rejected[0].job:>6}  ")]
    assert clock(status.rejected[0].at) in row


def test_nothing_held_is_said(status):
    calm = status.model_copy(update={"held": (), "held_total": 0})
    assert held_text(calm).startswith("No film is held.")
    assert "does not run" in held_text(calm.model_copy(update={"running": False}))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "119 min"), (7200, "2 h"),
     (172_800, "2 d")],
)  # fmt: skip
def test_an_age_is_in_its_largest_unit(seconds, text):
    assert age(seconds) == text


@given(text=st.text(), width=st.integers(3, 80))
def test_a_shortened_name_keeps_its_ends(text, width):
    found = shortened(text, width)
    assert len(found) <= width
    assert found == text or (found[0], found[-1]) == (text[0], text[-1])
