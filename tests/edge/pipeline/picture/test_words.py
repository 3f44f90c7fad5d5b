"""The words on a picture say what the result says, in words."""

from __future__ import annotations

import pytest
from limb_results import a_result

from edge.errors import NULL_REASONS, REASONS, NullReason, Reason
from edge.model import JointScore, Laterality, LateralitySource, Status
from edge.pipeline.picture.words import (
    SHORT_REASONS,
    Caption,
    head_of,
    label_lines,
    reason_words,
    short_lines,
    strip_lines,
    unscored_words,
)

CAPTION = Caption(
    "film-7.jpg", "hospital/room/box", "arrived 2026-03-04 10:31 UTC", "a" * 32, "b" * 32
)


def texts(result, caption=CAPTION):
    return [line.text for line in strip_lines(result, caption)]


def test_a_label_says_name_grades_and_why_one_is_missing():
    both = JointScore(name="MCP2", erosion=2, narrowing=0)
    assert label_lines(both) == ("MCP2", "E 2  N 0")
    one = JointScore(name="MCP2", erosion_reason="doubtful", narrowing=3)
    assert label_lines(one) == ("MCP2", "N 3", "E: grade doubtful")
    none = JointScore(name_candidate="PIP3", erosion_reason="occluded", narrowing_reason="occluded")
    assert label_lines(none) == ("PIP3?", "metal across it")


def test_a_grade_that_svh_does_not_have_is_not_called_missing():
    thumb = JointScore(name="IP1", erosion=1, narrowing_reason="not_in_svh")
    assert label_lines(thumb) == ("IP1", "E 1")
    assert unscored_words(a_result()) == []


def test_every_reason_has_a_short_form():
    assert set(SHORT_REASONS) == set(NullReason)
    assert all(len(words) < 20 for words in SHORT_REASONS.values())


@pytest.mark.parametrize("reason", [*Reason, *NullReason])
def test_every_reason_is_said_in_words(reason):
    assert reason_words(str(reason)) in {
        *(text.meaning for text in REASONS.values()),
        *NULL_REASONS.values(),
    }


def test_the_strip_says_side_and_source_sums_film_place_people_and_versions():
    lines = texts(a_result(flags=("low_resolution",)))
    whole = "\n".join(lines)
    assert lines[0] == "Left hand, side from the DICOM tags"
    for wanted in (
        "Erosion 10 of 50 (10 of 10 joints scored)", "Narrowing 18 of 36 (9 of 9 joints scored)",
        "Flags: low resolution", "hospital/room/box", "arrived 2026-03-04 10:31 UTC", "film-7.jpg",
        "patient " + "a" * 32, "study " + "b" * 32, "sharpedge 0.0.test", "hand-score 01234567",
    ):  # fmt: skip
        assert wanted in whole
    assert lines[-1] == "Research use only, not a medical device."


def test_what_is_not_scored_is_listed_with_its_reason():
    none = {"erosion": None, "narrowing": None}
    result = a_result(grades={
        "PIP5": none | {"erosion_reason": "out_of_field", "narrowing_reason": "out_of_field"},
        "MCP2": {"erosion": None, "erosion_reason": "doubtful"},
    })  # fmt: skip
    (line,) = [text for text in texts(result) if text.startswith("Not scored:")]
    assert f"PIP5 ({NULL_REASONS[NullReason.OUT_OF_FIELD]})" in line
    assert f"erosion of MCP2 ({NULL_REASONS[NullReason.DOUBTFUL]})" in line


def test_a_limb_that_is_held_says_why_and_what_to_do_once():
    held = {
        "erosion": None,
        "narrowing": None,
        "erosion_reason": "held",
        "narrowing_reason": "held",
    }
    result = a_result(
        grades=dict.fromkeys(a_result().limb.joints, held),
        status=Status.HELD,
        reason="side_conflict",
        advice=REASONS[Reason.SIDE_CONFLICT].advice,
        subtotals=None,
        laterality=None,
    )
    lines = texts(result)
    assert lines[0] == "Hand, side not known"
    assert lines[1] == f"Held: {REASONS[Reason.SIDE_CONFLICT].meaning}"
    assert lines[2].startswith("What to do: ")
    assert not any(line.startswith("Not scored") for line in lines)
    assert label_lines(result.joints[0]) == ("IP1",)


def test_a_thumbnail_has_two_lines_with_the_notice():
    assert [line.text for line in short_lines(a_result())] == [
        "L hand  E 10 of 50  N 18 of 36", "Research use only, not a medical device",
    ]  # fmt: skip
    assert "not graded" in short_lines(a_result(status=Status.NOT_GRADED, subtotals=None))[0].text


def test_nothing_unknown_stands_on_the_strip():
    assert not any("patient" in text or " | |" in text for text in texts(a_result(), Caption()))
    unknown = a_result().model_copy(update={"limb": None, "laterality": None})
    assert head_of(unknown) == "Limb not known, side not known"


def test_the_picture_of_a_held_film_does_not_suggest_a_side():
    guessed = {"laterality": Laterality.LEFT, "laterality_source": LateralitySource.GEOMETRY}
    held = a_result().model_copy(update=guessed | {"status": Status.HELD})
    assert head_of(held) == "Hand, side not known"
    scored = a_result().model_copy(update=guessed)
    assert head_of(scored) == "Left hand, side from the joints alone"
