"""Documents on their way to a real PACS: the daemon as a process, Mosquitto and Orthanc."""

from __future__ import annotations

import sqlite3

import pytest
from appliance import until
from documenting import dicom_film
from orthanc import HAS_DICOMWEB, ORTHANC, WHY_NOT, Orthanc

FACTORY = "documenting:build"


@pytest.fixture
def orthanc(tmp_path):
    if ORTHANC is None or not HAS_DICOMWEB:
        pytest.skip(WHY_NOT)
    it = Orthanc(tmp_path).start()
    yield it
    it.stop()


def rows(it, *columns):
    """Rows of documents, in their order."""
    wanted = ", ".join(columns or ("kind", "state"))
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        found = db.execute(f"SELECT {wanted} FROM outbox WHERE destination = 'pacs' ORDER BY row")  # noqa: S608
        found = found.fetchall()
    db.close()
    return found


def test_documents_of_a_result_are_stored_committed_and_removed(
    orthanc, broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.section).start()
    it.put("a.dcm", dicom_film("limb=LH"))
    subscriber.wait("result", 1)
    until(lambda: rows(it) == [("dicom_sr", "closed"), ("dicom_sc", "closed")], 40)
    until(lambda: it.states() == {1: "acked"})
    assert orthanc.count() == 2
    until(lambda: list((it.state / "pacs").iterdir()) == [])
    assert it.audit()["findings"] == []
