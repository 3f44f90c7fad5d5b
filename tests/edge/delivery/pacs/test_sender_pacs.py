"""The PACS thread: nothing that goes wrong there ends the daemon."""

from __future__ import annotations

import time

from appliance import free_port, until
from pacs_peers import bare_peer

from edge.delivery.pacs.delivery import PacsDelivery


def codes(sender):
    return {alert.code for alert in sender.alerts()}


def test_documents_are_delivered_by_the_thread(pacs, make_pacs_box, make_sender):
    box = make_pacs_box(pacs.port)
    box.film(1)
    sender = make_sender(box)
    until(lambda: box.states() == ["closed", "closed"])
    until(lambda: codes(sender) == set())


def test_a_fault_is_told_and_delivery_goes_on(pacs, make_pacs_box, make_sender, monkeypatch):
    faults = [ValueError("x"), KeyError("y")]
    turn = PacsDelivery.turn

    def broken(self, stopping):
        if faults:
            raise faults.pop()
        turn(self, stopping)

    monkeypatch.setattr(PacsDelivery, "turn", broken)
    monkeypatch.setattr("edge.delivery.pacs.sender._FAULT_S", 0.3)
    box = make_pacs_box(pacs.port)
    box.film(1)
    sender = make_sender(box)
    until(lambda: "pacs_outbox" in codes(sender))
    until(lambda: box.states() == ["closed", "closed"])
    until(lambda: "pacs_outbox" not in codes(sender))


def test_a_stop_does_not_wait_for_a_pacs_that_hangs(make_pacs_box, make_sender):
    def silent(connection):
        while connection.recv(65536):
            pass

    with bare_peer(silent) as port:
        box = make_pacs_box(port, connect_s=30.0, answer_s=30.0)
        box.film(1)
        sender = make_sender(box)
        time.sleep(0.5)
        began_s = time.monotonic()
        sender.stop(8)
        assert time.monotonic() - began_s < 8
        assert not sender._thread.is_alive()
        assert box.states() == ["queued", "queued"]


def test_a_listener_that_cannot_listen_costs_no_storing(pacs, make_pacs_box, make_sender):
    # The PACS's own port is taken for sure.
    box = make_pacs_box(pacs.port, commitment_port=pacs.port)
    box.film(1)
    sender = make_sender(box)
    until(lambda: "pacs_listener" in codes(sender))
    until(lambda: box.states() == ["closed", "closed"])


def test_what_waits_long_or_is_set_aside_is_told(make_pacs_box, make_sender):
    box = make_pacs_box(free_port())
    box.film(1)
    sender = make_sender(box)
    until(lambda: {"pacs", "pacs_undelivered"} <= codes(sender))
    box.store.db.execute("UPDATE outbox SET state = 'set_aside', why = 'x' WHERE kind = 'dicom_sr'")
    until(lambda: "pacs_set_aside" in codes(sender))


def test_files_whose_rows_are_closed_or_gone_are_removed(pacs, make_pacs_box, make_sender):
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.store.db.execute("UPDATE outbox SET state = 'closed' WHERE kind = 'dicom_sr'")
    (box.folder / "0e3b6ab2-43d5-5c55-8a9f-0f6de70a1d11.dcm").write_bytes(b"of a row that is gone")
    make_sender(box)
    until(lambda: box.states() == ["closed", "closed"])
    until(lambda: list(box.folder.iterdir()) == [])


def test_what_waits_is_set_aside_where_the_site_has_switched_it_off(make_pacs_box, make_sender):
    box = make_pacs_box(1)
    box.film(1)
    make_sender(box, enabled=False)
    until(lambda: box.states() == ["set_aside", "set_aside"])
    assert box.why() == ["pacs_disabled", "pacs_disabled"]
