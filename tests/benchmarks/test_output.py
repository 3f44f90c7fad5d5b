from __future__ import annotations

import importlib.util

import cv2
import numpy as np
import pytest
from bench_reports import all_series, report_of

from benchmarks.output import write_report

README_WIDTH_PX = 800
NAMES = ["bench.json", "bench.csv", "bench.md"]
PLOTS = ["cdf.png", "waterfall.png", "over-time.png", "peers.png", "scaling.png"]


def test_every_file_is_written_and_the_page_shows_the_plots(report, tmp_path):
    pytest.importorskip("matplotlib", reason="no matplotlib: plots are left out")
    files, lack = write_report(report, tmp_path / "new")
    assert [path.name for path in files] == NAMES + PLOTS
    assert lack is None
    page = (tmp_path / "new" / "bench.md").read_text()
    for name in PLOTS:
        assert f"]({name})" in page
        picture = cv2.imread(str(tmp_path / "new" / name), cv2.IMREAD_GRAYSCALE)
        assert picture.shape[1] == pytest.approx(README_WIDTH_PX, abs=1)
        assert len(np.unique(picture)) > 16


def test_only_plots_of_what_was_measured_are_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="no matplotlib: plots are left out")
    part = report_of([one for one in all_series() if one.bench == "peers"])
    files, _ = write_report(part, tmp_path)
    assert [path.name for path in files] == [*NAMES, "peers.png"]


def test_without_matplotlib_the_rest_is_written_and_the_fix_is_told(report, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "matplotlib" else found(name, *rest),
    )
    files, lack = write_report(report, tmp_path)
    assert [path.name for path in files] == NAMES
    assert lack.endswith("(fix: pip install 'sharpedge[bench]')")
    assert ".png" not in (tmp_path / "bench.md").read_text()
