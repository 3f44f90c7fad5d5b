"""A set is external where passports say that none of its films was learnt from."""

import hashlib
from types import SimpleNamespace

import pytest

from training.evaluation.external import learnt_films, whole_if_external
from training.evaluation.truth import Kind, LabelledSet, Split, part_of


def engines(*trainings):
    return SimpleNamespace(
        engines={
            number: SimpleNamespace(passport={"training": training})
            for number, training in enumerate(trainings)
        }
    )


@pytest.fixture
def labelled(tmp_path):
    limbs = []
    for number in range(4):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"film %d" % number)
        limbs.append(SimpleNamespace(path=path, patient=f"P{number // 2}", kept_out=number > 2))
    return LabelledSet("clinic", Kind.REAL, tuple(limbs))


def test_the_films_of_every_passport_are_named():
    found = learnt_films(
        engines({"real_films": {"a.jpg": "1"}}, {"films": {"b.jpg": "2"}}, {"real_films": {}})
    )
    assert found == {"1", "2"}


def test_nothing_is_said_where_one_passport_names_no_films(labelled):
    assert learnt_films(engines({"real_films": {"a.jpg": "1"}}, {})) is None
    assert whole_if_external(labelled, None) is labelled


def test_an_external_set_is_measured_whole_and_says_so(labelled):
    whole = part_of(whole_if_external(labelled, frozenset({"other"})), Split.PATIENT)
    assert whole.limbs == labelled.limbs
    assert "all 2 patients are measured" in whole.notes[0]


def test_a_set_of_which_one_film_was_learnt_from_is_not(labelled):
    learnt = frozenset({hashlib.sha256(b"film 1").hexdigest()})
    part = part_of(whole_if_external(labelled, learnt), Split.PATIENT)
    assert len(part.limbs) == 1
