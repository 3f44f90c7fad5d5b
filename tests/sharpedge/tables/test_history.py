"""Changes over time: only what both films show, and never more than the error allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limb_results import a_result
from recorded_films import RecordedFilms

from edge.anatomy import Limb
from edge.model import Laterality
from sharpedge.tables.history import (
    DETECTABLE,
    Change,
    change,
    change_words,
    rows_of,
    visits_of,
)
from sharpedge.tables.journal_results import Span, results_of

MARCH = 1_772_323_200.0
DAY = 86_400.0


@pytest.fixture
def films(tmp_path):
    it = RecordedFilms(tmp_path)
    yield it
    it.close()


def visits(films):
    return visits_of(results_of(films.folder, Span()).results)


def eroded(**erosions):
    return a_result(grades={name: {"erosion": grade} for name, grade in erosions.items()})


def test_films_of_one_study_and_day_are_one_visit(films):
    films.add(a_result(), MARCH, "A", "study 1")
    films.add(a_result(laterality=Laterality.RIGHT), MARCH + 600, "A", "study 1")
    films.add(a_result(), MARCH + 90 * DAY, "A", "study 2")
    first, second = visits(films)
    assert (sorted(first.limbs), sorted(second.limbs)) == (["LH", "RH"], ["LH"])
    assert first.total.score == 2 * (10 + 18)
    assert second.day.isoformat() == "2026-05-30"


def test_a_film_repeated_on_the_day_replaces_the_first(films):
    films.add(eroded(MCP2=5), MARCH, "A", "s")
    films.add(eroded(MCP2=0), MARCH + 60, "A", "s")
    (only,) = visits(films)
    assert only.total.score == 9 + 18


def test_a_change_counts_only_grades_that_both_films_have(films):
    films.add(eroded(MCP2=0, MCP3=1), MARCH, "A", "s1")
    films.add(a_result(Limb.FOOT), MARCH, "A", "s1")
    lost = {"MCP2": {"erosion": 5}, "MCP3": {"erosion": None, "erosion_reason": "doubtful"}}
    films.add(a_result(grades=lost), MARCH + DAY, "A", "s2")
    before, after = visits(films)
    assert change(before, after) == Change(sum=5, grades=18, expected=19)
    assert change(after, before).sum == -5


def test_without_a_common_grade_there_is_no_change():
    assert change_words(Change(None, 0, 19)) == "no joint has a grade on both dates"
    assert not Change(None, 0, 19).is_detectable


@given(st.integers(-340, 340))
def test_a_change_below_the_detectable_one_is_never_called_more(units):
    words = change_words(Change(units, 62, 62))
    assert "progress" not in words
    assert ("within the readers' measurement error" in words) == (abs(units) < DETECTABLE)
    assert words.startswith(f"{units:+d} ")


def test_rows_compare_with_the_film_before_and_with_the_first(films):
    for number, grade in enumerate((0, 2, 5)):
        films.add(eroded(MCP2=grade), MARCH + number * 100 * DAY, "A", f"s{number}")
    rows = rows_of(visits(films))
    assert [row[0] for row in rows] == ["2026-03-01", "2026-06-09", "2026-09-17"]
    assert rows[0][-2:] == ["first film", "-"]
    # Of the second film both are the same change, and both say so.
    assert [row[-2][:2] for row in rows[1:]] == ["+2", "+3"]
    assert [row[-1][:2] for row in rows[1:]] == ["+2", "+5"]
    assert rows[0][1] == "9 / 18"
    assert rows[0][3] == "-"
    assert rows[0][5] == "27 (19 of 62 grades)"
