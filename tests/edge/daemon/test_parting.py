"""Files are parted with one at a time on the folder's thread, with pauses after failures."""

from __future__ import annotations

import time

import pytest

from edge.daemon import parting
from edge.daemon.parting import Parted, Parting
from edge.intake.originals import ArchiveError
from edge.journal.records import Original
from edge.model import After, Signature

FILMS = [Original(job, b"/drop/%d.jpg" % job, Signature(0, 0, 0, 0), "") for job in (1, 2)]


class Thread:
    """A folder's thread, which works when a test says."""

    def __init__(self):
        self.tasks = []

    def do(self, task):
        self.tasks.append(task)

    def work(self):
        while self.tasks:
            self.tasks.pop(0)()


@pytest.fixture
def thread():
    return Thread()


@pytest.fixture
def make(thread, tmp_path):
    return lambda pause_s=1.0: Parting(thread, b"/drop", After.MOVE, tmp_path, pause_s)


def test_a_file_in_work_is_not_handed_over_again_until_it_is_done(make, thread, monkeypatch):
    monkeypatch.setattr(parting, "part_with", lambda *_: "moved")
    it = make()
    it.begin(FILMS[:1])
    it.begin(FILMS)
    assert len(thread.tasks) == 2
    assert list(it.done()) == []
    thread.work()
    assert list(it.done()) == [Parted(film, "moved") for film in FILMS]
    it.begin(FILMS)
    assert len(thread.tasks) == 2


@pytest.mark.parametrize(
    ("error", "archive"), [(OSError(5, "input/output error"), False), (OSError(28, "full"), True)]
)
def test_a_failure_says_whose_it_is_and_the_next_file_is_worked_on(
    make, thread, monkeypatch, error, archive
):
    def fails(_root, film, *_):
        if film.path == FILMS[0].path:
            raise ArchiveError(error) if archive else error
        return "moved"

    monkeypatch.setattr(parting, "part_with", fails)
    it = make()
    it.begin(FILMS)
    thread.work()
    assert list(it.done()) == [
        Parted(FILMS[0], None, error.strerror, archive), Parted(FILMS[1], "moved"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first_s", "pauses_s"), [(1.0, [1, 2, 4, 8, 10, 10]), (10.0, [10, 10, 10])]
)
def test_pauses_grow_to_ten_seconds_and_begin_again_after_a_success(
    make, monkeypatch, first_s, pauses_s
):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    it = make(first_s)
    for pause_s in (*pauses_s, None, pauses_s[0]):
        assert not it.rests
        if pause_s is None:
            it.succeeded()
            continue
        it.failed()
        now[0] += pause_s - 0.01
        assert it.rests
        now[0] += 0.02
