"""The fault suite: what each test found is gathered into one table.

``SHARPEDGE_FAULTS=full`` runs every fault at its full size and keeps the table under
``benchmarks/results``; without it the short form runs and nothing is written. ``--long`` beside it
runs the stream for ten minutes and the soak for an hour.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "edge"), str(ROOT / "tests" / "faults")]

from fixtures import broker, make_appliance, make_broker, subscriber  # noqa: E402

__all__ = ["broker", "make_appliance", "make_broker", "subscriber"]

FULL = os.environ.pop("SHARPEDGE_FAULTS", "") == "full"
NOTICE = "research use only, not a medical device"
_ROWS = []


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the stream and the soak at full length")


@pytest.fixture
def scale(request):
    """Size of a test: in the short form, in the full one, and with ``--long``."""
    long = request.config.getoption("--long", False)
    return lambda short, full, longest=None: (longest or full) if long else full if FULL else short


@pytest.fixture
def figures():
    """What a test measured, for the table."""
    return {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if "faults" not in Path(item.fspath).parts or (call.when == "teardown" and report.passed):
        return
    if call.when == "call" or report.outcome != "passed":
        what = (item.function.__doc__ or item.name).strip().splitlines()[0]
        detail = str(report.longrepr[2]) if report.skipped else ""
        _ROWS.append(
            {
                "fault": what,
                "outcome": report.outcome,
                "seconds": round(call.stop - call.start, 1),
                "figures": dict(item.funcargs.get("figures", {})) if report.passed else {},
                **({"why": detail.removeprefix("Skipped: ")} if detail else {}),
            }
        )


def pytest_terminal_summary(terminalreporter):
    if not _ROWS:
        return
    terminalreporter.write_line("")
    for line in _table():
        terminalreporter.write_line(line)
    if FULL:
        folder = ROOT / "benchmarks" / "results"
        for path in _write(folder):
            terminalreporter.write_line(f"kept in {path.relative_to(ROOT)}")


def _table():
    lines = ["| fault | outcome | s | measured |", "| --- | --- | --- | --- |"]
    for row in _ROWS:
        told = ", ".join(f"{key} {value}" for key, value in row["figures"].items())
        told = told or row.get("why", "")
        lines.append(f"| {row['fault']} | {row['outcome']} | {row['seconds']} | {told} |")
    return lines


def _write(folder):
    from benchmarks.machine import machine

    about = machine()
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report = {"notice": NOTICE, "measured": when, "machine": about, "faults": _ROWS}
    where = f"{about['cores']} cores, {about['processor']}, Python {about['python']}"
    head = f"{NOTICE.capitalize()}. Written by `make test-faults` on {when}: {where}."
    text = "\n".join(["# Fault suite", "", head, "", *_table(), ""])
    paths = folder / "faults.json", folder / "faults.md"
    paths[0].write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(text, encoding="utf-8")
    return paths
