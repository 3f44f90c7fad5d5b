import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from sharpedge.archive.films import Listed, Scored
from sharpedge.archive.manifest import Manifest

A, B = Listed(b"/a", 1, 1), Listed(b"/b", 1, 1)


@pytest.fixture
def manifest(tmp_path):
    it = Manifest(tmp_path / "m")
    yield it
    it.close()


def test_a_film_has_one_row_however_often_it_is_entered_and_scored(manifest):
    for _ in range(3):
        manifest.enter([A, B, A])
    (first, second) = manifest.pending()
    manifest.done(first.number, Scored(fault="x"))
    manifest.done(first.number, Scored(fault="y"))
    assert [it.number for it in manifest.pending()] == [second.number]
    assert manifest.count() == (2, 1)
    assert [(row.path, row.scored.fault) for row in manifest.rows()] == [(b"/a", "y")]


def test_a_film_that_changed_is_scored_again_and_another_is_not(manifest):
    manifest.enter([A, B])
    for film in manifest.pending():
        manifest.done(film.number, Scored())
    manifest.flush()
    manifest.enter([A, Listed(b"/b", 1, 2)])
    assert [it.path for it in manifest.pending()] == [b"/b"]


def test_grades_of_two_sets_of_engines_never_stand_in_one_archive(manifest):
    manifest.hold_to("a" * 64)
    manifest.hold_to("a" * 64)
    with pytest.raises(ConfigError, match="other engines began this archive"):
        manifest.hold_to("b" * 64)


@pytest.mark.usefixtures("manifest")
def test_a_manifest_in_use_and_one_of_another_kind_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="fix: wait for the run that has it"):
        Manifest(tmp_path / "m")
    (tmp_path / "other").write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match="cannot be used"):
        Manifest(tmp_path / "other")


@given(
    st.lists(st.tuples(st.sampled_from([b"/1", b"/2", b"/3"]), st.integers(0, 2), st.booleans()))
)
def test_every_film_has_exactly_one_row_after_any_history(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("any") / "m"
    names = set()
    it = Manifest(path)
    for name, size, ends in steps:
        names.add(name)
        it.enter([Listed(name, size, 0)])
        for film in list(it.pending())[:2]:
            it.done(film.number, Scored(fault=str(size)))
        if ends:
            it.close()
            it = Manifest(path)
    for film in it.pending():
        it.done(film.number, Scored())
    assert sorted(row.path for row in it.rows()) == sorted(names)
    it.close()
