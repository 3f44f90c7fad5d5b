"""What every plot has in common: size, fonts, colours, the note below.

Layer: benchmarks; needs matplotlib; writes the picture that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Report

DPI = 110
WIDTH_IN = 800 / DPI
TEXT_PT = 9.5
TITLE_PT = 11
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a6a00", "#56b4e9", "#8c510a", "#5e3c99")
"""Told apart by people who do not see all colours (after Okabe and Ito)."""
GREY = "#999999"


def new_figure(
    report: Report, title: str, height_in: float, *, panels: int = 1, **options: Any
) -> tuple[Any, Any]:
    """A figure with its title above, and machine and notice below; returns it and its axes."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - optional

    figure, axes = plt.subplots(
        panels, figsize=(WIDTH_IN, height_in + 0.9), layout="constrained", **options
    )
    figure.suptitle(title, fontsize=TITLE_PT, x=0.01, ha="left")
    about = report.machine
    verdict = "publishable" if report.verdict.publishable else "NOT publishable"
    below = (
        f"{about.get('processor')}, {about.get('cores')} cores; {verdict}; {report.measured[:10]}\n"
        f"{report.notice}"
    )
    figure.supxlabel(below, fontsize=9, x=0.01, ha="left", color="0.35")
    for axis in figure.axes:
        axis.tick_params(labelsize=TEXT_PT)
        axis.xaxis.label.set_size(TEXT_PT)
        axis.yaxis.label.set_size(TEXT_PT)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def finish(figure: Any, path: Path) -> None:
    """Write the picture and free its memory."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - optional

    figure.savefig(path, dpi=DPI)
    plt.close(figure)
