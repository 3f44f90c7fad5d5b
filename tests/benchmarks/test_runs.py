from __future__ import annotations

import pytest

from benchmarks import runs
from benchmarks.engines import Effort
from benchmarks.runs import bench_films, run_published, run_scaling
from benchmarks.series import Series
from benchmarks.session import Session
from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EdgeError, EngineError
from edge.system.paths import built_engines


@pytest.fixture
def engines():
    try:
        found = load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    if found.get(Role.MASK, Limb.HAND) is None:
        pytest.skip("no hand mask is built: sharpedge export")
    return found


def quiet(*_):
    pass


def test_scaling_gives_films_to_the_daemon_and_rows_to_the_journal(engines, monkeypatch):
    asked = {}

    def arrivals(_folder, films, count, say):
        asked["films"], asked["count"] = [film.name for film in films], count
        asked["jpeg"] = all(film.read_bytes().startswith(b"\xff\xd8") for film in films)
        say("one worker")
        return [Series("scaling", "films a minute", (60.0,), {"workers": "1"}, "1/min")]

    def journal(_folder, rows, say):
        asked["rows"] = rows
        say("1 row")
        return [Series("scaling", "record a result", (1.0, 2.0), {"rows": "1"})]

    monkeypatch.setattr(runs.scaling, "measure_arrivals", arrivals)
    monkeypatch.setattr(runs.scaling, "measure_journal", journal)
    session = Session({}, rest_s=0.01)
    run_scaling(session, 3, (1, 10), quiet)
    assert asked == {
        "films": ["P0001-LH.jpg", "P0001-RH.jpg", "P0001-LF.jpg", "P0001-RF.jpg"],
        "count": 3, "jpeg": True, "rows": (1, 10),
    }  # fmt: skip
    report = session.close()
    assert [row.name for row in report.series] == ["films a minute", "record a result"]
    assert {row.name for row in report.engines} == set(engines.versions)
    asked.clear()
    run_scaling(Session({}, rest_s=0.01), 3, (), quiet)
    assert "rows" not in asked


def test_a_format_that_cannot_be_written_is_a_note_and_the_others_are_measured(monkeypatch):
    encoded = runs.films.encoded

    def without_png(drawn, size, form):
        if form == "PNG":
            raise EdgeError("PNG: no encoder is installed (fix: none)")
        return encoded(drawn[:1], size, form)

    monkeypatch.setattr(runs.films, "encoded", without_png)
    session = Session({}, rest_s=0.01)
    kinds = bench_films(session, [(220, 300)], ["JPEG", "PNG"], quiet)
    assert [kind[0].format for kind in kinds] == ["JPEG"]
    assert list(session.notes) == ["PNG: no encoder is installed (fix: none)"]


def test_published_networks_run_one_image_at_a_time_and_say_that_their_weights_are_random(
    engines, monkeypatch
):
    assert engines
    monkeypatch.setattr(runs, "PUBLISHED", {"U-Net-256": "U-Net-256"})
    session = Session({}, rest_s=0.01)
    run_published(session, None, Effort(0.0, 2, 0.0), quiet)
    report = session.close()
    row = report.engines[0]
    assert (row.name, row.judged, row.batch) == ("U-Net-256", "random weights", 1)
    assert (row.backend, row.precision) == ("onnxruntime", "fp32")
    assert row.gflop > 1
    assert {one.labels["batch"] for one in report.series} == {"1"}
