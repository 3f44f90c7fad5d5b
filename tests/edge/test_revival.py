"""When a worker starts anew, and on what: no process is made here, only told to be."""

import time

import pytest

from edge.engine.passport import Backend
from edge.revival import Revival
from edge.worker import Died


class Told:
    """Stands for the worker: writes down what it is told."""

    def __init__(self):
        self.starts, self.kills = [], 0

    def start(self, backend):
        self.starts.append(backend)

    def kill(self):
        self.kills += 1


LOST = Died(timeout=False, detail="", ready=True, device_lost=True)
CRASHED = Died(timeout=False, detail="", ready=True)
UNREADY = Died(timeout=False, detail="", ready=False)


@pytest.fixture
def worker():
    return Told()


def test_a_worker_that_served_starts_at_once_and_only_once(worker):
    revival = Revival(worker, fallback=True)
    assert not revival.is_due(time.monotonic())
    assert not revival.after_death(CRASHED)
    assert revival.is_due(time.monotonic())
    revival.start()
    assert worker.starts == [None]
    assert not revival.is_due(time.monotonic() + 1e6)
    assert revival.restarts == 1


def test_one_that_died_while_it_loaded_is_given_time(worker):
    revival = Revival(worker, fallback=True)
    revival.after_death(UNREADY)
    assert not revival.is_due(time.monotonic())
    assert revival.is_due(time.monotonic() + 10)


def test_where_no_process_can_be_made_it_is_due_again(worker):
    revival = Revival(worker, fallback=True)
    revival.after_death(CRASHED)
    now_s = time.monotonic()
    assert revival.is_due(now_s)
    assert not revival.is_due(now_s)
    assert revival.is_due(now_s + 10)


def test_engines_that_cannot_be_used_are_tried_again_later(worker):
    revival = Revival(worker, fallback=True)
    revival.without_engines()
    assert worker.kills == 1
    assert not revival.is_due(time.monotonic() + 10)
    assert revival.is_due(time.monotonic() + 40)


def test_a_device_that_fails_twice_is_left_once_and_for_all(worker):
    revival = Revival(worker, fallback=True)
    assert [revival.after_death(LOST) for _ in range(4)] == [False, True, False, False]
    revival.start()
    assert worker.starts == [Backend.ONNXRUNTIME]


def test_an_outcome_between_two_failures_makes_them_accidents(worker):
    revival = Revival(worker, fallback=True)
    assert not revival.after_death(LOST)
    revival.served()
    assert not revival.after_death(LOST)
    assert revival.backend is None


def test_a_site_that_wants_no_other_back_end_keeps_its_own(worker):
    revival = Revival(worker, fallback=False)
    assert not any(revival.after_death(LOST) for _ in range(5))
    assert revival.backend is None
