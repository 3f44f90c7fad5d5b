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


def decide(incoming, box, body, account="anna", name=None, **more):
    """Body of the answer to a decision; None where there is no answer."""
    topic = (name or box.device).topic(f"operator/{account}")
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    event = Arrived(topic, payload, more.get("retained", False), more.get("response"), b"7")
    assert incoming.is_decision(event)
    answer = incoming.answer_decision(event)
    return answer and (answer[0], json.loads(answer[1]), answer[2])


def held(box, number=1):
    """A film that is held; returns the id of its reject."""
    result_id = box.film(number)
    with box.store.transaction() as db:
        db.execute("UPDATE job SET state = 'held' WHERE number = ?", (number,))
    return result_id


def said_by(box, job):
    events = box.store.events_of_jobs(job, job)
    return [it.detail["operator"] for it in events if "operator" in it.detail]


def test_a_release_is_done_and_the_chain_names_person_and_account(box, incoming):
    body = {"command": "release", "id": held(box), "operator": "Anna Müller", "side": "L"}
    topic, answer, extras = decide(incoming, box, body)
    assert topic == "sharpedge/clinic/xr1/box1/answer"
    assert (answer["command"], answer["done"]) == ("release", True)
    assert answer["detail"] == "job 1 goes on as job 2"
    assert extras.correlation == b"7"
    assert said_by(box, 2) == ["Anna Müller (via anna)"]
    _, again, _ = decide(incoming, box, body)
    assert again["done"] is False
    assert "not held: nothing to release" in again["detail"]


def test_dismiss_and_retry_are_done_and_an_unknown_film_is_answered(box, incoming):
    one = {"id": held(box), "operator": "anna"}
    assert decide(incoming, box, {"command": "dismiss", **one})[1]["done"]
    assert said_by(box, 1) == ["anna"]
    assert decide(incoming, box, {"command": "retry", **one})[1]["detail"].endswith("as job 2")
    nobody = {"id": "00000000-0000-5000-8000-000000000000", "operator": "anna"}
    _, answer, _ = decide(incoming, box, {"command": "dismiss", **nobody})
    assert (answer["command"], answer["done"]) == ("dismiss", False)
    assert "knows no such film" in answer["detail"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"operator": None}, "operator"),
        ({"operator": ""}, "operator"),
        ({"operator": "a\nb"}, "operator"),
        ({"operator": "x" * 65}, "operator"),
        ({"command": "pause"}, "command"),
        ({"command": None}, "command"),
        ({"id": "1"}, "id"),
        ({"id": None}, "id"),
        ({"side": "left"}, "side"),
        ({"limb": "knee"}, "limb"),
        ({"more": 1}, "more"),
    ],
)
def test_a_malformed_decision_is_answered_with_what_is_wrong(box, incoming, change, names):
    body = {"command": "release", "id": held(box), "operator": "anna", "side": "L"} | change
    body = {k: v for k, v in body.items() if v is not None}
    _, answer, _ = decide(incoming, box, body)
    assert (answer["command"], answer["done"]) == (None, False)
    assert f"({names})" in answer["detail"]
    assert box.store.db.execute("SELECT state FROM job").fetchone()["state"] == "held"
    assert incoming.take_dropped() == 1


@pytest.mark.parametrize("payload", [b"", b"x" * 9000, b"\xff", b"[]", b"{}"])
def test_junk_and_a_strange_account_are_answered_and_do_nothing(box, incoming, payload):
    assert decide(incoming, box, payload)[1]["done"] is False
    body = {"command": "dismiss", "id": held(box), "operator": "anna"}
    for account in ('a"b', "a b", "x" * 65, "\x1b[2J"):
        _, answer, _ = decide(incoming, box, body, account)
        assert (answer["command"], answer["done"]) == (None, False)
    assert box.store.db.execute("SELECT state FROM job").fetchone()["state"] == "held"


def test_a_retained_decision_does_nothing_and_one_below_an_old_name_is_answered_there(
    box, incoming
):
    body = {"command": "dismiss", "id": held(box), "operator": "anna"}
    assert decide(incoming, box, body, retained=True) is None
    topic, answer, _ = decide(incoming, box, body, name=OLD)
    assert (topic, answer["done"]) == (OLD.topic("answer"), True)


def test_an_answer_never_goes_to_a_topic_for_decisions(box, incoming):
    body = {"command": "dismiss", "id": held(box), "operator": "anna"}
    response = "sharpedge/clinic/xr1/box2/operator/anna"
    assert decide(incoming, box, body, response=response)[0].endswith("/answer")


def test_on_the_topic_for_commands_a_release_is_told_where_it_goes(box, incoming):
    body = {"command": "release", "id": held(box), "operator": "anna", "side": "L"}
    (_, answer, _), handed = obey(incoming, json.dumps(body).encode())
    assert (answer["done"], handed) == (False, [])
    assert "operator/ACCOUNT" in answer["detail"]
