from __future__ import annotations

import hashlib
import time

import cv2
import numpy as np
import pytest
from stand_in import film_bytes

from benchmarks.appliance import ALONE, SUSTAINED, burst, measure, patients, renewed
from edge.errors import EdgeError

STAND_IN = '[worker]\nfactory = "stand_in:build"\n'


@pytest.fixture
def films(tmp_path, monkeypatch, pytestconfig):
    """One patient's films for the stand-in, which the daemon's worker can import."""
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath / "tests" / "edge"))
    paths = []
    for limb in ("LH", "RH", "LF", "RF"):
        paths.append(tmp_path / f"P0001-{limb}.jpg")
        paths[-1].write_bytes(film_bytes(f"limb={limb} slow=0.05"))
    return paths


def by_name(series):
    return {(it.name, it.labels.get("process", "")): it for it in series}


def test_a_renewed_film_has_other_bytes_and_the_same_pixels():
    ok, data = cv2.imencode(".jpg", np.arange(4096, dtype=np.uint8).reshape(64, 64))
    assert ok
    films = [renewed(data.tobytes(), number) for number in range(2)]
    assert len({data.tobytes(), *films}) == 3
    shown = [
        cv2.imdecode(np.frombuffer(film, np.uint8), cv2.IMREAD_GRAYSCALE)
        for film in (data.tobytes(), *films)
    ]
    assert all(np.array_equal(shown[0], other) for other in shown[1:])


def test_what_is_no_jpeg_cannot_be_renewed():
    with pytest.raises(EdgeError, match="must be JPEG"):
        renewed(b"\x89PNG", 1)


@pytest.mark.parametrize("pattern", [ALONE, SUSTAINED, burst(4), patients(0.5)])
def test_every_film_has_one_value_of_each_part_and_the_parts_add_up(tmp_path, films, pattern):
    found = by_name(measure(tmp_path / "run", films, pattern, 5, settings=STAND_IN))
    whole = found["closed to received", ""]
    parts = [found[name, ""] for name in ("wait for a worker", "scoring", "recording and delivery")]
    assert len(whole.values) == 5
    assert whole.labels["pattern"] == pattern.name
    for index, value in enumerate(whole.values):
        assert sum(part.values[index] for part in parts) == pytest.approx(value, abs=0.01)
    assert all(value > 0 for value in whole.values)
    assert len(found["between messages", ""].values) == 4
    assert found["films a minute", ""].values[0] > 0
    assert found["memory", "daemon"].values[0] > 0
    assert found["memory", "workers"].values[0] > 0


def test_films_that_come_faster_than_they_are_scored_show_as_waiting(tmp_path, films):
    found = by_name(measure(tmp_path / "run", films, burst(6), 6, settings=STAND_IN))
    waits_ms = sorted(found["wait for a worker", ""].values)
    # The last of six waits for five films of 50 ms, the first for none.
    assert waits_ms[-1] - waits_ms[0] > 5 * 50 * 0.9


def test_a_film_that_is_not_scored_ends_the_benchmark(tmp_path, films):
    films[0].write_bytes(film_bytes("reason=no_joints_found"))
    with pytest.raises(EdgeError, match="was not scored"):
        measure(tmp_path / "run", films[:1], ALONE, 1, settings=STAND_IN)


def test_the_daemon_is_stopped_when_the_benchmark_ends(tmp_path, films):
    began_s = time.time()
    measure(tmp_path / "run", films, ALONE, 1, settings=STAND_IN)
    log = (tmp_path / "run" / "daemon.log").read_text("utf-8")
    assert "sharpedge ended" in log
    assert time.time() - began_s < 60
    assert hashlib.sha256(films[0].read_bytes()).hexdigest() not in log
