"""The receiver's figures beside the appliance's: what a sender did is in them."""

from __future__ import annotations

import time

import pytest
from appliance import until
from prometheus_client.parser import text_string_to_metric_families
from receiving import Process, close_connections, connect, film_object, send

from edge.daemon.receiver_metrics import receiver_metrics
from edge.receive.figures import FigureFile
from edge.receive.inbox import Inbox


@pytest.fixture
def box(broker, make_appliance, tmp_path):
    it = make_appliance(broker.port, factory="receiving:build")
    it.receiver = Process(it)
    it.textfile = tmp_path / "figures.prom"
    with it.config.open("a") as file:
        file.write(f'[metrics]\ntextfile = "{it.textfile}"\nevery_s = 0.2\n')
    yield it
    it.receiver.kill()
    close_connections()


def samples(path):
    """Value by figure and its labels' values."""
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(path.read_text())
        for one in family.samples
    }


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_answers_rejections_and_the_inbox_are_in_the_figures(box, subscriber):
    box.start()
    box.receiver.start()
    assert send(box.receiver.port, film_object("1.2.1", "reason=side_not_known")) == [0]
    assert not connect(box.receiver.port, "STRANGER").is_established
    subscriber.wait("reject", 1)
    until(
        lambda: samples(box.textfile).get(("sharpedge_rejected_associations_total",)) == 1,
        what="the figures",
    )
    found = samples(box.textfile)
    assert found["sharpedge_received_instances_total", "0000"] == 1
    assert found["sharpedge_receiver_running",] == 1
    # It waits for a person.
    assert found["sharpedge_inbox_films",] == 1
    box.receiver.kill()
    until(lambda: samples(box.textfile)["sharpedge_receiver_running",] == 0, what="the end")


def test_without_a_receiver_so_far_there_are_no_counts(tmp_path):
    names = [family.name for family in receiver_metrics(tmp_path / "inbox")]
    assert names == ["sharpedge_receiver_running", "sharpedge_inbox_films"]


def test_hidden_files_of_the_receiver_are_no_films(tmp_path):
    inbox = Inbox(tmp_path, 0)
    FigureFile(tmp_path, time.time()).write({}, 0)
    (tmp_path / ".x.dcm.1.part").touch()
    (tmp_path / "x.dcm").touch()
    found = {family.name: family.samples for family in receiver_metrics(tmp_path)}
    assert found["sharpedge_inbox_films"][0].value == 1
    assert found["sharpedge_receiver_running"][0].value == 1
    inbox.close()
