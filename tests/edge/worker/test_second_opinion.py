"""Second engines look at films when nothing else is to be done, and publish figures alone."""

from __future__ import annotations

import math
import os

import pytest
from second_opinion import Higher
from stand_in import StandIn, film_bytes
from worker_words import next_word

from edge.config import Config
from edge.engine.installed import ACTIVE_NAME
from edge.engine.loader import load_engines
from edge.errors import EngineError
from edge.model import Outcome, Recheck
from edge.scoring.agreement import Agreement
from edge.system.paths import built_engines
from edge.worker.factory import film_scorer
from edge.worker.handle import Worker
from edge.worker.messages import Limits, Ready, SecondOpinion, Task
from edge.worker.second_opinion import Rechecker

FILM = film_bytes("limb=LH")


def scored(data=FILM):
    return [limb.result for limb in StandIn().score(data, "a.jpg").limbs]


def offer(rechecker, data=FILM):
    rechecker.offer(data, "a.jpg", None, scored(data))


def test_one_film_in_so_many_is_looked_at_again():
    rechecker = Rechecker(StandIn(), 3)
    waited = []
    for _ in range(7):
        offer(rechecker)
        waited.append(rechecker.waits)
        rechecker.look()
    assert waited == [False, False, True, False, False, True, False]


def test_disagreement_is_counted_and_no_film_is_named():
    rechecker = Rechecker(Higher(), 1)
    offer(rechecker)
    first = rechecker.look()
    assert first == Recheck(films=1, grades=19, grades_differ=10)
    offer(rechecker)
    assert rechecker.look().films == 2
    assert rechecker.look() is None


def test_the_latest_film_waits_and_no_other():
    rechecker = Rechecker(StandIn(), 1)
    offer(rechecker)
    offer(rechecker)
    assert rechecker.look().films == 1
    assert not rechecker.waits


def test_second_engines_that_fail_are_given_up():
    rechecker = Rechecker(Higher(), 1)
    bad = film_bytes("limb=LH broken=1")
    rechecker.offer(bad, "a.jpg", None, scored())
    assert rechecker.look() is None
    assert rechecker.fault == (
        "no film is scored a second time any more: device lost (fix: restart)"
    )
    offer(rechecker)
    assert not rechecker.waits


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["first", "second", "both"])
def test_a_value_that_is_not_a_number_is_a_difference(value, where):
    def with_expected(value):
        results = scored()
        first, *rest = results[0].joints
        joint = first.model_copy(update={"erosion_expected": value})
        return [results[0].model_copy(update={"joints": (joint, *rest)})]

    one = with_expected(1.0 if where == "second" else value)
    other = with_expected(1.0 if where == "first" else value)
    found = Agreement()
    found.add("a", one, other)
    counted = found.as_recheck()
    assert counted.grades_differ == 1
    assert math.isfinite(counted.largest_expected)
    assert len(found.differences) == 1


def test_nothing_compared_has_no_kappa():
    assert "kappa not defined" in "\n".join(Agreement().lines())


def test_a_limb_of_another_fate_counts_as_one():
    found = Agreement()
    found.add("a", scored(), scored(film_bytes("reason=side_not_known")))
    found.add("b", scored(), [])
    assert found.as_recheck() == Recheck(films=2, fates_differ=2)
    assert "a: scored" in found.differences[0]


@pytest.fixture
def worker(tmp_path):
    config = Config.model_validate(
        {"folders": {"watch": str(tmp_path)}, "worker": {"factory": "second_opinion:build"}}
    )
    it = Worker(config, Limits(60, 30, 60))
    it.start()
    yield it
    it.kill()


def test_a_worker_looks_again_when_idle_and_stays_free_for_films(worker):
    next_word(worker, Ready)
    worker.score(FILM, Task(name="a.jpg"))
    assert next_word(worker, Outcome).second_waits
    worker.score_second()
    opinion = next_word(worker, SecondOpinion)
    assert opinion.figures == Recheck(films=1, grades=19, grades_differ=10)
    assert not opinion.fault
    assert not worker.busy
    worker.score(FILM, Task(name="b.jpg"))
    assert next_word(worker, Outcome).limbs[0].file == "b.jpg"


def test_the_configuration_chooses_the_second_engines(tmp_path):
    try:
        load_engines(built_engines(), threads=1)
    except EngineError as error:
        pytest.skip(f"no engines: {error}")
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    for path in built_engines().iterdir():
        if path.is_file() and path.name != ACTIVE_NAME and not path.name.startswith("hand-mask"):
            os.link(path, candidate / path.name)

    def made(**worker):
        values = {"folders": {"watch": str(tmp_path)}, "worker": {"threads": 1, **worker}}
        return film_scorer(Config.model_validate(values))

    found = made(shadow=str(tmp_path / "missing"))
    assert found.rechecker is None
    assert found.second_fault.startswith("no film is scored a second time: ")
    assert not found.unfit
    assert made().rechecker is None
    assert not made().second_fault
    assert made(shadow=str(built_engines())).rechecker is None
    assert made(shadow=str(candidate)).rechecker is not None
