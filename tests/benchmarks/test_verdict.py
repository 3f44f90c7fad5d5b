"""A run that was disturbed, too short or unsteady may not be published, and says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.machine_state import MachineState
from benchmarks.others import Section
from benchmarks.report import with_figures
from benchmarks.series import Series
from benchmarks.verdict import judge

QUIET = Section("pipeline", 30.0, 0.9, 0.01, 0.0)
REST = Section("before the run", 1.0, 0.0, 0.02, 0.0)
GOOD = MachineState(
    governors=("performance",), throttled={"core_throttle_count": 4}, celsius={"cpu": 40.0}
)
STEADY = 400 * np.random.default_rng(0).lognormal(0, 0.02, 120)


def series(values=STEADY, bench="pipeline", name="whole film", **labels):
    return Series(bench, name, tuple(map(float, values)), labels)


def verdict(*measured, sections=(QUIET,), rests=(REST,), before=GOOD, after=GOOD):
    return judge(with_figures(measured or (series(),)), sections, rests, before, after)


def only_reason(found):
    assert not found.publishable
    assert len(found.reasons) == 1, found.reasons
    return found.reasons[0]


def test_a_quiet_long_and_steady_run_may_be_published():
    found = verdict(series(), series(bench="engine", name="hand-score total"))
    assert found.publishable
    assert (found.reasons, found.warnings) == ((), ())


def test_a_run_under_load_calls_itself_not_publishable():
    reason = only_reason(verdict(sections=(QUIET, replace(QUIET, name="engine", others=0.2))))
    assert "engine: other processes took up to 20% of the cores during" in reason
    assert "fix: " in reason


def test_time_that_the_hypervisor_kept_is_named():
    loaded = replace(QUIET, others=0.2, stolen=0.15)
    assert "15% by the hypervisor" in only_reason(verdict(sections=(loaded,)))


def test_a_machine_that_is_busy_at_rest_is_not_publishable():
    rests = (REST, replace(REST, name="after the run", others=0.5))
    assert "after the run: other processes took up to 50%" in only_reason(verdict(rests=rests))


def test_load_that_cannot_be_known_is_no_quiet_machine():
    blind = replace(QUIET, others=None, stolen=None)
    assert "does not tell" in only_reason(verdict(sections=(blind,)))


def test_a_part_too_short_for_the_kernels_ticks_is_not_judged():
    assert verdict(sections=(replace(QUIET, seconds=0.05, others=0.9),)).publishable


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (STEADY[:99], "too few runs: pipeline, whole film: 99 runs of 100"),
        (np.concatenate([STEADY[:80], STEADY[80:] * 1.2]), "windows differ by over 10 %"),
        (400 * np.random.default_rng(0).lognormal(0, 0.15, 1200), "p90 - p10 is over 25%"),
    ],
)
def test_series_that_would_be_quoted_must_be_long_and_steady(values, reason):
    assert reason in only_reason(verdict(series(values)))


def test_an_engine_must_run_for_three_seconds():
    short = series(np.full(150, 5.0), bench="engine", name="hand-mask total")
    assert "less than 3 s" in only_reason(verdict(short))


def test_stages_and_queues_are_not_held_to_be_steady():
    growing = np.linspace(400, 9000, 20)
    queue = series(growing, bench="appliance", name="closed to received", pattern="burst of 20")
    assert verdict(series(), series(growing, name="label"), queue).publishable
    one = series(growing, bench="appliance", name="closed to received", pattern="one at a time")
    assert not verdict(series(), one).publishable


def test_throttling_during_the_run_is_a_reason_and_earlier_throttling_is_none():
    assert verdict(after=GOOD).publishable
    hot = GOOD.model_copy(update={"throttled": {"core_throttle_count": 9}})
    assert "core_throttle_count rose by 5" in only_reason(verdict(after=hot))


def test_a_governor_that_saves_power_is_a_warning_and_unknown_where_it_cannot_be_read():
    saving = GOOD.model_copy(update={"governors": ("powersave",)})
    found = verdict(before=saving)
    assert found.publishable
    assert "powersave, not performance" in found.warnings[0]
    blank = verdict(before=MachineState(), after=MachineState())
    assert blank.publishable
    assert len(blank.warnings) == 3


def test_nothing_measured_is_nothing_to_publish():
    assert "nothing was measured" in judge((), (), (), GOOD, GOOD).reasons


def test_many_parts_with_one_fault_are_one_reason():
    many = [series(STEADY[:10], size=str(number)) for number in range(9)]
    assert "and 7 more" in only_reason(verdict(*many))
