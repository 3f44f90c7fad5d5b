"""2,000 simulated films scored by the real pipeline, in a run that is killed ten times.

Run by ``make archive-test``, which keeps its table under benchmarks/results/. A folder with such
films may be named in SHARPEDGE_ARCHIVE_FILMS; else they are made (about ten minutes).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from edge.scoring.score_files import films_in
from sharpedge.archive.manifest import Manifest
from sharpedge.archive.run import manifest_of

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "benchmarks" / "results" / "archive.md"
PROGRAM = Path(sys.executable).with_name("sharpedge")
UNRUN = " Not run at full size yet: the tables are empty."
KILLS, FEW = 10, 120
# A machine that has no hour may score fewer; the table then says how many, and that it was fewer.
FILMS = int(os.environ.get("SHARPEDGE_ARCHIVE_COUNT", "2000"))
FEWER = " Not run at full size yet: a slow machine has scored fewer than 2,000 films."
LIMITED = ("sh", "-c", 'ulimit -S -v 2097152; exec "$@"', "sh")
"""Begins a command that may take 2 GiB of addresses; its workers too, while they load engines."""
pytestmark = [pytest.mark.archive, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    named = os.environ.get("SHARPEDGE_ARCHIVE_FILMS")
    folder = Path(named) if named else tmp_path_factory.mktemp("films")
    if not named:
        patients = str(FILMS // 4)
        command = [PROGRAM, "phantom", "--patients", patients, "--seed", "1", "--out", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = list(films_in([folder]))
    assert len(found) == FILMS
    return found


@pytest.fixture
def listed(tmp_path):
    def write(paths):
        path = tmp_path / "list.txt"
        path.write_text("".join(f"{it}\n" for it in paths))
        return path

    return write


def outcomes(out):
    manifest = Manifest(manifest_of(out))
    _, done = manifest.count()
    manifest.close()
    return done


def test_films_killed_10_times_have_one_row_each(films, listed, tmp_path):
    out, log = tmp_path / "r.parquet", []
    command = [*LIMITED, PROGRAM, "archive", listed(films), "--out", out, "--workers", "2"]
    began_s = time.monotonic()
    for kill in range(1, KILLS + 1):
        # The main process and a worker in turns.
        with subprocess.Popen(command, start_new_session=True) as run:
            time.sleep(25.0)
            assert run.poll() is None
            worker = subprocess.run(
                ["pgrep", "-P", str(run.pid), "-f", "edge.worker.child"],
                capture_output=True, text=True, check=True,
            ).stdout.split()[0]  # fmt: skip
            if kill % 2:
                os.kill(int(worker), signal.SIGKILL)
                time.sleep(15.0)
                assert run.poll() is None
            run.kill()
        log.append(outcomes(out))
    subprocess.run(command, check=True)
    took_s = time.monotonic() - began_s
    frame = pl.read_parquet(out)
    assert frame.height == FILMS
    assert frame["path"].n_unique() == FILMS
    assert log == sorted(log)
    by_status = dict(frame["status"].value_counts().rows())
    assert by_status.keys() <= {"scored", "held", "not_graded"}
    keep(
        "killed",
        f"| {FILMS} | {KILLS} | {KILLS // 2} | {frame.height} | "
        f"{', '.join(f'{k} {v}' for k, v in sorted(by_status.items()))} | {took_s / 60:.0f} |",
    )


def test_two_workers_are_faster_than_one_on_two_cores(films, listed, tmp_path):
    """The figure goes into the table; nothing is asserted of it."""
    rows = []
    for workers in (1, 2):
        out = tmp_path / f"{workers}.parquet"
        some = listed(islice(films, FEW))
        began_s = time.monotonic()
        command = [PROGRAM, "archive", some, "--out", out, "--workers", str(workers)]
        subprocess.run(command, check=True)
        rows.append((workers, time.monotonic() - began_s))
        assert pl.read_parquet(out).height == FEW
    one_s = rows[0][1]
    cells = [f"| {n} | {FEW} | {FEW * 60 / took_s:.0f} | {one_s / took_s:.2f} |"
             for n, took_s in rows]  # fmt: skip
    keep("workers", "\n".join(cells))


def keep(part, text):
    """Write one part of the table, the others as they are."""
    marks = {"killed": "<!-- killed -->", "workers": "<!-- workers -->"}
    lines = TABLE.read_text().split(f"{marks[part]}\n")
    assert len(lines) == 3
    written = f"{marks[part]}\n".join([lines[0], f"{text}\n", lines[2]])
    today = datetime.now(timezone.utc).date().isoformat()
    head, _, rest = written.partition("Last written ")
    after = rest.partition(".")[2].replace(UNRUN, "").replace(FEWER, "")
    fewer = FEWER if FILMS < 2000 else ""
    TABLE.write_text(f"{head}Last written {today}.{fewer}{after}")
