from __future__ import annotations

import json

import pytest

from benchmarks.report import read_report, write_json
from edge.errors import EdgeError


def test_a_report_is_read_as_it_was_written_with_every_raw_value(report, tmp_path):
    path = tmp_path / "bench.json"
    write_json(report, path)
    assert read_report(path) == report
    fields = json.loads(path.read_text())
    assert (fields["format"], fields["schema_version"]) == ("sharpedge-bench", 1)
    assert fields["notice"] == "research use only, not a medical device"
    whole = next(row for row in fields["series"] if row["name"] == "whole film")
    assert len(whole["values"]) == len(whole["at_s"]) == whole["figures"]["n"] == 20


def test_figures_in_the_file_are_those_of_its_values(report):
    for row, (series, figures) in zip(report.series, report.measured_series, strict=True):
        assert row.figures["p50"] == pytest.approx(figures.median, rel=1e-5)
        assert row.figures["max"] == pytest.approx(max(series.values), rel=1e-5)


def test_what_a_reader_needs_to_judge_the_run_is_there(report):
    assert report.machine["cores"] >= 1
    assert report.machine["versions"]["numpy"]
    assert [rest.name for rest in report.rests] == ["before the run", "after the run"]
    assert report.benches == ("engine", "pipeline", "appliance", "peers", "scaling")
    assert report.engines[0].sha256 == "ab" * 32
    assert not report.verdict.publishable


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no json", "it is no JSON file"),
        ("[]", "format None None, wanted sharpedge-bench 1"),
        ('{"stages": {}}', "format None None, wanted sharpedge-bench 1"),
        ('{"format": "sharpedge-bench", "schema_version": 2}', "sharpedge-bench 2, wanted"),
        ('{"format": "sharpedge-bench", "schema_version": 1}', "measured: Field required"),
    ],
)
def test_another_schema_is_refused_with_cause_and_fix(tmp_path, text, why):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(EdgeError, match=r"\(fix: ") as refused:
        read_report(path)
    assert why in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EdgeError, match=r"none\.json: cannot be read"):
        read_report(tmp_path / "none.json")
