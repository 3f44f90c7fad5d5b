"""The same archive on a Ray cluster of this machine; needs the extra ``ray``."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from archives import films, settings

from edge.errors import ConfigError
from sharpedge.archive.run import run_archive

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),
]


def descendants(root):
    """Processes below one, each with its command line."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            after = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(after[1]), (folder / "cmdline").read_bytes()
    for pid, (parent, words) in parents.items():
        above = parent
        while above in parents and above != root:
            above = parents[above][0]
        if above == root:
            yield pid, words


def test_a_local_cluster_gives_one_row_a_film_whatever_ends_its_workers(tmp_path, monkeypatch):

    # Ray's workers find the stand-in where this process did.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    words = ["limb=LH slow=0.1"] * 40
    words[7] = "crash=1"
    films(tmp_path / "in", *words)

    killed = []

    def kill_one():
        until = time.monotonic() + 120
        while not killed and time.monotonic() < until:
            for pid, words in descendants(os.getpid()):
                if words.startswith(b"ray::MapWorker"):
                    time.sleep(0.5)
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_one)
    killer.start()
    found = run_archive(
        tmp_path / "in", tmp_path / "r.parquet", settings(workers=2), address="local"
    )
    killer.join()
    assert killed
    assert (found.rows, found.scored) == (40, 40)
    frame = pl.read_parquet(tmp_path / "r.parquet")
    assert frame["path"].n_unique() == 40
    assert frame.filter(pl.col("reason") == "worker_died").height == 1


def test_a_cluster_that_is_not_there_is_told_with_a_fix(tmp_path):
    films(tmp_path / "in", "limb=LH")
    with pytest.raises(ConfigError, match="cannot be reached"):
        run_archive(tmp_path / "in", tmp_path / "r.parquet", settings(), address="127.0.0.1:1")
