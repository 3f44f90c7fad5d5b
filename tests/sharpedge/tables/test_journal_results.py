"""Results are read from a journal that stays as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from limb_results import a_result
from recorded_films import RecordedFilms

from edge.journal.store import JournalError
from edge.model import Laterality, Status
from sharpedge.tables.journal_results import Span, SpanError, results_of, span_of

DAY = 86_400.0
MARCH = 1_772_323_200.0
"""2026-03-01, UTC."""


@pytest.fixture
def films(tmp_path):
    it = RecordedFilms(tmp_path)
    yield it
    it.close()


def test_a_day_that_ends_a_span_belongs_to_it():
    assert span_of("2026-03-01", "2026-03-02") == Span(MARCH, MARCH + 2 * DAY)
    assert span_of("2026-03-01T06:00", "2026-03-01T12:00") == Span(MARCH + DAY / 4, MARCH + DAY / 2)
    assert span_of(None, None).holds(0)
    assert span_of("2026-03-01T01:00+01:00", None).begin_unix_s == MARCH


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [
        ("yesterday", None, r"--from yesterday: is no date \(fix: --from 2026-03-01"),
        (None, "2026-02-30", r"--to 2026-02-30: is no date"),
        ("2026-03-02", "2026-03-01", "lies after"),
    ],
)
def test_a_span_that_cannot_be_is_said(begin, end, wanted):
    with pytest.raises(SpanError, match=wanted):
        span_of(begin, end)


def test_results_of_a_span_come_oldest_first(films):
    films.add(a_result(laterality=Laterality.RIGHT), MARCH + 2 * DAY, "A")
    films.add(a_result(), MARCH, "A")
    films.add(a_result(), MARCH + 9 * DAY, "A")
    found = results_of(films.folder, span_of("2026-03-01", "2026-03-03"))
    assert [it.arrived.day for it in found.results] == [1, 3]
    assert found.damaged == 0


def test_a_patient_is_found_by_the_first_digits_of_the_pseudonym(films):
    films.add(a_result(), MARCH, "A")
    films.add(a_result(), MARCH, "B")
    wanted = films.pseudonym("B")
    found = results_of(films.folder, Span(), wanted[:8].upper())
    assert [it.message.patient for it in found.results] == [wanted]
    assert found.pseudonym == wanted


def test_a_pseudonym_that_is_nobody_s_or_several_s_is_said(films):
    for number in range(40):
        films.add(a_result(), MARCH, str(number))
    with pytest.raises(JournalError, match="no result has this pseudonym"):
        results_of(films.folder, Span(), "xyz")
    with pytest.raises(JournalError, match="pseudonyms begin so"):
        results_of(films.folder, Span(), films.pseudonym("7")[0])


def test_a_result_that_was_replaced_does_not_count(films):
    first = films.add(a_result(grades={"MCP2": {"erosion": 5}}), MARCH, "A")
    films.add(a_result(), MARCH + DAY, "A", supersedes_job=first)
    for span in (Span(), Span(MARCH, MARCH + DAY / 2)):
        found = results_of(films.folder, span)
        assert all(it.message.job != first for it in found.results)
    held = a_result(status=Status.HELD, reason="side_conflict", subtotals=None)
    films.add(held, MARCH + 2 * DAY, "A", supersedes_job=2)
    assert results_of(films.folder, Span()).results == ()


def test_a_row_that_a_fault_has_changed_is_counted_not_shown(films):
    films.add(a_result(), MARCH, "A")
    films.store.db.execute("UPDATE outbox SET payload = '{\"topic\": 1}'")
    found = results_of(films.folder, Span())
    assert (found.results, found.damaged) == ((), 1)


def digest(folder):
    return hashlib.sha256((folder / "journal.sqlite").read_bytes()).hexdigest()


def test_the_journal_is_not_changed_while_the_appliance_has_it_open(films):
    films.add(a_result(), MARCH, "A")
    before = digest(films.folder)
    assert len(results_of(films.folder, Span()).results) == 1
    assert digest(films.folder) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without rights")
def test_a_user_who_may_only_read_sees_what_the_appliance_left(films):
    films.add(a_result(), MARCH, "A")
    films.close()
    assert not (films.folder / "journal.sqlite-wal").exists()
    folder = Path(tempfile.mkdtemp(prefix="journal-"))
    folder.chmod(0o755)
    shutil.copy(films.folder / "journal.sqlite", folder)
    (folder / "journal.sqlite").chmod(0o644)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sharpedge.tables.journal_results import Span, results_of\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(len(results_of(Path(sys.argv[1]), Span()).results))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=False
    )
    shutil.rmtree(folder)
    assert done.stdout == "1\n", done.stderr


def test_no_journal_is_said_with_the_fix(tmp_path):
    with pytest.raises(JournalError, match=r"no appliance has run here \(fix: name its config"):
        results_of(tmp_path, Span())


def test_a_journal_of_another_release_is_said(films):
    films.store.db.execute("PRAGMA user_version=99")
    with pytest.raises(JournalError, match="has schema 99"):
        results_of(films.folder, Span())


def test_what_is_no_journal_is_said(tmp_path):
    (tmp_path / "journal.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match="cannot be read"):
        results_of(tmp_path, Span())
