"""A room that is renamed: what waits keeps its name, and nothing of the old one stays behind."""

from __future__ import annotations

import json

import pytest

from edge.contract.ids import DeviceName
from edge.errors import ConfigError
from edge.journal.kinds import REJECT
from edge.journal.names import Names

NEW = DeviceName("new-clinic", "xr2", "box1")


def topics(box):
    return [topic for topic, payload, retain in box.broker.taken if payload or not retain]


def test_what_waits_goes_out_under_the_name_at_its_scoring(make_box):
    box = make_box()
    ids = [box.film(number, picture=True) for number in range(3)]
    box = make_box(device=NEW)
    box.film(7)
    assert box.names.open() == {NEW, DeviceName("clinic", "xr1", "box1")}
    box.run(5)
    old = [json.loads(p) for t, p, _ in box.broker.taken if t == "sharpedge/clinic/xr1/box1/result"]
    assert [body["id"] for body in old][:3] == ids
    assert {(body["site"], body["room"]) for body in old} == {("clinic", "xr1")}
    assert sum(t == "sharpedge/clinic/xr1/box1/image" for t in topics(box)) >= 3
    new, *_ = [json.loads(p) for t, p, _ in box.broker.taken if t == NEW.topic("result")]
    assert (new["site"], new["room"]) == ("new-clinic", "xr2")


def test_retained_topics_of_the_old_name_are_cleared_once_the_broker_has_it(make_box):
    box = make_box()
    for number in range(250):
        box.film(number, study=True)
    box.run(1)
    box = make_box(device=NEW)
    box.broker.acknowledges = False
    box.run(1)
    assert box.names.to_clear() != []
    box = make_box(device=NEW)
    box.run(60)
    cleared = {topic for topic, payload, retain in box.broker.taken if retain and not payload}
    old = "sharpedge/clinic/xr1/box1"
    assert {f"{old}/state", f"{old}/health"} < cleared
    assert len(cleared) == 252
    assert all(topic.startswith(old) for topic in cleared)
    assert box.names.to_clear() == []


def test_a_broker_that_refuses_to_clear_raises_an_alert_and_is_asked_at_the_next_connection(
    make_box,
):
    make_box().run(1)
    box = make_box(device=NEW)
    box.broker.refuses = lambda topic: "Not authorized" if "/clinic/" in topic else ""
    box.run(5)
    assert "clinic/xr1/box1" in box.alerts()["old_topics"]
    assert len(box.broker.refused) == 2
    box.broker.refuses = lambda _topic: ""
    box.connect()
    box.run(2)
    assert box.names.to_clear() == []


def test_messages_of_a_release_that_kept_no_names_belong_to_the_name_of_the_upgrade(make_box):
    box = make_box()
    box.film(1)
    box.store.db.execute("UPDATE outbox SET name = ''")
    box = make_box(device=NEW)
    assert box.names.of("") == DeviceName("clinic", "xr1", "box1")


def test_another_device_is_refused_while_messages_wait_and_taken_when_none_does(make_box):
    box = make_box()
    box.film(1, REJECT)
    other = DeviceName("clinic", "xr1", "box2")
    with pytest.raises(ConfigError, match=r'site\.device: .* set site\.device to "box1"') as caught:
        Names(box.store, other).refuse_other_device()
    assert "\n" not in str(caught.value)
    box.run(2, box.answer_new())
    Names(box.store, other).refuse_other_device()


@pytest.mark.parametrize("text", ["", "a", "a/b", "a/b/c/d", "a/+/c", "a/b/#", "//", "a/b/\0"])
def test_what_is_no_name_is_none(text):
    assert DeviceName.parse(text) is None
