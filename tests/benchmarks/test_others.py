from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest

from benchmarks.machine_state import usable_cores
from benchmarks.others import CpuClock, at_rest, between, read_clock, section

BUSY = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
has_stat = pytest.mark.skipif(read_clock().busy_s is None, reason="/proc/stat tells no time here")


@contextlib.contextmanager
def busy_process():
    """A process that takes a core, and is no child that was waited for."""
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        time.sleep(0.3)
        try:
            yield
        finally:
            process.kill()


def test_time_that_is_not_ours_is_the_others():
    begun = CpuClock(0.0, 100.0, 5.0, 10.0)
    ended = CpuClock(10.0, 112.0, 6.0, 18.0)
    found = between("x", begun, ended, cores=2)
    assert (found.own, found.others, found.stolen) == (0.4, pytest.approx(0.2), 0.05)


def test_without_proc_stat_the_others_are_not_known(tmp_path):
    found = []
    with section("x", found, tmp_path):
        pass
    assert (found[0].others, found[0].stolen) == (None, None)


def test_a_kernel_that_counts_nothing_is_not_an_idle_machine(tmp_path):
    (tmp_path / "proc").mkdir()
    lines = [f"cpu{number} 0 0 0 0 0 0 0 0 0 0" for number in usable_cores()]
    (tmp_path / "proc/stat").write_text("\n".join(lines))
    assert read_clock(tmp_path).busy_s is None


def test_only_cores_that_we_may_use_count(tmp_path):
    (tmp_path / "proc").mkdir()
    ours = usable_cores()[0]
    foreign = max(usable_cores()) + 100
    (tmp_path / "proc/stat").write_text(
        f"cpu 900 0 0 0 0 0 0 0 0 0\ncpu{ours} 200 0 100 999 50 0 0 100 0 0\n"
        f"cpu{foreign} 600 0 0 0 0 0 0 0 0 0\n"
    )
    found = read_clock(tmp_path)
    ticks = os.sysconf("SC_CLK_TCK")
    assert (found.busy_s, found.stolen_s) == (400 / ticks, 100 / ticks)


@has_stat
def test_a_busy_process_beside_us_is_seen_as_anothers():
    with busy_process():
        found = at_rest("x", 1.0)
    # One core is taken, unless others take it too.
    assert found.others > 0.5 / len(usable_cores())
    assert found.own < 0.2


@has_stat
def test_our_own_work_and_that_of_children_that_ended_is_ours():
    found = []
    with section("x", found):
        code = "sum(i * i for i in range(3_000_000))"
        subprocess.run([sys.executable, "-c", code], check=True)
        sum(i * i for i in range(3_000_000))
    assert found[0].own > 0.05
