"""The process that makes documents: what it makes, and what ends it."""

from __future__ import annotations

import hashlib
import os
import signal

import pytest
from appliance import until
from dicom_films import RESULT_ID, a_film, raw_value
from limb_results import a_result

from edge.config import Config
from edge.journal.kinds import DICOM_SC, DICOM_SR
from edge.journal.places import Places
from edge.worker.document_handle import DocumentMaker
from edge.worker.document_messages import (
    DocumentsMade,
    DocumentTask,
    LimbDocuments,
    MakerEnded,
    WantedDocument,
)

SR_FILE, SC_FILE = f"{RESULT_ID}.dcm", f"{RESULT_ID[:-1]}2.dcm"


@pytest.fixture
def maker(tmp_path):
    config = Config.model_validate({"folders": {"watch": "/drop", "state": str(tmp_path)}})
    Places.below(tmp_path).make()
    it = DocumentMaker(config)
    yield it
    it.kill()


def task(**changes):
    limb = {
        "result": a_result(), "result_id": RESULT_ID, "queued": 1e9, "device": "clinic/xr1/box1",
        "wanted": (WantedDocument(kind=DICOM_SR, file=SR_FILE, sr_class="3d"),
                   WantedDocument(kind=DICOM_SC, file=SC_FILE)),
    }  # fmt: skip
    return DocumentTask(limbs=(LimbDocuments(**(limb | changes)),))


def answer(maker, one, data):
    maker.make(one, data)
    return until(maker.read, 60, what="the answer")


def test_both_documents_are_made_and_the_same_again(maker, tmp_path):
    film = a_film("japanese")
    made = answer(maker, task(), film)
    assert isinstance(made, DocumentsMade)
    files = {it.file: (tmp_path / "pacs" / it.file) for it in made.documents}
    assert set(files) == {SR_FILE, SC_FILE}
    for it in made.documents:
        data = files[it.file].read_bytes()
        assert hashlib.sha256(data).hexdigest() == it.sha256
        assert files[it.file].stat().st_mode & 0o777 == 0o600
        assert raw_value(data, "PatientName") == raw_value(film, "PatientName")
        assert raw_value(data, "SOPInstanceUID").decode().strip("\0") == it.sop_instance
        assert raw_value(data, "SOPClassUID").decode().strip("\0") == it.sop_class
    maker.kill()
    assert answer(maker, task(), film) == made


@pytest.mark.parametrize(
    "film", [b"no film", b"\0" * 128 + b"DICM" + b"\xff" * 500, a_film(StudyInstanceUID="no uid")]
)
def test_of_what_states_no_identity_there_are_none(maker, film):
    made = answer(maker, task(), film)
    assert {it.why for it in made.documents} == {"no_dicom_source"}


def test_of_a_limb_without_a_place_on_the_film_there_is_no_picture(maker):
    made = answer(maker, task(result=a_result(transform=None)), a_film())
    assert [it.why for it in made.documents] == ["", "no_picture"]


def test_a_folder_that_takes_no_file_is_told_and_tried_again(maker, tmp_path):
    folder = tmp_path / "pacs"
    folder.rmdir()
    made = answer(maker, task(), a_film())
    assert {it.why for it in made.documents} == {"not_written"}
    folder.mkdir()
    assert {it.why for it in answer(maker, task(), a_film()).documents} == {""}


def test_a_child_that_ends_is_told_and_another_one_serves(maker):
    maker.make(task(), a_film())
    os.kill(maker._process.pid, signal.SIGKILL)
    assert isinstance(until(maker.read, 20), MakerEnded)
    assert not maker.busy
    assert isinstance(answer(maker, task(), a_film()), DocumentsMade)


def test_a_child_that_takes_too_long_is_ended(maker, monkeypatch):
    maker.make(task(), a_film())
    os.kill(maker._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(maker, "_deadline_s", 0.0)
    ended = until(maker.read, 20)
    assert "time limit" in ended.detail
    assert maker.waits_on is None
