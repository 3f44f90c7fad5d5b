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
FOUND: dict[str, dict[str, str]] = {}


def pytest_collection_modifyitems(items):
    """The short form is one test with one broker: the others take minutes."""
    for item in items:
        if "brokers" in item.path.parts and not FULL and "short" not in item.keywords:
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
def cell(kind, request):
    """Writes what was found of this broker into the row that the test is named after."""

    def write(row, text):
        FOUND.setdefault(row, {})[kind.name] = text

    yield write
    if FULL and request.session.testsfailed == 0:
        _keep()


def _keep():
    names = [it.name for it in KINDS.values()]
    head = TABLE.read_text().partition("<!-- table -->")
    lines = [f"| | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    lines.append("| version | " + " | ".join(map(_version, KINDS.values())) + " |")
    lines += [
        f"| {row} | {' | '.join(cells.get(name, 'not run') for name in names)} |"
        for row, cells in FOUND.items()
    ]
    rest = head[2].partition("<!-- table -->")[2]
    day = f"Last written {datetime.now(timezone.utc).date().isoformat()}."
    text = re.sub(r"Last written [^.]*\.", day, head[0])
    text += "<!-- table -->\n" + "\n".join(lines) + "\n<!-- table -->" + rest
    TABLE.write_text(text)


def _version(kind):
    if not kind.is_here():
        return "none here"
    done = subprocess.run(kind.version_command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found[0] if found else "unknown"
