"""The files for Prometheus and Grafana name figures that the appliance has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.daemon import metrics, receiver_metrics

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "monitoring"
RULES = FOLDER / "prometheus-alerts.yml"
DASHBOARD = FOLDER / "grafana-dashboard.json"
_NAME = re.compile(r"\bsharpedge_[a-z_]+\b")
_SUFFIX = re.compile(r"_(bucket|count|sum|total|info)$")


def known():
    """Names in the modules that make the figures."""
    files = (metrics.__file__, receiver_metrics.__file__)
    text = "\n".join(Path(file).read_text("utf-8") for file in files)
    short = set(re.findall(r'_P \+ "([a-z_]+)"', text)) | set(
        re.findall(r'^\s+\("([a-z_]+)",', text, re.MULTILINE)
    )
    return {f"sharpedge_{name}" for name in short}


@pytest.mark.parametrize("path", [RULES, DASHBOARD, ROOT / "docs" / "monitoring.md"])
def test_every_figure_that_a_file_names_exists(path):
    named = {_SUFFIX.sub("", name) for name in _NAME.findall(path.read_text("utf-8"))}
    assert len(named) > 3
    assert named <= known(), named - known()


def test_the_page_names_every_figure():
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    short = {name.removeprefix("sharpedge") for name in known()}
    assert {name for name in short if name not in page} == set()


def test_panels_of_the_dashboard_do_not_overlap():
    taken = set()
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs the Debian package prometheus")
def test_prometheus_accepts_the_rules():
    done = subprocess.run(
        ["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
