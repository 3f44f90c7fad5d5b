"""A patient's set of four limbs."""

from __future__ import annotations

import uuid

from stand_in import StandIn, film_bytes

from edge.contract.payloads import StudyStatus
from edge.outputs.study import StudyBody, message_of, place_of, with_limb

STUDY = "0" * 32


def limb(word):
    return StandIn().score(film_bytes(f"limb={word}"), "x.jpg").limbs[0].result


def test_a_study_sums_to_the_maxima_of_the_partial_score():
    body = StudyBody()
    for number, word in enumerate(("LH", "RH", "LF", "RF")):
        assert place_of(limb(word)) == word
        body = with_limb(body, word, limb(word), str(uuid.UUID(int=number)))
        message = message_of(STUDY, body, StudyStatus.FILLING, 0.0)
        assert message.partial_svh.maximum == 340
        assert len(message.missing) == 3 - number
    assert body.complete
    assert message.partial_svh.attainable == 340
    assert (message.hands.erosion.maximum, message.hands.narrowing.maximum) == (100, 72)
    assert (message.feet.erosion.maximum, message.feet.narrowing.maximum) == (120, 48)


def test_an_empty_study_has_no_score_rather_than_zero():
    message = message_of(STUDY, StudyBody(), StudyStatus.INCOMPLETE, 0.0)
    assert message.partial_svh.score is None
    assert message.partial_svh.n_expected == 2 * 19 + 2 * 12


def test_a_repeat_of_a_limb_supersedes_the_one_before():
    body = with_limb(StudyBody(), "LH", limb("LH"), str(uuid.UUID(int=1)))
    body = with_limb(body, "LH", limb("LH"), str(uuid.UUID(int=2)))
    assert body.limbs["LH"].id == str(uuid.UUID(int=2))
