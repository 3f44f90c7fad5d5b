"""Reports on an association of the PACS's own: which count, and what a stranger can do."""

from __future__ import annotations

import socket

import pytest
from appliance import free_port
from pacs_peers import send_report
from pydicom.dataset import Dataset

from edge.delivery.pacs.carrier import PacsError


def report(transaction, *uids):
    found = Dataset()
    found.TransactionUID = transaction
    found.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.3", uid
        found.ReferencedSOPSequence.append(item)
    return found


@pytest.fixture
def waiting(pacs, make_pacs_box):
    """A box whose documents wait for their commitment, and listens for it."""
    pacs.reports = "never"
    box = make_pacs_box(pacs.port, commitment_port=free_port(), commitment_s=60)
    box.uids = box.film(1)
    box.start().run(lambda: pacs.asked)
    return box


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, 0x0000), ({"uids": ["1.2.3.4"]}, 0x0000), ({"title": "STRANGER"}, None)],
)
def test_a_report_that_is_not_for_us_closes_nothing(waiting, changes, status):
    uids = changes.pop("uids", waiting.uids)
    sent = send_report(waiting.settings.commitment_port, report("1.2.999", *uids), **changes)
    assert sent == status
    waiting.work(0.5)
    assert waiting.states() == ["waiting", "waiting"]


def test_a_report_without_a_transaction_is_answered_with_a_failure(waiting):
    nameless = report("1.2.9", *waiting.uids)
    del nameless.TransactionUID
    assert send_report(waiting.settings.commitment_port, nameless) == 0x0110
    waiting.work(0.3)
    assert waiting.states() == ["waiting", "waiting"]


def test_rubbish_on_the_port_costs_nothing(waiting):
    for data in (b"GET / HTTP/1.0\r\n\r\n", b"\x01\x00\xff\xff\xff\xff" + b"\0" * 1000, b""):
        with socket.create_connection(("127.0.0.1", waiting.settings.commitment_port), 5) as it:
            it.sendall(data)
    waiting.work(0.5)
    assert waiting.states() == ["waiting", "waiting"]
    assert send_report(waiting.settings.commitment_port, report("1.2.9")) == 0x0000


def test_a_port_that_is_taken_is_told(make_pacs_box):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        box = make_pacs_box(1, commitment_port=taken.getsockname()[1])
        with pytest.raises(PacsError, match="cannot be listened on"):
            box.start()
