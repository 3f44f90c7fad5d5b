"""Brokers of each kind; what each test found goes into one table.

``SHARPEDGE_BROKERS=full`` runs every test with every broker and keeps the table under
``benchmarks/results``; without it a short form runs and nothing is written.
"""

from __future__ import annotations

import os
import re
import subprocess
from datetime import datetime, timezone

import pytest
from appliance import ROOT
from broker_kinds import KINDS, NoBrokerError
from fixtures import make_appliance

__all__ = ["make_appliance"]

# An appliance refuses names in its environment that it does not know.
FULL = os.environ.pop("SHARPEDGE_BROKERS", "") == "full"
TABLE = ROOT / "benchmarks" / "results" / "brokers.md"
SHORT = "test_contract[nats]"
BRIDGED: dict[str, str] = {}
FOUND: dict[str, dict[str, str]] = {}


def pytest_collection_modifyitems(items):
    """The short form is one test with one broker, and the bridge: the others take minutes."""
    for item in items:
        by_kind = item.path.name == "test_brokers_by_kind.py"
        if by_kind and not FULL and item.name != SHORT:
            item.add_marker(pytest.mark.skip("run by make brokers-test"))


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request, tmp_path_factory):
    """A running broker of each kind; skips where there is none."""
    try:
        it = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    except NoBrokerError as error:
        pytest.skip(str(error))
    try:
        yield it.start()
    finally:
        it.close()


@pytest.fixture
def cell(kind):
    """Writes what was found of this broker into a row; the other cells stay as they were."""

    def write(row, text):
        FOUND.setdefault(row, {})[kind.name] = text

    yield write
    if FULL:
        _keep()


@pytest.fixture
def day_of_films():
    """Films of a day, one a minute; in the short form those of an hour."""
    return 24 * 60 if FULL else 60


@pytest.fixture
def figures():
    """What was measured over the bridge, for the table."""
    yield BRIDGED
    if FULL and BRIDGED:
        lines = ["| what | measured |", "| --- | --- |"]
        lines += [f"| {what} | {value} |" for what, value in BRIDGED.items()]
        _replace("bridge", lines)


def _replace(mark, lines):
    """Write one part of the table, the others as they are."""
    before, _, rest = TABLE.read_text().partition(f"<!-- {mark} -->\n")
    day = f"Last written {datetime.now(timezone.utc).date().isoformat()}."
    before = re.sub(r"Last written [^.]*\.", day, before)
    after = rest.partition(f"<!-- {mark} -->")[2]
    text = "\n".join(lines)
    TABLE.write_text(f"{before}<!-- {mark} -->\n{text}\n<!-- {mark} -->{after}")


def _before():
    """Rows of the table as it is."""
    lines = TABLE.read_text().partition("<!-- table -->\n")[2].partition("<!-- table -->")[0]
    rows = [[it.strip() for it in line.strip("|").split(" | ")] for line in lines.splitlines()]
    return {row[0]: row[1:] for row in rows[3:]}


def _keep():
    names = [it.name for it in KINDS.values()]
    for row, cells in _before().items():
        known = dict(zip(names, cells, strict=True))
        FOUND[row] = {**known, **FOUND.get(row, {})}
    lines = [f"| | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    lines.append("| version | " + " | ".join(map(_version, KINDS.values())) + " |")
    lines += [
        f"| {row} | {' | '.join(cells.get(name, 'not run') for name in names)} |"
        for row, cells in FOUND.items()
    ]
    _replace("table", lines)


def _version(kind):
    if not kind.is_here():
        return "none here"
    done = subprocess.run(kind.version_command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found[0] if found else "unknown"
