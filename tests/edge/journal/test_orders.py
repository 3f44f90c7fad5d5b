from __future__ import annotations

import pytest

from edge.anatomy import Limb
from edge.contract.ids import DeviceName, ResultKey
from edge.daemon.repair import repair
from edge.journal.journal import Journal
from edge.journal.kinds import REJECT, RESULT
from edge.journal.orders import (
    dismiss,
    find_job,
    picture,
    release,
    replay,
    retry,
    set_aside,
    take_back,
)
from edge.journal.outcomes import Outcomes
from edge.journal.recall import Recall
from edge.journal.records import Finish, Parcel
from edge.journal.states import State, move
from edge.journal.store import JournalError, Store
from edge.model import Laterality, OperatorStatement, Signature

DEVICE = DeviceName("clinic", "xr1", "box1")
LEFT = OperatorStatement(None, Laterality.LEFT)


@pytest.fixture
def store(tmp_path):
    it = Store(tmp_path / "journal.sqlite", b"k" * 32)
    yield it
    assert it.verify() is None
    it.close()


@pytest.fixture
def journal(store):
    return Journal(store)


def film(journal, path=b"/drop/a.jpg", state=State.HELD, reason="side_not_known", sha="a" * 64):
    """A film that ended in a state; returns its job and the id of its message."""
    job = journal.claim(path, sha, Signature(1, hash(path) % 1000, 10, 1)).job
    key = ResultKey(DEVICE, sha, 0, "e" * 64)
    found = Outcomes(journal.store).resolve(lambda _revision: key, f"{state}:{reason}")
    kind = RESULT if state is State.QUEUED else REJECT
    parcel = Parcel(kind, found.result_id, 0, f"{state}:{reason}", b"{}")
    Outcomes(journal.store).finish(job, Finish(state, reason, (parcel,)))
    return job, found.result_id


def state_of(store, job):
    return store.db.execute("SELECT state FROM job WHERE number = ?", (job,)).fetchone()[0]


def test_a_film_is_found_by_number_id_path_name_and_kept_copy(store, journal):
    job, result_id = film(journal)
    for word in (str(job), result_id, result_id.upper(), "/drop/a.jpg", "elsewhere/a.jpg",
                 f"/var/q/{job:08d}-side_not_known.jpg"):  # fmt: skip
        assert find_job(store, word) == job
    film(journal, b"/drop/x/a.jpg", sha="b" * 64)
    with pytest.raises(JournalError, match="several"):
        find_job(store, "elsewhere/a.jpg")
    for word in ("77", "b.jpg", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(JournalError, match="no such film"):
            find_job(store, word)


def test_a_release_is_a_new_job_with_what_the_operator_stated_and_ends_the_held_one(store, journal):
    job, _ = film(journal)
    done = release(store, job, OperatorStatement(Limb.FOOT, Laterality.LEFT))
    assert state_of(store, job) == State.SET_ASIDE
    order = journal.next_order()
    assert (order.job, order.supersedes_job) == (done.new_job, job)
    assert order.operator == OperatorStatement(Limb.FOOT, Laterality.LEFT)
    assert journal.unfinished() == {}
    with pytest.raises(JournalError, match=f"went on as job {done.new_job}"):
        release(store, job, LEFT)


def test_what_is_not_held_is_neither_released_nor_dismissed(store, journal):
    job, _ = film(journal, state=State.QUARANTINED, reason="corrupt")
    for order in (lambda: release(store, job, LEFT), lambda: dismiss(store, job)):
        with pytest.raises(JournalError, match="quarantined, not held"):
            order()
    held, _ = film(journal, b"/drop/b.jpg", sha="b" * 64)
    with pytest.raises(JournalError, match="--side"):
        release(store, held, OperatorStatement())
    assert journal.next_order() is None


def test_a_dismissed_film_has_reached_its_end(store, journal):
    job, _ = film(journal)
    dismiss(store, job)
    assert state_of(store, job) == State.DISMISSED
    with pytest.raises(JournalError, match="dismissed"):
        dismiss(store, job)


def test_the_folder_does_not_take_a_film_that_an_order_works_on(store, journal):
    job, _ = film(journal)
    release(store, job, LEFT)
    assert Recall(journal.store._path)(b"/drop/a.jpg") is not None
    claim = journal.claim(b"/drop/a.jpg", "a" * 64, Signature(1, 77, 10, 99))
    assert claim.job is None
    other = journal.claim(b"/drop/a.jpg", "b" * 64, Signature(1, 77, 10, 100))
    assert other.work
    assert journal.next_order() is not None


def test_a_retry_forgives_deaths_and_new_copies_do_not(store, journal):
    job, _ = film(journal, state=State.QUARANTINED, reason="worker_died")
    journal.note_death(job, "worker_died")
    journal.note_death(job, "worker_died")
    again = journal.claim(b"/drop/copy.jpg", "a" * 64, Signature(1, 5, 10, 1))
    assert again.deaths == 2
    journal.set_aside(again.job, "test")
    retry(store, job)
    assert journal.next_order().deaths == 0
    with pytest.raises(JournalError, match="works on this film already"):
        retry(store, job)


def test_a_film_that_was_never_read_is_looked_at_again(store, journal):
    job, _ = film(journal, state=State.QUARANTINED, reason="too_large")
    recall = Recall(journal.store._path)
    before = recall(b"/drop/a.jpg")
    assert retry(store, job).new_job is None
    assert recall(b"/drop/a.jpg") != before


def test_a_replay_opens_the_row_again_and_forgets_its_receipts(store, journal):
    job, result_id = film(journal, state=State.QUEUED, reason="")
    store.db.execute("UPDATE outbox SET state = 'closed'")
    store.db.execute("INSERT INTO receipt VALUES (?, 'ward', 1)", (result_id,))
    assert replay(store, result_id).job == job
    assert store.db.execute("SELECT state FROM outbox").fetchone()[0] == "queued"
    assert store.db.execute("SELECT COUNT(*) FROM receipt").fetchone()[0] == 0
    with pytest.raises(JournalError, match="no such message"):
        replay(store, "00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("word", ["²", "٣", "1" * 20, "9" * 400, "-1", "1e3", "0x1"])
def test_a_number_that_is_none_or_too_large_is_no_film(store, journal, word):
    film(journal)
    with pytest.raises(JournalError, match="no such film"):
        find_job(store, word)


def given_up(store, journal, reason="larger_than_broker_limit"):
    job, result_id = film(journal, state=State.QUEUED, reason="")
    store.db.execute("UPDATE outbox SET state = 'set_aside', why = ?", (reason,))
    with store.transaction():
        move(store, job, State.SET_ASIDE)
    return job, result_id


def test_a_message_that_was_set_aside_is_taken_back_with_its_film(store, journal):
    job, result_id = given_up(store, journal)
    (message,) = set_aside(store)
    assert (message.job, message.result_id, message.why) == (
        job, result_id, "larger_than_broker_limit",
    )  # fmt: skip
    take_back(store, message)
    assert state_of(store, job) == State.QUEUED
    assert set_aside(store) == []
    with pytest.raises(JournalError, match="not set aside any more"):
        take_back(store, message)


def test_a_damaged_message_is_not_taken_back(store, journal):
    job, _ = given_up(store, journal)
    store.db.execute("UPDATE outbox SET payload = x'00'")
    with pytest.raises(JournalError, match=f"sharpedge retry {job}"):
        take_back(store, set_aside(store)[0])


def test_a_message_that_can_never_pass_is_given_up_by_dismissing_its_film(store, journal):
    job, _ = given_up(store, journal)
    dismiss(store, job)
    assert state_of(store, job) == State.DISMISSED
    assert set_aside(store) == []
    assert repair(store) == {}


def test_a_picture_is_sent_again_while_it_is_kept(tmp_path, store, journal):
    _, result_id = film(journal, state=State.QUEUED, reason="")
    with pytest.raises(JournalError, match="knows no picture"):
        picture(store, result_id, tmp_path)
    store.db.execute(
        "INSERT INTO outbox (id, kind, job, limb_index, outcome, payload, created, state) "
        "VALUES (?, 'image', 1, 0, '', CAST('p.jpg' AS BLOB), 1, 'closed')",
        (result_id,),
    )
    with pytest.raises(JournalError, match="not kept any more"):
        picture(store, result_id, tmp_path)
    (tmp_path / "p.jpg").write_bytes(b"p")
    picture(store, result_id.upper(), tmp_path)
    rows = store.db.execute("SELECT kind, state FROM outbox ORDER BY kind")
    assert [tuple(r) for r in rows] == [("image", "queued"), ("result", "queued")]
