"""Whether figures may be published, with the reasons.

Layer: benchmarks; pure functions over what was recorded during the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.model import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.figures import Figures
    from benchmarks.machine_state import MachineState
    from benchmarks.others import Section
    from benchmarks.series import Series

OTHERS_LIMIT = 0.05
"""Share of the cores' time that other processes may take while a benchmark runs."""
REST_LIMIT = 0.10
"""The same for a second before and after the run, in which we do nothing."""
SPREAD_LIMIT = 0.25
LEAST_RUNS = {"engine": 100, "pipeline": 100, "appliance": 100, "peers": 30}
LEAST_ENGINE_S = 3.0
_HEADLINES: dict[str, Callable[[str], bool]] = {
    "engine": lambda name: name.endswith(" total"),
    "pipeline": lambda name: name == "whole film",
    "appliance": lambda name: name == "closed to received",
    "peers": lambda _name: True,
}
_SHOWN = 2
_MEASURED = 0.95
"""Least share of the wanted seconds that the runs themselves took; the rest is between them."""
_LEAST_SECTION_S = 0.5
"""The kernel counts in ticks of 10 ms: what is shorter cannot be judged."""
_QUEUEING = ("burst", "sustained")
"""Arrival patterns whose times grow by their nature; they are not held to be stable."""


class Verdict(Record):
    """Whether the figures may be published: ``reasons`` why not; ``warnings`` to print beside."""

    publishable: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def judge(
    measured: Sequence[tuple[Series, Figures]],
    sections: Sequence[Section],
    rests: Sequence[Section],
    before: MachineState,
    after: MachineState,
    warnings: Sequence[str] = (),
) -> Verdict:
    """Hold a run against the limits of this module.

    Parameters
    ----------
    measured : sequence of (Series, Figures)
        Everything that was measured.
    sections, rests : sequence of Section
        Use of the cores during the benchmarks, and while we did nothing.
    before, after : MachineState
        Around the run.
    warnings : sequence of str
        What else a reader must know.
    """
    reasons = [
        *_load(_long_enough(sections), OTHERS_LIMIT, "during"),
        *_load(rests, REST_LIMIT, "at rest"),
        *_throttling(before, after),
        *_series(measured),
    ]
    if not measured:
        reasons.append("nothing was measured")
    told = [*warnings, *_settings(before)]
    return Verdict(publishable=not reasons, reasons=tuple(reasons), warnings=tuple(told))


def is_headline(series: Series) -> bool:
    """Whether a series is one that others would quote: it must be long and steady enough."""
    wanted = _HEADLINES.get(series.bench)
    return wanted is not None and wanted(series.name)


def _long_enough(sections: Sequence[Section]) -> list[Section]:
    return [section for section in sections if section.seconds >= _LEAST_SECTION_S]


def _load(sections: Sequence[Section], limit: float, when: str) -> Iterator[str]:
    blind = [section.name for section in sections if section.others is None]
    if blind:
        yield f"{_some(blind)}: /proc/stat does not tell what other processes used"
    loaded = [section for section in sections if (section.others or 0.0) > limit]
    if loaded:
        worst = max(loaded, key=lambda section: section.others or 0.0)
        stolen = worst.stolen or 0.0
        part = f", {stolen:.0%} by the hypervisor" if stolen >= 0.01 else ""
        yield (
            f"{_some([section.name for section in loaded])}: other processes took up to "
            f"{worst.others:.0%} of the cores {when}{part}; at most {limit:.0%} is allowed "
            "(fix: end them, or wait, and run again)"
        )


def _throttling(before: MachineState, after: MachineState) -> Iterator[str]:
    for name, count in after.throttled.items():
        more = count - before.throttled.get(name, 0)
        if more > 0:
            yield f"throttled: {name} rose by {more} (fix: cool the box, or lower its power mode)"


def _series(measured: Sequence[tuple[Series, Figures]]) -> Iterator[str]:
    few, short, unstable, spread = [], [], [], []
    for series, figures in measured:
        if not is_headline(series) or _queues(series):
            continue
        title = f"{series.bench}, {title_of(series)}"
        least = LEAST_RUNS[series.bench]
        if figures.n < least:
            few.append(f"{title}: {figures.n} runs of {least}")
        elif series.bench == "engine" and sum(series.values) < _MEASURED * LEAST_ENGINE_S * 1000:
            short.append(title)
        if series.bench == "peers":
            continue  # a ratio of runs next to each other
        if not figures.stable:
            shown = ", ".join(f"{window:.2f}" for window in figures.windows)
            unstable.append(f"{title}: {shown} of the median")
        if figures.spread > SPREAD_LIMIT:
            spread.append(f"{title}: {figures.spread:.0%}")
    if few:
        yield f"too few runs: {_some(few)} (fix: more --rounds, --runs or --films)"
    if short:
        yield f"measured for less than {LEAST_ENGINE_S:.0f} s: {_some(short)} (fix: --seconds 3)"
    if unstable:
        yield f"the last three windows differ by over 10 %: {_some(unstable)}"
    if spread:
        yield f"p90 - p10 is over {SPREAD_LIMIT:.0%} of the median: {_some(spread)}"


def _some(names: Sequence[str]) -> str:
    shown = "; ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}; and {len(names) - _SHOWN} more"


def _queues(series: Series) -> bool:
    pattern = series.labels.get("pattern", "")
    return pattern.startswith(_QUEUEING)


def _settings(before: MachineState) -> Iterator[str]:
    if not before.governors:
        yield "the frequency governor is not known here"
    elif before.governors != ("performance",):
        yield (
            f"the frequency governor is {', '.join(before.governors)}, not performance "
            "(fix: cpupower frequency-set -g performance)"
        )
    if not before.throttled:
        yield "this machine counts no throttling events"
    if not before.celsius:
        yield "this machine tells no temperature"


def title_of(series: Series) -> str:
    """Name of a series with what distinguishes it."""
    told = [f"{value}" for key, value in series.labels.items() if key not in {"cycle", "sha256"}]
    return f"{series.name} ({', '.join(told)})" if told else series.name
