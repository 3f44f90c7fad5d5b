"""Films that end their worker, hang or eat memory cost themselves and no other."""

from __future__ import annotations

import os

import pytest
from archives import films, settings

from edge.worker.messages import Limits
from sharpedge.archive.crew import Crew, CrewError
from sharpedge.archive.manifest import Pending


def score(paths, **given):
    tries = {}

    def tried(number):
        tries[number] = tries.get(number, 0) + 1
        return tries[number]

    crew = Crew(settings(**given), tried, lambda _set: None)
    try:
        todo = (Pending(number, os.fsencode(path), 0) for number, path in enumerate(paths))
        found = list(crew.score(todo))
    finally:
        crew.close()
    assert sorted(number for number, _ in found) == list(range(len(paths)))
    return dict(found), tries


@pytest.mark.parametrize("workers", [1, 3])
def test_every_film_has_its_own_outcome(tmp_path, workers):
    paths = films(tmp_path, *(["limb=LH", "limb=RF"] * 10))
    found, tries = score(paths, workers=workers)
    assert tries == {}
    for number, scored in found.items():
        (limb,) = scored.limbs
        assert limb.file == paths[number].name
        assert str(limb.laterality) == ("L" if number % 2 == 0 else "R")
        assert len(scored.sha256) == 64


@pytest.mark.parametrize(
    ("word", "reason", "count"),
    [("crash=1", "worker_died", 2), ("kill=1", "worker_died", 4), ("eat=4000", "worker_died", 2)],
)
def test_a_film_that_ends_its_worker_is_rejected_after_some_tries(tmp_path, word, reason, count):
    found, tries = score(films(tmp_path, "limb=LH", word, "limb=LH", "limb=LH"), memory_mib=256)
    assert [found[it].limbs[0].reason for it in range(4)] == [None, reason, None, None]
    assert tries == {1: count}


def test_a_film_that_never_ends_is_rejected_as_one(tmp_path):
    paths = films(tmp_path, "hang=1", "limb=LH")
    found, _ = score(paths, limits=Limits(60, 60, 1.0))
    assert [found[it].limbs[0].reason for it in range(2)] == ["worker_timeout", None]


def test_a_fault_of_the_software_is_an_outcome(tmp_path):
    found, _ = score(films(tmp_path, "raise=boom", "limb=LH"))
    assert [found[it].limbs[0].reason for it in range(2)] == ["internal", None]


def test_what_is_no_file_or_gone_is_told(tmp_path):
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found, _ = score([tmp_path / "pipe", tmp_path / "gone", *films(tmp_path, "limb=LH")])
    assert found[0].limbs[0].reason == "not_a_regular_file"
    assert found[2].limbs[0].reason is None
    assert found[1].limbs[0].reason == "not_a_regular_file"


def test_a_factory_that_fails_ends_the_run_with_its_reason(tmp_path):
    crew = Crew(type(settings())(factory="stand_in:none_such"), lambda _: 1, lambda _: None)
    with pytest.raises(CrewError, match="stand_in"):
        list(crew.score(iter([Pending(1, os.fsencode(films(tmp_path, "limb=LH")[0]), 0)])))
    crew.close()


def test_engines_whose_device_is_lost_end_the_run(tmp_path):
    crew = Crew(settings(), lambda _: 1, lambda _: None)
    with pytest.raises(CrewError, match="device lost"):
        list(crew.score(iter([Pending(1, os.fsencode(films(tmp_path, "lost=1")[0]), 0)])))
    crew.close()
