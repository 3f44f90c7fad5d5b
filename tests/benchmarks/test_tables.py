from __future__ import annotations

import csv
import io

import pytest
from bench_reports import all_series, report_of

from benchmarks.tables import as_csv, markdown, page_of, text


def table(report, start):
    found = [table for table in page_of(report).tables if table.title.startswith(start)]
    assert len(found) == 1, start
    return found[0]


def row(table, *cells):
    (found,) = [row for row in table.rows if row[: len(cells)] == cells]
    return dict(zip(table.columns, found, strict=True))


def test_every_row_has_a_cell_for_each_column(report):
    for table in page_of(report).tables:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title


def test_the_page_begins_with_the_verdict_and_ends_with_the_intended_use(report):
    told = text(report)
    assert told.startswith("publishable: no\nnot publishable: ")
    assert told.endswith("Research use only, not a medical device.")
    page = markdown(report, ("cdf.png",))
    assert "not a medical device" in page.split("##")[0]
    assert "![cdf](cdf.png)" in page


def test_phases_that_a_cpu_lacks_are_not_shown_as_zero(report):
    found = row(table(report, "Engines alone"), "hand-score")
    assert (found["h2d"], found["enqueue"], found["d2h"]) == ("n/a", "n/a", "n/a")
    assert found["compute"] == "199"


def test_a_gpu_shows_its_copies_and_enqueueing():
    series = all_series()
    of_engine = next(one for one in series if one.name == "hand-score compute")
    for phase, value in (("h2d", 0.5), ("enqueue", 0.1), ("d2h", 0.25)):
        series.append(
            type(of_engine)("engine", f"hand-score {phase}", (value,) * 20, of_engine.labels)
        )
    found = row(table(report_of(series), "Engines alone"), "hand-score")
    assert (found["h2d"], found["enqueue"], found["d2h"]) == ("0.5", "0.1", "0.25")


def test_operations_by_time_are_held_against_the_measured_peak(report):
    found = row(table(report, "Engines: use"), "hand-score")
    # 56.4 GFLOP in 0.2 s
    assert float(found["GFLOP/s"]) == pytest.approx(282, abs=2)
    assert found["share of the measured peak"] == "71% of 400 (numpy matrices)"
    assert (found["PSS added (MiB)"], found["RSS added (MiB)"]) == ("200", "n/a")


def test_shares_of_the_stages_add_up_to_the_film(report):
    found = row(table(report, "Pipeline by stage"), "2000x2500", "JPEG")
    shares = [int(cell.rpartition("(")[2].rstrip("%)")) for cell in list(found.values())[2:-1]]
    assert found["picture, after the result"] == "8"
    assert sum(shares) == pytest.approx(100, abs=3)


def test_peers_are_ratios_to_ours(report):
    found = row(table(report, "Peers: the same graph"), "graph work", "OpenCV dnn")
    assert found["by ours (95 % interval)"] == "3 (3-3)"


def test_our_engine_stands_beside_the_fastest_peer_of_its_precision(report):
    found = row(table(report, "Our engines and the fastest"), "graph work")
    assert (found["ours"], found["fastest peer"]) == ("ours", "OpenVINO defaults")
    assert (found["peer by ours"], found["finding"]) == ("1.3 (1.3-1.3)", "not slower")


def test_a_peer_of_another_precision_is_no_rival():
    series = [one for one in all_series() if one.labels.get("contender") != "OpenVINO defaults"]
    of_peer = next(one for one in series if one.labels.get("contender") == "OpenCV dnn")
    labels = {**of_peer.labels, "contender": "OpenVINO bf16", "precision": "bf16"}
    faster = tuple(value / 30 for value in of_peer.values)
    series.append(type(of_peer)("peers", of_peer.name, faster, labels))
    found = row(table(report_of(series), "Our engines and the fastest"), "graph work")
    assert found["fastest peer"] == "OpenCV dnn"


def test_accuracy_stands_beside_speed(report):
    engine = row(table(report, "Accuracy beside speed: engines"), "hand-score")
    assert (engine["gate"], engine["figures"]) == ("agrees", "equal_share 0.998")
    assert engine["total p50 (ms)"] == "199"
    films = row(table(report, "Accuracy beside speed: films"), "JPEG, 2000x2500 px")
    assert (films["equal"], films["largest difference"]) == ("98.4%", "1")


def test_csv_has_a_line_for_each_series_with_labels_and_figures(report):
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert len(rows) == len(report.series)
    whole = next(row for row in rows if row["name"] == "whole film")
    assert (whole["size"], whole["format"], whole["n"]) == ("2000x2500", "JPEG", "20")
    assert float(whole["p50_low"]) <= float(whole["p50"]) <= float(whole["p50_high"])


def test_an_empty_report_is_a_page_too():
    empty = report_of([])
    assert "publishable: no" in text(empty)
    assert as_csv(empty).startswith("bench,name")
