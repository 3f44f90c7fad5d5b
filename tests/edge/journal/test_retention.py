from __future__ import annotations

import os

import pytest

from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import DeliveryMode
from edge.daemon.audit import Fault, Limits, audit
from edge.delivery.outbox import Outbox
from edge.intake.watch import Folder
from edge.journal.copies import keep_copy
from edge.journal.journal import Journal
from edge.journal.kinds import DICOM_SR, IMAGE, MQTT, PACS, REJECT, RESULT
from edge.journal.orders import release
from edge.journal.outcomes import Outcomes
from edge.journal.places import Places
from edge.journal.recall import Recall
from edge.journal.records import Finish, Parcel
from edge.journal.retention import tidy
from edge.journal.settings import RetentionSettings
from edge.journal.states import State
from edge.journal.store import JournalError, Store
from edge.model import Laterality, OperatorStatement, Signature

DAY = 86400.0
NOW = 2_000_000_000.0
DEVICE = DeviceName("clinic", "xr1", "box1")


@pytest.fixture
def box(tmp_path, monkeypatch):
    """A journal whose clock is ours."""
    clock = {"now": NOW - 400 * DAY}
    monkeypatch.setattr("edge.journal.store.steady_unix_s", lambda: clock["now"])

    class Box:
        places = Places.below(tmp_path)
        drop = tmp_path / "drop"

        def __init__(self):
            self.places.make()
            self.drop.mkdir()
            self.store = Store(tmp_path / "journal.sqlite", b"k" * 32)
            self.journal = Journal(self.store)

        def at(self, days_ago):
            clock["now"] = NOW - days_ago * DAY

        def film(self, name, state=State.QUEUED, reason=None, *, delivered=True):
            data = name.encode()
            path = self.drop / name
            path.write_bytes(data)
            found = path.stat()
            import hashlib

            sha = hashlib.sha256(data).hexdigest()
            signature = Signature(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            job = self.journal.claim(os.fsencode(path), sha, signature).job
            key = ResultKey(DEVICE, sha, 0, "e" * 64)
            result_id = key.result_id()
            kind = RESULT if state is State.QUEUED else REJECT
            parcels = [Parcel(kind, result_id, 0, "x:", b"{}")]
            picture = self.places.pictures / f"{result_id}.jpg"
            picture.write_bytes(b"p" * 1000)
            parcels.append(Parcel(IMAGE, result_id, 0, "x:", picture.name.encode()))
            if state is not State.QUEUED:
                copy = keep_copy(self.places.quarantine, job, os.fsencode(path), reason, data)
                os.utime(copy, (clock["now"], clock["now"]))
            Outcomes(self.store).finish(job, Finish(state, reason, tuple(parcels)))
            os.utime(picture, (clock["now"], clock["now"]))
            if delivered:
                outbox = Outbox(self.store, DeliveryMode.PUBACK, (), 1.0)
                rows = outbox.next_rows(10, ())
                outbox.note_sent(rows)
                outbox.endings.acknowledged([row.row for row in rows])
            return job, picture

        def tidy(self, *, in_folder="listed", now=NOW, **settings):
            listed = {os.fsencode(p) for p in self.drop.iterdir()}
            held = listed if in_folder == "listed" else in_folder
            return tidy(
                self.store, self.places, RetentionSettings(**settings),
                in_folder=held, now_unix_s=now,
            )  # fmt: skip

        def audit(self):
            folder = Folder(self.drop, ())
            limits = Limits(1e9, 1e9, 1e12, 1e12)
            found = audit(self.store, self.places, folder, limits).findings
            return tuple(it for it in found if it.fault is not Fault.STOPPED)

        def jobs(self):
            return {r["number"]: r["state"] for r in self.store.db.execute("SELECT * FROM job")}

    it = Box()
    yield it
    it.store.close()


def test_old_rows_go_with_a_signed_checkpoint_and_the_audit_stays_clean(box):
    gone, _ = box.film("gone.jpg")
    lies, _ = box.film("lies.jpg")
    held, _ = box.film("held.jpg", State.HELD, "side_not_known")
    box.at(1)
    new, _ = box.film("new.jpg")
    (box.drop / "gone.jpg").unlink()
    (box.drop / "new.jpg").unlink()
    assert box.audit() == ()
    removed = box.tidy()
    assert removed.rows > 0
    assert box.jobs().keys() == {lies, held, new}
    assert gone not in box.jobs()
    assert box.audit() == ()
    assert box.store.verify() is None
    assert box.store.checkpoint().row == removed.rows
    recall = Recall(box.journal.store._path)
    assert recall(os.fsencode(box.drop / "lies.jpg")) is not None
    # A second cut carries on from the first.
    box.at(0)
    (box.drop / "lies.jpg").unlink()
    box.tidy(now=NOW + 500 * DAY)
    assert box.jobs().keys() == {held}
    assert box.audit() == ()


def test_nothing_goes_whose_result_still_waits(box):
    waits, picture = box.film("a.jpg", delivered=False)
    (box.drop / "a.jpg").unlink()
    box.tidy()
    assert picture.exists()
    assert waits in box.jobs()
    assert box.tidy(pictures_mib=1, in_folder={b"/other"}).pictures == 0


def test_without_a_listing_of_the_folder_the_journal_is_left_alone(box):
    box.film("a.jpg")
    box.film("b.jpg")
    (box.drop / "a.jpg").unlink()
    assert box.tidy(in_folder=None).rows == 0
    assert box.tidy().rows > 0


def test_with_a_clock_that_is_not_set_only_sizes_count(box):
    _, picture = box.film("a.jpg")
    assert box.tidy(now=None).pictures == 0
    picture.write_bytes(b"p" * (2 << 20))
    assert box.tidy(now=None, pictures_mib=1).pictures == 1


def test_the_oldest_pictures_go_first_until_the_rest_fits(box):
    _, first = box.film("a.jpg")
    box.at(3)
    _, second = box.film("b.jpg")
    for path, days in ((first, 5), (second, 3)):
        path.write_bytes(b"p" * 700_000)
        os.utime(path, (NOW - days * DAY,) * 2)
    box.tidy(pictures_mib=1)
    assert not first.exists()
    assert second.exists()


def test_a_held_films_copy_never_goes_and_a_rejected_ones_does(box):
    box.film("held.jpg", State.HELD, "side_not_known")
    bad, _ = box.film("bad.jpg", State.QUARANTINED, "corrupt")
    (box.drop / "bad.jpg").unlink()
    removed = box.tidy(journal_days=1e4)
    assert removed.quarantine == 1
    (left,) = box.places.quarantine.iterdir()
    assert "side_not_known" in left.name
    assert bad in box.jobs()
    assert box.audit() == ()
    box.store.db.execute("UPDATE job SET copy = 'expired' WHERE state = 'held'")
    assert [str(it) for it in box.audit()]


def test_a_broken_chain_is_not_cut(box):
    box.film("a.jpg")
    box.store.db.execute("UPDATE event SET detail = '{}' WHERE row = 2")
    with pytest.raises(JournalError, match="audit"):
        box.tidy()


def test_files_that_come_and_go_while_it_lists_stop_nothing(box, monkeypatch):
    _, picture = box.film("a.jpg")
    gone = box.places.archive / "00000001.jpg"
    real = os.scandir

    def scandir(folder):
        if folder == box.places.archive:
            gone.write_bytes(b"x")
            found = list(real(folder))
            gone.unlink()
            return found
        return real(folder)

    monkeypatch.setattr("edge.journal.retention.os.scandir", scandir)
    box.places.quarantine.rmdir()
    assert box.tidy(pictures_days=1.0).pictures == 1
    assert not picture.exists()


def test_a_file_that_is_being_written_is_left_alone(box):
    writing, left_over = box.places.archive / ".1.jpg.part", box.places.archive / ".2.jpg.part"
    for path in (writing, left_over):
        path.write_bytes(b"x" * (2 << 20))
    os.utime(left_over, (1.0, 1.0))
    box.tidy(archive_mib=1)
    assert writing.exists()
    assert not left_over.exists()


def test_films_that_lie_on_in_the_folder_cost_a_pass_no_more_than_others(box, monkeypatch):
    monkeypatch.setattr("edge.journal.retention._CARRIED_A_PASS", 2)
    for number in range(7):
        box.film(f"{number}.jpg")
    listed = {os.fsencode(p) for p in box.drop.iterdir()}
    box.at(0)
    for number in range(7, 9):
        box.film(f"{number}.jpg")
    box.tidy(in_folder=listed)
    assert len(box.jobs()) == 9
    assert box.audit() == ()
    # The files are gone: a few of their rows go with each pass that cuts.
    for passes in range(6):
        box.film(f"more{passes}.jpg")
        box.tidy(in_folder=set(), now=NOW + 400 * DAY)
    assert box.jobs().keys() == {15}
    assert box.store.verify() is None


def waiting_document(box):
    """A film that was released and has a result, whose document for a PACS is not made yet."""
    held, _ = box.film("a.jpg", State.HELD, "side_not_known")
    released = release(box.store, held, OperatorStatement(None, Laterality.LEFT)).new_job
    parcels = tuple(
        Parcel(kind, f"0000000{number}", 0, "scored:", b"{}", destination, undrawn=number > 0)
        for number, (kind, destination) in enumerate([(RESULT, MQTT), (DICOM_SR, PACS)])
    )
    Outcomes(box.store).finish(released, Finish(State.QUEUED, None, parcels))
    box.store.db.execute("UPDATE outbox SET state = 'closed' WHERE kind = 'result'")
    return held, released


@pytest.mark.parametrize("limits", [{"quarantine_days": 1.0}, {"quarantine_mib": 1}])
def test_the_copy_of_a_released_film_stays_until_its_document_is_delivered(box, limits):
    held, released = waiting_document(box)
    (copy,) = box.places.quarantine.iterdir()
    if "quarantine_mib" in limits:
        copy.write_bytes(b"x" * (2 << 20))
    removed = box.tidy(journal_days=1e4, **limits)
    assert removed.quarantine == 0
    assert removed.beyond == (("quarantine_mib",) if "quarantine_mib" in limits else ())
    assert copy.exists()
    box.store.db.execute("UPDATE outbox SET state = 'closed' WHERE job = ?", (released,))
    removed = box.tidy(journal_days=1e4, **limits)
    assert (removed.quarantine, removed.beyond) == (1, ())
    assert not copy.exists()
    told = [it for it in box.store.events() if it.kind == "copy_expired"]
    assert [it.job for it in told] == [held]


def test_what_is_needed_gives_no_room_and_what_is_not_goes_instead(box):
    waiting_document(box)
    box.at(1)
    box.film("bad.jpg", State.QUARANTINED, "corrupt")
    needed, other = sorted(box.places.quarantine.iterdir())
    for copy in (needed, other):
        copy.write_bytes(b"x" * 700_000)
    removed = box.tidy(journal_days=1e4, quarantine_mib=1, now=None)
    assert (removed.quarantine, removed.beyond) == (1, ())
    assert needed.exists()
    assert not other.exists()


@pytest.mark.parametrize("needed_mib", [0, 2])
def test_a_pass_that_ends_early_knows_what_is_beyond_the_limit_all_the_same(box, needed_mib):
    box.film("held.jpg", State.HELD, "side_not_known")
    (copy,) = box.places.quarantine.iterdir()
    copy.write_bytes(b"x" * (needed_mib << 20))
    for number in range(600):
        (box.places.quarantine / f"{1000 + number}.jpg").write_bytes(b"x" * 4096)
    removed = box.tidy(journal_days=1e4, quarantine_mib=1, now=None)
    assert removed.quarantine >= 340
    assert removed.beyond == (("quarantine_mib",) if needed_mib else ())
    assert copy.exists()
