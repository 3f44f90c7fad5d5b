"""The table of what others' programs found in documents; written by `make documents-test`."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

FULL = os.environ.get("SHARPEDGE_DOCUMENTS") == "full"
TABLE = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "documents.md"


@pytest.fixture(scope="session")
def figures():
    """Rows of the table by program: documents, errors, and what it did."""
    rows = {}
    yield rows
    if FULL and rows:
        TABLE.write_text(_table(rows))


def _table(rows):
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    lines = [
        "# Documents judged by others' programs",
        "",
        "Research use only, not a medical device. Written by `make documents-test`: 200 results",
        "of all kinds (scored, partly scored, held, not graded, rejected, superseding; hands and",
        "feet) under names in several character sets and without a name, as structured reports of",
        "both classes, Secondary Captures and FHIR bundles.",
        "",
        f"{day}.",
        "",
        "| program | documents | errors | what it did |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {name} | {n} | {errors} | {what} |" for name, (n, errors, what) in rows.items()]
    return "\n".join([*lines, ""])
