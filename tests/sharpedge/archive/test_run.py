"""An archive whose run is ended anywhere: each film has exactly one row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from archives import films, settings

from edge.errors import ConfigError
from sharpedge.archive.run import manifest_of, run_archive

PROGRAM = """
import sys
from pathlib import Path
from archives import settings
from sharpedge.archive.run import run_archive
run_archive(Path(sys.argv[1]), Path(sys.argv[2]), settings(workers=2))
"""


def test_an_archive_is_scored_once_and_the_same_call_resumes_it(tmp_path):
    paths = films(tmp_path / "in", *["limb=LH"] * 5, "crash=1")
    out = tmp_path / "r.parquet"
    first = run_archive(tmp_path / "in", out, settings())
    assert (first.rows, first.scored, first.unread) == (6, 6, 0)
    again = run_archive(tmp_path / "in", out, settings())
    assert (again.rows, again.scored) == (6, 0)
    paths[0].write_bytes(paths[1].read_bytes() + b"!")
    films(tmp_path / "in" / "new", "limb=RF")
    third = run_archive(tmp_path / "in", out, settings())
    assert (third.rows, third.scored) == (7, 2)
    frame = pl.read_parquet(out)
    assert frame["path"].n_unique() == 7
    assert frame.filter(pl.col("reason") == "worker_died").height == 1


def test_a_run_that_is_killed_again_and_again_gives_exactly_one_row_a_film(tmp_path):
    films(tmp_path / "in", *["limb=LH slow=0.02"] * 60)
    out = tmp_path / "r.parquet"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, tmp_path / "in", out]
    manifest = manifest_of(out)
    for _ in range(4):
        with subprocess.Popen(command, env=environment) as run:
            until = time.monotonic() + 20
            while run.poll() is None and not manifest.exists() and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(1.0)
            run.send_signal(signal.SIGKILL)
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(out)
    assert frame.height == 60
    assert frame["path"].n_unique() == 60
    assert set(frame["status"]) == {"scored"}


def test_films_that_cannot_be_read_have_rows_and_are_counted(tmp_path):
    films(tmp_path / "in", "limb=LH")
    (tmp_path / "list").write_text("in/00000.jpg\nin/none.jpg\n")
    found = run_archive(tmp_path / "list", tmp_path / "r.parquet", settings())
    assert found.rows == 2
    assert set(pl.read_parquet(tmp_path / "r.parquet")["status"]) == {"scored", "rejected"}


def test_two_runs_of_one_archive_at_a_time_are_refused(tmp_path):
    films(tmp_path / "in", "limb=LH")
    out = tmp_path / "r.parquet"

    def second(_done, _all):
        with pytest.raises(ConfigError, match="wait for the run"):
            run_archive(tmp_path / "in", out, settings())

    run_archive(tmp_path / "in", out, settings(), progress=second)
