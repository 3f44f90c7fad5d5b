"""The table of scored files."""

from __future__ import annotations

import os
from pathlib import Path

from limb_results import a_result

from edge.model import Identifier, Identifiers
from edge.scoring.score_files import ScoredFile
from sharpedge.tables.scored_files import HEADER, header_of, rows_of


def dictionaries(*films):
    return [dict(zip(HEADER, row, strict=True)) for row in rows_of(films)]


def test_each_limb_of_a_file_has_a_row_with_path_study_and_date():
    film = ScoredFile(
        Path("a/b.dcm"), (a_result(), a_result(limb_index=1)), study="1.2.3",
        taken="2026-03-04 10:31",
    )  # fmt: skip
    first, second = dictionaries(film)
    assert (first["path"], first["study"], first["date"]) == (
        "a/b.dcm",
        "1.2.3",
        "2026-03-04 10:31",
    )
    assert (first["limb_index"], second["limb_index"]) == (0, 1)


def test_a_file_that_cannot_be_read_has_a_row_with_the_cause():
    name = Path(os.fsdecode(b"M\xfcller.jpg"))
    (row,) = dictionaries(ScoredFile(name, (), fault="cannot be read (Permission denied)"))
    assert row["path"] == "M\N{REPLACEMENT CHARACTER}ller.jpg"
    assert row["reason"] == "cannot be read (Permission denied)"
    assert row["study"] == ""


def test_identifiers_that_are_wanted_have_columns_of_their_own():
    joined = Identifiers(accession_number="A-4711", patient_id="P-77")
    films = (
        ScoredFile(Path("a.dcm"), (a_result(),), identifiers=joined),
        ScoredFile(Path("b.jpg"), (a_result(),)),
        ScoredFile(Path("c.dcm"), (), fault="cannot be read"),
    )
    wanted = (Identifier.PATIENT_ID,)
    head = header_of(wanted)
    rows = [dict(zip(head, row, strict=True)) for row in rows_of(films, wanted)]
    assert [row["patient_id"] for row in rows] == ["P-77", "", None]
    assert not any("A-4711" in map(str, row.values()) for row in rows)
    assert head[:-1] == header_of(()) == HEADER
