from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.others import read_clock
from benchmarks.series import Series
from benchmarks.session import Session, code_version

BUSY = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"


@pytest.mark.skipif(read_clock().busy_s is None, reason="/proc/stat tells no time here")
def test_a_run_beside_a_busy_process_is_not_publishable():
    session = Session({}, rest_s=0.01)
    with (
        subprocess.Popen([sys.executable, "-c", BUSY]) as process,
        session.measuring("pipeline"),
    ):
        sum(i * i for i in range(20_000_000))
        process_was_alive = process.poll() is None
        # Killed inside the block, waited for after it: its time is nobody's that we know.
        process.kill()
        session.add([Series("pipeline", "label", (1.0,))])
    assert process_was_alive
    reasons = session.close().verdict.reasons
    assert any(reason.startswith("pipeline: other processes took") for reason in reasons)


def test_a_series_without_values_is_left_out():
    session = Session({}, rest_s=0.01)
    session.add([Series("pipeline", "label", ())])
    assert session.close().series == ()


def test_the_commit_is_that_of_the_clone_and_changes_are_seen(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert code_version(tmp_path) == (None, False)
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    commit, changed = code_version(tmp_path)
    assert len(commit) == 40
    assert not changed
    (tmp_path / "a").write_text("2")
    assert code_version(tmp_path) == (commit, True)
