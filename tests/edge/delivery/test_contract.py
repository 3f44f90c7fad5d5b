from __future__ import annotations

import json
import uuid

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in import StandIn, film_bytes

from edge.contract.ids import (
    RESULT_NAMESPACE,
    DeviceName,
    ResultKey,
    is_topic_word,
)
from edge.contract.payloads import StudyStatus
from edge.contract.pseudonyms import pseudonym
from edge.contract.schemas import asyncapi, write_contract
from edge.contract.topics import CHANNELS
from edge.outputs.picture import with_comment
from edge.outputs.study import StudyBody, message_of, place_of, with_limb

DEVICE = DeviceName("clinic", "xr1", "box1")
STUDY = "0" * 32


def test_the_result_id_is_the_one_that_the_contract_fixes():
    key = ResultKey(DEVICE, "a" * 64, 1, "e" * 64, "hand", "L")
    canonical = f"clinic/xr1/box1|{'a' * 64}|1|{'e' * 64}|hand|L"
    assert key.canonical() == canonical
    assert key.result_id() == str(uuid.uuid5(RESULT_NAMESPACE, canonical))
    assert str(RESULT_NAMESPACE) == "6f1c2d0e-5b0a-5c1e-9d0c-7e1f5a3b9c42"


def test_another_limb_engine_or_operator_gives_another_id():
    one = ResultKey(DEVICE, "a" * 64, 0, "e" * 64)
    others = [
        ResultKey(DEVICE, "a" * 64, 1, "e" * 64),
        ResultKey(DEVICE, "a" * 64, 0, "f" * 64),
        ResultKey(DEVICE, "a" * 64, 0, "e" * 64, "hand", "L"),
        ResultKey(DEVICE, "a" * 64, 0, "e" * 64, revision=1),
    ]
    assert len({key.result_id() for key in [one, *others]}) == 5


@given(st.text(max_size=80))
def test_no_word_of_a_topic_holds_wildcards_slashes_or_controls(word):
    if is_topic_word(word):
        assert 0 < len(word) <= 64
        assert not set(word) & set("+#/$\0 \n")


def test_pseudonyms_depend_on_key_kind_and_value_and_do_not_show_it():
    made = {pseudonym(k, kind, v) for k in (b"1", b"2") for kind in ("study", "patient")
            for v in ("MUSTERMANN", "M2")}  # fmt: skip
    assert len(made) == 8
    assert not any("MUSTER" in one for one in made)


def test_every_written_schema_is_a_valid_schema(tmp_path):
    written = write_contract(tmp_path)
    names = {path.name for path in written}
    assert "asyncapi.json" in names
    assert len(names) == 1 + sum(channel.model is not None for channel in CHANNELS)
    for path in written:
        document = json.loads(path.read_text())
        if path.name != "asyncapi.json":
            jsonschema.Draft202012Validator.check_schema(document)
            assert document["additionalProperties"] is False


def test_the_asyncapi_document_names_every_topic_with_its_direction():
    document = asyncapi()
    assert document["asyncapi"].startswith("3.")
    assert set(document["channels"]) == {
        "state", "result", "reject", "image", "study", "health", "receipt", "command",
        "answer",
    }  # fmt: skip
    assert document["operations"]["receipt"]["action"] == "receive"
    assert document["operations"]["command"]["action"] == "receive"
    assert document["operations"]["result"]["action"] == "send"
    assert "research use only" in document["info"]["description"]


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


@pytest.mark.parametrize("size", [0, 10])
def test_the_picture_carries_its_id_and_the_notice_and_stays_a_jpeg(size):
    import cv2
    import numpy as np

    ok, data = cv2.imencode(".jpg", np.full((32, 32 + size), 90, np.uint8))
    assert ok
    marked = with_comment(data.tobytes(), "some-id")
    assert b"some-id; research use only" in marked[:100]
    picture = cv2.imdecode(np.frombuffer(marked, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (32, 32 + size)
