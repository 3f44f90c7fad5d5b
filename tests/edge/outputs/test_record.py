"""A film's outcome becomes rows of the outbox, limb by limb."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest
from stand_in import StandIn, film_bytes

from edge.contract.ids import DeviceName, output_id
from edge.intake.film import Film
from edge.journal.journal import Journal
from edge.journal.places import Places
from edge.journal.states import State
from edge.journal.store import Store
from edge.model import Outcome, Signature, Status
from edge.outputs.film import FilmInWork
from edge.outputs.record import Recorder
from edge.outputs.table import OUTPUTS, Output

DEVICE = DeviceName("clinic", "xr1", "box1")
SHA = "a" * 64
JPEG = b"\xff\xd8\xff\xd9"


def limb(text, index, status=Status.SCORED):
    found = StandIn().score(film_bytes(text), "film.jpg").limbs[0].result
    reason = None if status is Status.SCORED else "side_not_known"
    return found.model_copy(update={"limb_index": index, "status": status, "reason": reason})


class Recorded:
    """One film of two limbs, recorded with ``options``, and the journal's rows of it."""

    def __init__(self, folder, limbs, *, burned_in=False, **options):
        self.store = Store(folder / "journal.sqlite", b"k" * 32)
        self.places = Places.below(folder)
        self.places.make()
        self.journal = Journal(self.store)
        options = {"send_pictures": True, "send_file_names": False, **options}
        recorder = Recorder(self.store, self.places, DEVICE, b"d" * 32, **options)
        now_s = time.monotonic()
        signature = Signature(1, 1, 1, 1)
        film = Film(
            path=b"/w/SMITH.jpg", signature=signature, data=b"film", sha256=SHA, refusal=None,
            closed_s=now_s, closed_unix_s=1.0, closed_source="close_event", picked_up_s=now_s,
        )  # fmt: skip
        job = self.journal.claim(film.path, SHA, signature).job
        outcome = Outcome(
            limbs=limbs, stage_ms={}, study_key=None, patient_key=None,
            burned_in_annotation=burned_in, at_s=now_s,
            pictured=tuple(True for _ in limbs),
        )  # fmt: skip
        self.recorder, self.film, self.outcome = recorder, FilmInWork(film, job, None), outcome
        self.state = recorder.record(self.film, outcome, "e" * 64, now_s)
        query = "SELECT kind, limb_index, sequence, id, name, payload FROM outbox ORDER BY row"
        self.rows = [tuple(row) for row in self.store.db.execute(query)]

    def draw(self, pictures=None, engine_set="e" * 64):
        made = [JPEG for _ in self.outcome.limbs] if pictures is None else pictures
        self.recorder.keep_pictures(self.film, self.outcome, made, engine_set)

    def states(self):
        query = "SELECT kind, state FROM outbox ORDER BY row"
        return [tuple(row) for row in self.store.db.execute(query)]


@pytest.fixture
def record(tmp_path):
    made = []

    def make(*limbs, **options):
        made.append(Recorded(tmp_path, limbs, **options))
        return made[-1]

    yield make
    for it in made:
        it.store.close()


def test_rows_follow_one_another_limb_by_limb_each_message_with_its_picture(record):
    it = record(limb("limb=LH", 0, Status.REJECTED), limb("limb=RH", 1))
    assert it.state is State.QUEUED
    assert [row[:3] for row in it.rows] == [
        ("reject", 0, 1), ("image", 0, None), ("result", 1, 2), ("image", 1, None),
    ]  # fmt: skip
    assert it.rows[0][3] == it.rows[1][3] != it.rows[2][3] == it.rows[3][3]
    assert {row[4] for row in it.rows} == {"clinic/xr1/box1"}
    assert list(it.places.pictures.iterdir()) == []
    it.draw()
    names = {row[5].decode() for row in it.rows if row[0] == "image"}
    assert names == {path.name for path in it.places.pictures.iterdir()}
    assert not any(b"SMITH" in row[5] for row in it.rows)


@pytest.mark.parametrize("options", [{"send_pictures": False}, {"burned_in": True}])
def test_no_picture_is_kept_where_none_may_be_sent(record, options):
    it = record(limb("limb=LH", 0), **options)
    assert [row[0] for row in it.rows] == ["result"]
    assert list(it.places.pictures.iterdir()) == []


def test_a_result_is_queued_before_its_picture_is_drawn(record):
    it = record(limb("limb=LH", 0))
    assert it.states() == [("result", "queued"), ("image", "undrawn")]
    it.draw()
    assert it.states() == [("result", "queued"), ("image", "queued")]
    assert it.recorder.adopt_pictures(it.film.job)


def test_a_picture_that_was_written_before_a_crash_is_queued_and_not_drawn_again(record):
    it = record(limb("limb=LH", 0))
    assert not it.recorder.adopt_pictures(it.film.job)
    (it.places.pictures / it.rows[1][5].decode()).write_bytes(JPEG)
    assert it.recorder.adopt_pictures(it.film.job)
    assert it.states() == [("result", "queued"), ("image", "queued")]


@pytest.mark.parametrize("how", [{"pictures": [None]}, {"engine_set": "f" * 64}])
def test_a_picture_that_was_not_drawn_or_shows_other_grades_is_set_aside(record, how):
    it = record(limb("limb=LH", 0))
    it.draw(**how)
    assert it.states() == [("result", "queued"), ("image", "set_aside")]
    assert list(it.places.pictures.iterdir()) == []
    assert it.store.verify() is None


def test_pictures_are_kept_once_and_a_delivered_result_stays_so(record):
    it = record(limb("limb=LH", 0))
    it.draw()
    it.store.db.execute("UPDATE outbox SET state = 'closed'")
    it.draw()
    assert it.states() == [("result", "closed"), ("image", "closed")]


def test_the_film_stays_in_the_folder_until_its_picture_is_written(record):
    it = record(limb("limb=LH", 0))
    it.store.db.execute("UPDATE job SET state = 'receipted'")
    assert it.journal.ended_originals() == []
    assert [order.job for order in it.journal.undrawn()] == [it.film.job]
    it.draw()
    assert [original.job for original in it.journal.ended_originals()] == [it.film.job]
    assert it.journal.undrawn() == []


def two_notes(film, results):
    assert film.sha256 == SHA
    return [result.parcel("note", b"a note") for result in results]


@pytest.mark.parametrize("needs_receipt", [True, False])
def test_a_further_output_has_an_id_of_its_own_where_it_has_receipts(
    record, monkeypatch, needs_receipt
):
    monkeypatch.setitem(sys.modules, "own_notes", SimpleNamespace(two_notes=two_notes))
    row = Output("note", "text/plain", "own_notes:two_notes", needs_receipt=needs_receipt)
    monkeypatch.setitem(OUTPUTS, "note", row)
    it = record(limb("limb=LH", 0), limb("limb=RH", 1))
    kinds = ["result", "image", "note"]
    assert [row[0] for row in it.rows] == kinds * 2
    for result, _, note in (it.rows[:3], it.rows[3:]):
        assert note[2] is None
        assert note[3] == (output_id(result[3], "note") if needs_receipt else result[3])
