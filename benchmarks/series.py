"""One measured series: the raw values of one quantity, in the order in which they were taken.

Layer: benchmarks; imports nothing of ours. Every benchmark gives a list of these, and the report
alone computes percentiles, intervals, tables and plots from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Series:
    """Raw values of one quantity.

    Attributes
    ----------
    bench : str
        The benchmark: ``engine``, ``pipeline``, ``appliance``, ``peers`` or ``scaling``.
    name : str
        What was measured, for example ``hand-score compute`` or ``closed to received``.
    values : tuple of float
        In the order in which they were taken, warm-up left out.
    labels : mapping of str to str
        What distinguishes it from series of the same name: film size, format, back end, pattern.
    unit : str
        Of the values.
    at_s : tuple of float
        When each value was taken, seconds since the benchmark began; empty where that says
        nothing.
    """

    bench: str
    name: str
    values: tuple[float, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    unit: str = "ms"
    at_s: tuple[float, ...] = ()
