"""When a worker starts again, and on what; no process is made here."""

import time

import pytest

from edge.config import Config
from edge.daemon.restarts import LeftOut, RestartPolicy
from edge.worker.messages import Died


class Told:
    """Stands for the worker: writes down what it is told."""

    def __init__(self):
        self.starts, self.kills = [], 0

    def start(self, config):
        self.starts.append(config.worker)

    def kill(self):
        self.kills += 1


LOST = Died(timeout=False, detail="", ready=True, device_lost=True)
CRASHED = Died(timeout=False, detail="", ready=True)
UNREADY = Died(timeout=False, detail="", ready=False)


def revival_of(worker, **settings):
    values = {"folders": {"watch": "/films"}, "worker": settings}
    return RestartPolicy(worker, Config.model_validate(values))


@pytest.fixture
def worker():
    return Told()


def test_a_worker_that_served_starts_at_once_and_only_once(worker):
    revival = revival_of(worker)
    assert not revival.is_due(time.monotonic())
    assert not revival.after_death(CRASHED)
    assert revival.is_due(time.monotonic())
    revival.start()
    assert [it.backend for it in worker.starts] == [None]
    assert not revival.is_due(time.monotonic() + 1e6)
    assert revival.restarts == 1


def test_one_that_died_while_it_loaded_is_given_time(worker):
    revival = revival_of(worker)
    revival.after_death(UNREADY)
    assert not revival.is_due(time.monotonic())
    assert revival.is_due(time.monotonic() + 10)


def test_where_no_process_can_be_made_it_is_due_again(worker):
    revival = revival_of(worker)
    revival.after_death(CRASHED)
    now_s = time.monotonic()
    assert revival.is_due(now_s)
    assert not revival.is_due(now_s)
    assert revival.is_due(now_s + 10)


def test_engines_that_cannot_be_used_are_tried_again_later(worker):
    revival = revival_of(worker)
    revival.without_engines()
    assert worker.kills == 1
    assert not revival.is_due(time.monotonic() + 10)
    assert revival.is_due(time.monotonic() + 40)


def test_a_device_that_fails_twice_is_left_once_and_for_all(worker):
    revival = revival_of(worker)
    assert [revival.after_death(LOST) for _ in range(4)] == [False, True, False, False]
    revival.start()
    assert [it.backend for it in worker.starts] == ["onnxruntime"]


def test_an_outcome_between_two_failures_makes_them_accidents(worker):
    revival = revival_of(worker)
    assert not revival.after_death(LOST)
    revival.served()
    assert not revival.after_death(LOST)
    assert revival.backend is None


def test_a_site_that_wants_no_other_back_end_keeps_its_own(worker):
    revival = revival_of(worker, fallback=False)
    assert not any(revival.after_death(LOST) for _ in range(5))
    assert revival.backend is None


BAD = Died(timeout=False, detail="hand-score: NaN", ready=True, bad_engine="a" * 64)
KILLED = Died(timeout=False, detail="signal 9", ready=True, outside=True)


def test_an_engine_with_unusable_outputs_is_left_out_at_the_next_start(worker):
    revival = revival_of(worker, refuse=["b" * 64])
    assert revival.after_death(BAD)
    revival.start()
    assert worker.starts[0].refuse == ("b" * 64, "a" * 64)
    assert not revival.unfit


@pytest.mark.parametrize("fallback", [True, False])
def test_where_no_other_engine_is_found_nothing_is_scored(worker, fallback):
    revival = revival_of(worker, fallback=fallback)
    answers = [revival.after_death(BAD) for _ in range(2)]
    assert answers == [fallback, False]
    assert revival.unfit == BAD.detail


def test_after_a_death_from_outside_it_waits_longer_each_time(worker):
    revival = revival_of(worker)
    pauses = []
    for _ in range(3):
        revival.after_death(KILLED)
        pauses.append(revival.at_s - time.monotonic())
    assert 0 < pauses[0] < pauses[1] < pauses[2]
    revival.served()
    revival.after_death(KILLED)
    assert revival.at_s - time.monotonic() <= pauses[0] + 0.5


def test_without_second_scoring_the_next_worker_has_none(worker):
    revival = revival_of(worker, recheck_every=3, shadow="/candidate")
    revival.without_second()
    revival.start()
    assert (worker.starts[0].recheck_every, worker.starts[0].shadow) == (0, None)


def test_what_one_worker_finds_unusable_no_other_goes_on_with(worker):
    left_out = LeftOut()
    other = Told()
    config = Config.model_validate({"folders": {"watch": "/films"}})
    first, second = (RestartPolicy(it, config, left_out) for it in (worker, other))
    first.start()
    second.start()
    assert first.after_death(BAD)
    assert second.is_outdated
    assert not first.is_outdated
    # It dies of the same engine before it is replaced: it is given another one all the same.
    assert second.after_death(BAD)
    assert second.unfit == ""
    second.start()
    assert not second.is_outdated
    assert other.starts[-1].refuse == (BAD.bad_engine,)


def test_a_device_that_fails_twice_under_one_worker_is_left_by_all(worker):
    left_out = LeftOut()
    other = Told()
    config = Config.model_validate({"folders": {"watch": "/films"}})
    first, second = (RestartPolicy(it, config, left_out) for it in (worker, other))
    first.start()
    second.start()
    # One event takes both workers' device: that is one failure of each.
    assert [first.after_death(LOST), second.after_death(LOST)] == [False, False]
    assert first.after_death(LOST)
    second.start()
    assert other.starts[-1].backend == "onnxruntime"
