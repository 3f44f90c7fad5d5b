"""Documents to PACS of the tests' own: in order, with their receipt, whatever the peer does."""

from __future__ import annotations

from io import BytesIO

import pytest
from appliance import free_port, until
from pacs_peers import CAPTURE, REPORT, bare_peer, silent
from pydicom import dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import StorageCommitmentPushModel

from edge.daemon.repair import repair
from edge.journal.orders import dismiss

pytestmark = [
    # pynetdicom's own threads leave sockets of refused connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.mark.parametrize("reports", ["same", "early", "own"])
def test_documents_are_stored_in_order_and_closed_by_the_commitment(pacs, make_pacs_box, reports):
    own = {"commitment_port": free_port()} if reports == "own" else {}
    box = make_pacs_box(pacs.port, commitment_s=5.0, **own)
    pacs.reports, pacs.report_port = reports, own.get("commitment_port", 0)
    wanted = [uid for number in range(3) for uid in box.film(number)]
    box.start().run_until_closed()
    assert pacs.uids() == wanted
    assert list(box.folder.iterdir()) == []
    assert box.alerts.active() == ()
    until(lambda: pacs.answers)
    assert set(pacs.answers) == {0x0000}


def test_bytes_arrive_as_they_lie_in_the_file(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    box.film(1)
    sent = [path.read_bytes() for path in box.folder.iterdir()]
    box.start().run_until_closed()
    assert all(any(file.endswith(data) for file in sent) for _, data in pacs.stored)
    assert all(len(data) > 1000 for _, data in pacs.stored)


def test_only_the_classes_that_are_sent_are_proposed(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    box.film(1, kinds=("dicom_sr",))
    box.start().run_until_closed()
    assert pacs.proposed == [{REPORT}, {StorageCommitmentPushModel}]
    box.film(2, kinds=("dicom_sc",))
    box.run_until_closed()
    assert pacs.proposed[2:] == [{CAPTURE}, {StorageCommitmentPushModel}]


def test_a_pacs_that_takes_implicit_vr_alone_gets_the_same_content(make_pacs, make_pacs_box):
    pacs = make_pacs(syntax=ImplicitVRLittleEndian)
    box = make_pacs_box(pacs.port)
    box.film(1)
    sent = [dcmread(path) for path in box.folder.iterdir()]
    box.start().run_until_closed()
    got = [read_dataset(BytesIO(data), True, True) for _, data in pacs.stored]
    by_uid = {one.SOPInstanceUID: one for one in got}
    for one in sent:
        same = by_uid[one.SOPInstanceUID]
        assert [same[it.tag].value for it in one] == [it.value for it in one]


def test_without_commitment_the_answer_to_the_c_store_closes(make_pacs, make_pacs_box):
    pacs = make_pacs(commitment=False)
    box = make_pacs_box(pacs.port, commitment=False)
    box.film(1)
    box.start().run_until_closed()
    assert pacs.asked == []
    assert list(box.folder.iterdir()) == []


def test_a_pacs_that_never_commits_is_asked_again_then_given_it_again(pacs, make_pacs_box):
    pacs.reports = "never"
    box = make_pacs_box(pacs.port, commitment_s=0.2)
    first = box.film(1)
    box.start().run(lambda: len(pacs.stored) >= 4)
    assert pacs.uids()[:4] == first * 2
    assert len(pacs.asked) >= 3
    assert "no commitment to 2 documents" in box.alert("pacs_commitment")
    assert "closed" not in box.states()
    # Later documents do not wait for it.
    later = box.film(2)
    box.run(lambda: set(later) <= set(pacs.uids()))
    pacs.reports = "same"
    box.run_until_closed(60)
    assert box.alert("pacs_commitment") == ""


@pytest.mark.parametrize("reason", [0x0110, 0x0112, 0x0213])
def test_a_commitment_that_fails_is_never_taken_for_a_delivery(pacs, make_pacs_box, reason):
    box = make_pacs_box(pacs.port, commitment_s=0.3)
    bad, good = box.film(1)
    pacs.fails = lambda uid: reason if uid == bad else None
    box.start().run(lambda: box.states()[1] == "closed")
    box.work(1.0)
    assert box.states()[0] in {"queued", "waiting"}
    assert f"reason {reason:04x}" in box.alert("pacs_commitment")
    assert pacs.uids().count(bad) >= (2 if reason == 0x0112 else 1)
    assert pacs.uids().count(good) == 1
    pacs.fails = lambda _uid: None
    box.run_until_closed(30)


def test_a_pacs_without_commitment_is_told_with_the_fix(make_pacs, make_pacs_box):
    pacs = make_pacs(commitment=False)
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.start().run(lambda: box.alert("pacs_commitment"))
    assert "pacs.commitment = false" in box.alert("pacs_commitment")
    assert box.states() == ["waiting", "waiting"]


def test_out_of_resources_is_waited_for_and_the_order_kept(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    wanted = [uid for number in range(3) for uid in box.film(number)]
    pacs.answer = lambda number, _uid: 0xA700 if number <= 5 else 0
    box.start().run(lambda: box.alert("pacs"))
    assert "out of resources (status_a700)" in box.alert("pacs")
    box.run_until_closed()
    assert pacs.uids() == wanted
    assert box.alert("pacs") == ""


def test_a_document_that_alone_is_out_of_resources_blocks_no_other(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    large, *others = [uid for number in range(2) for uid in box.film(number)]
    pacs.answer = lambda _number, uid: 0xA700 if uid == large else 0
    box.start().run(lambda: box.states() == ["queued", *["closed"] * 3], 30)
    assert pacs.uids() == others
    assert "out of resources" in box.alert("pacs")
    # Each further document that is stored shows that this one alone is the cause.
    for number in range(2, 8):
        box.film(number)
        box.run(lambda: set(box.states()[1:]) == {"closed"}, 30)
    box.run(lambda: box.states()[0] == "set_aside", 30)
    assert box.why() == ["status_a700"]


@pytest.mark.parametrize("status", [0xC000, 0xA900, 0x0122])
def test_a_document_that_the_pacs_refuses_is_set_aside_and_blocks_no_other(
    pacs, make_pacs_box, status
):
    box = make_pacs_box(pacs.port)
    refused, *_ = wanted = [uid for number in range(2) for uid in box.film(number)]
    pacs.answer = lambda _number, uid: status if uid == refused else 0
    box.start().run(lambda: box.states() == ["set_aside", *["closed"] * 3])
    assert box.why() == [f"status_{status:04x}"]
    assert pacs.uids() == wanted[1:]
    assert len(list(box.folder.iterdir())) == 1


def test_a_document_stored_with_a_warning_is_stored(pacs, make_pacs_box):
    pacs.answer = lambda _number, _uid: 0xB000
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.start().run_until_closed()
    told = [it.detail.get("remark") for it in box.store.events() if it.kind == "stored"]
    assert told == ["status_b000"] * 2


def test_a_class_that_is_not_accepted_costs_its_documents_alone(make_pacs, make_pacs_box):
    pacs = make_pacs(classes=(CAPTURE,))
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.start().run(lambda: box.states() == ["set_aside", "closed"], 30)
    assert box.why() == ["class_not_accepted"]


def test_a_pacs_that_accepts_no_context_leaves_all_waiting_for_long(make_pacs, make_pacs_box):
    pacs = make_pacs(classes=("1.2.840.10008.1.1",))
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.start().work(0.6)
    assert box.states() == ["queued", "queued"]
    box.run(lambda: box.states() == ["set_aside", "set_aside"], 30)


def test_an_association_that_is_aborted_in_mid_object_is_made_again(pacs, make_pacs_box):
    left = [2]
    box = make_pacs_box(pacs.port)

    def aborts(uid):
        if uid != wanted[1] or not left[0]:
            return False
        left[0] -= 1
        return True

    pacs.aborts = aborts
    wanted = [uid for number in range(2) for uid in box.film(number)]
    box.start().run_until_closed()
    assert pacs.uids() == wanted


def test_a_document_that_always_ends_the_association_is_set_aside(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    poison, *others = [uid for number in range(4) for uid in box.film(number)]
    pacs.aborts = lambda uid: uid == poison
    box.start().run(lambda: box.states() == ["set_aside", *["closed"] * 7], 30)
    assert box.why() == ["ends_association"]
    assert pacs.uids() == others


def test_a_pacs_that_hangs_after_a_c_store_is_given_up_in_time(pacs, make_pacs_box):
    pacs.hang_s = 3.0
    box = make_pacs_box(pacs.port, answer_s=0.5)
    box.film(1)
    box.start().run(lambda: "no answer within pacs.answer_s" in box.alert("pacs"), 15)
    assert box.states() == ["queued", "queued"]
    pacs.hang_s = 0.0
    box.run_until_closed(40)


def closing(connection):
    connection.recv(65536)
    connection.close()


def half_a_pdu(connection):
    connection.recv(65536)
    connection.sendall(b"\x02\x00\x00\x00\x01\x00half")
    silent(connection)


def endless_pdu(connection):
    connection.recv(65536)
    connection.sendall(b"\x02\x00\xff\xff\xff\xff" + b"\0" * 65536)
    silent(connection)


def rubbish(connection):
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)


@pytest.mark.parametrize(
    ("serve", "told"),
    [
        (silent, "silent"), (closing, "ended"), (half_a_pdu, "silent"), (endless_pdu, "ended"),
        (rubbish, "ended"),
    ],
)  # fmt: skip
def test_what_is_no_pacs_is_given_up_in_time_and_told(make_pacs_box, serve, told):
    with bare_peer(serve) as port:
        box = make_pacs_box(port, connect_s=0.5, answer_s=0.5)
        box.film(1)
        box.start().run(lambda: box.alert("pacs"), 15)
        assert f": {told}: " in box.alert("pacs") or serve in {endless_pdu, rubbish}
        assert "fix: " in box.alert("pacs")
        box.work(0.5)
        assert box.states() == ["queued", "queued"]


def test_a_pacs_that_is_away_costs_nothing_and_drains_alone(make_pacs, make_pacs_box):
    port = free_port()
    box = make_pacs_box(port)
    wanted = [uid for number in range(4) for uid in box.film(number)]
    box.start().run(lambda: "Connection refused" in box.alert("pacs"))
    box.work(1.0)
    assert set(box.states()) == {"queued"}
    pacs = make_pacs(port=port)
    box.run_until_closed()
    assert pacs.uids() == wanted
    assert box.alerts.active() == ()


def test_order_is_kept_after_a_way_that_ended_before_a_document_was_sent(make_pacs, make_pacs_box):
    port = free_port()
    with bare_peer(closing, port):
        box = make_pacs_box(port, connect_s=0.5, answer_s=0.5)
        wanted = [uid for number in range(3) for uid in box.film(number)]
        # As a proxy does in front of a PACS that is stopped.
        box.start().work(3.0)
        assert set(box.states()) == {"queued"}
    pacs = make_pacs(port=port)
    box.run_until_closed(30)
    assert pacs.uids() == wanted


def test_a_report_in_another_class_than_the_site_wants_is_made_again_until_it_was_sent(
    pacs, make_pacs_box
):
    pacs.reports = "never"
    box = make_pacs_box(pacs.port, sr_class="2d", commitment_s=30)
    box.film(1)
    box.start().run(lambda: box.states() == ["undrawn", "waiting"])
    assert box.again == [1]


def test_an_ae_title_that_the_pacs_does_not_know_is_told(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port, calling_ae_title="STRANGER")
    box.film(1)
    box.start().run(lambda: box.alert("pacs"))
    assert "pacs.calling_ae_title" in box.alert("pacs")
    assert "rejects the association" in box.alert("pacs")


def test_after_a_restart_what_waits_is_asked_about_and_not_stored_again(pacs, make_pacs_box):
    pacs.reports = "never"
    box = make_pacs_box(pacs.port, commitment_s=30)
    box.film(1)
    box.start().run(lambda: box.states() == ["waiting", "waiting"])
    box.stop()
    pacs.reports = "same"
    box.start().run_until_closed()
    assert len(pacs.stored) == 2


def test_a_document_whose_file_is_gone_or_changed_is_made_again(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    box.film(1)
    gone, changed = sorted(box.folder.iterdir())
    gone.unlink()
    changed.write_bytes(b"x")
    box.start().work(0.2)
    assert box.states() == ["undrawn", "undrawn"]
    assert set(box.again) == {1}
    assert pacs.stored == []


def test_a_report_on_a_document_that_a_person_gave_up_costs_nothing(pacs, make_pacs_box):
    pacs.reports = "never"
    box = make_pacs_box(pacs.port, commitment_s=0.6)
    box.film(1)
    box.start().run(lambda: pacs.asked)
    box.store.db.execute("UPDATE outbox SET state = 'closed' WHERE kind = 'dicom_sr'")
    pacs.reports = "same"
    box.run_until_closed()


def test_a_film_ends_when_both_destinations_have_closed_their_rows(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.film(2)
    box.deliver_result(1)
    assert box.film_state(1) == "queued"
    box.start().run_until_closed()
    assert box.film_state(1) == "receipted"
    assert box.film_state(2) == "queued"
    box.deliver_result(2)
    assert box.film_state(2) == "receipted"


def test_a_row_that_was_changed_in_the_journal_is_not_sent(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.store.db.execute("UPDATE outbox SET payload = '{}' WHERE kind = 'dicom_sr'")
    box.start().run(lambda: box.states() == ["set_aside", "closed"])
    assert box.why() == ["damaged"]


def test_a_result_that_a_person_gave_up_is_never_receipted(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    box.film(1)
    box.store.db.execute("UPDATE outbox SET state = 'set_aside' WHERE kind = 'result'")
    dismiss(box.store, 1)
    assert box.film_state(1) == "queued"
    box.start().run_until_closed()
    assert box.film_state(1) == "dismissed"


def test_a_film_that_waits_for_a_document_alone_is_not_worked_on_again(pacs, make_pacs_box):
    box = make_pacs_box(pacs.port)
    box.film(1, kinds=("dicom_sr",))
    box.film(2, kinds=())
    # Scored again for the sake of its document: the result belongs to the first job.
    box.store.db.execute("UPDATE outbox SET job = 2 WHERE kind = 'dicom_sr'")
    box.store.db.execute("UPDATE outbox SET job = 1 WHERE kind = 'result'")
    repair(box.store)
    assert box.film_state(2) == "queued"
    box.start().run_until_closed()
    assert box.film_state(2) == "receipted"
