from __future__ import annotations

import shutil
import subprocess
import urllib.request

import pytest

prometheus_client = pytest.importorskip("prometheus_client")
from appliance import until  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402
from stand_in import film_bytes  # noqa: E402

from edge.config import MetricsSettings  # noqa: E402
from edge.daemon import metrics  # noqa: E402
from edge.delivery.standing import LATENCY_BOUNDS_S, Latencies  # noqa: E402


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(found, name, **labels):
    (sample,) = [s for s in found[name].samples if s.labels == labels and not
                 s.name.endswith("_created")]  # fmt: skip
    return sample.value


def free_port():
    import socket

    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def test_scored_and_held_films_are_in_the_figures(make_appliance, broker, tmp_path):
    port, text = free_port(), tmp_path / "sharpedge.prom"
    extra = f'[metrics]\nport = {port}\ntextfile = "{text}"\nevery_s = 0.2\n'
    it = make_appliance(broker.port, extra=extra).start()
    it.put("a.jpg", film_bytes(""))
    it.put("b.jpg", film_bytes("reason=side_not_known"))
    until(lambda: len(it.states()) == 2 and "queued" not in it.states().values(), what="both")

    def scraped():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def latency_count():
        (found,) = [s for s in families(scraped())["sharpedge_latency_seconds"].samples
                    if s.name.endswith("_count")]  # fmt: skip
        return found.value

    until(lambda: latency_count() == 2, what="both sent")
    # The health message that follows waits in the outbox for a moment.
    until(
        lambda: value(families(scraped()), "sharpedge_outbox_messages") == 0, what="an empty outbox"
    )
    body = scraped()
    found = families(body)
    assert value(found, "sharpedge_state", state="online") == 1
    assert value(found, "sharpedge_broker_connected") == 1
    assert value(found, "sharpedge_held_films") == 1
    assert value(found, "sharpedge_held_oldest_seconds") >= 0
    assert value(found, "sharpedge_films", state="held") == 1
    until(text.exists, what="the text file")
    assert set(families(text.read_text())) == set(found)
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=body, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_latencies_are_counted_within_each_bound():
    latencies = Latencies()
    for value_ms in (50, 150, 900, 70_000):
        latencies.note(value_ms)
    found = latencies.histogram()
    by_bound = dict(zip(LATENCY_BOUNDS_S, found.within, strict=True))
    assert (by_bound[0.1], by_bound[0.2], by_bound[1.0], by_bound[60.0]) == (1, 2, 3, 3)
    assert found.within[-1] == 4
    assert found.sum_s == pytest.approx(71.1)


def test_without_the_library_the_section_is_refused_with_the_fix(monkeypatch):
    import sys

    from edge.errors import ConfigError

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'sharpedge\[metrics\]'"):
        metrics.Metrics(MetricsSettings(port=9), None)
    metrics.Metrics(MetricsSettings(), None).start()


def test_a_port_in_use_is_logged_and_stops_nothing(caplog):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        it = metrics.Metrics(MetricsSettings(port=taken.getsockname()[1]), _Nothing())
        it.start()
        it.stop()
    assert "fix: set metrics.port" in caplog.text


class _Nothing:
    def collect(self):
        return iter(())
