"""What satisfies the contract, and what does not, whoever sends it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import OTHER, ROOM, jpeg, result

from dashboard.intake.parse import Bad, FactArrived, LimbArrived, PictureArrived, parse
from edge.contract.examples import examples

BODY = json.loads(result().model_dump_json())


def read(topic, payload, picture_bytes=1 << 20):
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return parse(topic, payload, None, picture_bytes)


def test_every_payload_that_a_device_sends_is_understood():
    shown = examples()
    for kind in ("state", "result", "reject", "health"):
        found = read(ROOM.topic(kind), shown[kind].model_dump_json().encode())
        assert isinstance(found, (LimbArrived, FactArrived)), found
    study = shown["study"]
    found = read(ROOM.topic("study", study.study), study.model_dump_json().encode())
    assert found.message == study


@pytest.mark.parametrize(
    ("change", "says"),
    [({"site": "elsewhere"}, "another device"), ({"schema_version": 2}, "schema_version"),
     ({"id": "../../etc"}, "id"), ({"surname": "Miller"}, "extra_forbidden"),
     ({"n_scored": 10**30}, "out of range"), ({"sequence": 2**60}, "out of range"),
     ({"ledger": BODY["ledger"] | {"closed": 1e300}}, "out of range"),
     ({"ledger": BODY["ledger"] | {"closed": -5.0}}, "out of range")],
)  # fmt: skip
def test_a_payload_that_departs_from_the_contract_is_named_without_its_values(change, says):
    found = read(ROOM.topic("result"), BODY | change)
    assert isinstance(found, Bad)
    assert says in found.what
    assert "Miller" not in found.what
    assert "etc" not in found.what


def test_a_device_cannot_speak_for_another():
    assert isinstance(read(OTHER.topic("result"), BODY), Bad)
    state = examples()["state"].model_dump_json().encode()
    assert isinstance(read(OTHER.topic("state"), state), Bad)


@pytest.mark.parametrize(
    "topic",
    ["sharpedge", "sharpedge/a/b/c", "other/a/b/c/result", "sharpedge/a/b/c/gossip",
     "sharpedge/a/b/c/result/more", "sharpedge/a/../c/result", "sharpedge/a/b/c/study"],
)  # fmt: skip
def test_other_topics_are_no_messages(topic):
    assert isinstance(read(topic, BODY), Bad)


def test_what_dashboards_publish_is_passed_over_and_a_cleared_topic_too():
    for kind in ("receipt", "command", "operator/somebody"):
        assert read(f"{ROOM.topic()}/{kind}", b"{}") is None
    assert read(ROOM.topic("study", "0" * 32), b"") is None


def test_a_picture_says_which_result_it_shows_and_where():
    found = read(ROOM.topic("image"), jpeg(BODY["id"], "0.8 0 -64.5 0 0.8 1e-3"))
    assert isinstance(found, PictureArrived)
    assert (found.id, found.placed) == (BODY["id"], "0.8 0 -64.5 0 0.8 1e-3")
    assert isinstance(read(ROOM.topic("image"), jpeg(BODY["id"]), 10), Bad)
    assert isinstance(read(ROOM.topic("image"), b"\x89PNG"), Bad)
    assert isinstance(read(ROOM.topic("image"), jpeg("<script>")), Bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.sampled_from([*BODY]), it, max_size=3),
    max_leaves=8,
)


@given(key=st.sampled_from([*BODY]), value=JSON)
@settings(deadline=None)
def test_no_value_of_any_key_raises(key, value):
    payload = json.dumps(BODY | {key: value}).encode("utf-8", "surrogatepass")
    assert isinstance(parse(ROOM.topic("result"), payload, None, 10), (LimbArrived, Bad))


@given(payload=st.binary(), kind=st.sampled_from(["result", "state", "image", "answer", "health"]))
@settings(deadline=None)
def test_no_bytes_raise(payload, kind):
    parse(ROOM.topic(kind), payload, payload, 10)


def test_nesting_without_end_is_no_json():
    assert isinstance(read(ROOM.topic("result"), b"[" * 100_000), Bad)
