"""Receipts and commands, good and bad, and where answers may go."""

from __future__ import annotations

import json

import pytest

from edge.contract.ids import DeviceName
from edge.contract.payloads import Command
from edge.delivery.incoming import Incoming
from edge.delivery.link import Arrived

OLD = DeviceName("clinic", "old-room", "box1")


@pytest.fixture
def box(make_box):
    return make_box()


@pytest.fixture
def incoming(box):
    return Incoming(box.device, 2, {OLD}, box.store, box.pictures, box.active)


def obey(incoming, payload, *, topic=None, retained=False, response=None):
    handed = []
    topic = topic or "sharpedge/clinic/xr1/box1/command"
    event = Arrived(topic, payload, retained, response, b"7")
    answer = incoming.answer_command(event, lambda: handed.append("rebirth"), handed.append)
    return (None if answer is None else (answer[0], json.loads(answer[1]), answer[2])), handed


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"explode", b'{"command": "explode"}', b'{"command": 5}', b"\xff\xfe",
     b"[" * 4000, b"x" * 100_000, b'{"command": "pause", "more": 1}', b'"pause"', b"null"],
)  # fmt: skip
def test_what_is_no_command_is_answered_with_the_reason_and_does_nothing(incoming, payload):
    (topic, body, extras), handed = obey(incoming, payload)
    assert topic == "sharpedge/clinic/xr1/box1/answer"
    assert (body["command"], body["done"]) == (None, False)
    assert body["detail"]
    assert extras.correlation == b"7"
    assert handed == []
    assert incoming.take_dropped() == 1


def test_a_retained_command_is_neither_carried_out_nor_answered(incoming):
    assert obey(incoming, b'{"command": "pause"}', retained=True) == (None, [])
    assert incoming.take_dropped() == 1


def test_a_flood_of_junk_is_not_answered_with_a_flood(incoming):
    answers = [obey(incoming, b"junk")[0] for _ in range(1000)]
    assert sum(answer is not None for answer in answers) <= 10
    assert incoming.take_dropped() == 1000


@pytest.mark.parametrize("command", Command)
def test_every_command_is_done_or_answered_with_what_it_lacks(incoming, command):
    (_, body, _), handed = obey(incoming, json.dumps({"command": command}).encode())
    assert body["command"] == command
    if command in {Command.REPLAY, Command.PICTURE}:
        assert (body["done"], body["detail"]) == (False, f"{command} needs an id")
    else:
        assert body["done"]
        assert handed == [command]


def test_a_picture_is_sent_again_by_id(box, incoming):
    result_id = box.film(1, picture=True)
    box.run(2, box.answer_new())
    box.broker.taken = []
    (_, body, _), _ = obey(incoming, json.dumps({"command": "picture", "id": result_id}).encode())
    assert body["done"]
    box.run(1)
    assert [it[0].split("/")[4] for it in box.broker.taken] == ["image"]
    for path in box.pictures.iterdir():
        path.unlink()
    (_, body, _), _ = obey(incoming, json.dumps({"command": "picture", "id": result_id}).encode())
    assert (body["done"], "not kept" in body["detail"]) == (False, True)


@pytest.mark.parametrize(
    ("response", "used"),
    [
        ("sharpedge/ward/answers", True),
        ("sharpedge/clinic/xr1/box1/answer", True),
        ("sharpedge/ward/a/b/c/d", True),
        (None, False),
        ("", False),
        ("elsewhere/answers", False),
        ("sharpedge", False),
        ("sharpedge/#", False),
        ("sharpedge/+/answers", False),
        ("sharpedge/ward/\0", False),
        ("sharpedge/clinic/xr1/box1/state", False),
        ("sharpedge/clinic/xr1/box2/command", False),
        ("sharpedge/clinic/xr1/box2/study/x", False),
        ("sharpedge/clinic/xr1/box1/result", False),
        ("sharpedge/" + "x" * 600, False),
    ],
)
def test_an_answer_goes_where_it_was_asked_for_only_where_nothing_else_is(incoming, response, used):
    (topic, _, _), _ = obey(incoming, b'{"command": "rescan"}', response=response)
    assert topic == (response if used else "sharpedge/clinic/xr1/box1/answer")


def test_receipts_and_commands_below_a_former_name_are_read(box, incoming):
    event = Arrived(OLD.topic("receipt"), b"{}", retained=False)
    assert incoming.is_receipt(event)
    assert not incoming.is_receipt(Arrived("sharpedge/x/y/box1/receipt", b"{}", retained=False))
    (topic, body, _), _ = obey(incoming, b'{"command": "rescan"}', topic=OLD.topic("command"))
    assert (topic, body["done"]) == (OLD.topic("answer"), True)
    assert box.device != OLD
