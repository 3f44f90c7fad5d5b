"""``sharpedge demo`` as a newcomer sees it, with each broker it can start."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EdgeError, EngineError
from edge.system import local_broker
from edge.system.paths import built_engines
from sharpedge.demo import BAD_NAME

FILMS = ("P0001-LF", "P0001-LH", "P0001-RF", "P0001-RH")


def demo(out, *options, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SHARPEDGE_")}
    return subprocess.run(
        [sys.executable, "-m", "sharpedge.cli", "demo", "--out", out, *options],
        capture_output=True, text=True, check=False, timeout=200, env={**kept, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def scorers():
    """Whether both scorers are built; without any engine there is no demo."""
    try:
        engines = load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    if len(engines.limbs) < len(Limb):
        pytest.skip("not both detectors are built: sharpedge export")
    return all(engines.get(Role.SCORE, limb) is not None for limb in Limb)


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_the_demo_shows_scores_a_reject_times_and_pictures(broker, scorers, tmp_path):
    try:
        with local_broker.local_broker(broker):
            pass
    except EdgeError as error:
        pytest.skip(str(error))
    done = demo(tmp_path, "--broker", broker)
    text = done.stdout
    assert "Traceback" not in done.stderr
    assert text.startswith("sharpedge demo: research use only, not a medical device")
    assert f"broker: {broker}" in text
    assert ("MQTT 3.1.1 only" in text) == (broker == "amqtt")
    assert "rejected: truncated; export the film again" in text.split(BAD_NAME)[1]
    assert len(re.findall(r"file closed to message received: \d+ ms", text)) == 5
    assert "decode" in text
    assert "partial SvH (no wrist), of 340: " in text
    assert "daemon stopped with status 0, said offline" in text
    if scorers:
        assert done.returncode == 0, text + done.stderr
        for film in FILMS:
            part = text.split(f"the scanner writes {film}.jpg")[1].split("the scanner writes")[0]
            assert len(re.findall(r"^ +(?:IP|PIP|MCP|MTP)\d +\d", part, re.MULTILINE)) >= 5, part
            assert re.search(r"erosion \d+ of (50|60) ", part)
        named = {str(tmp_path / f"{film}-labelled.jpg") for film in FILMS}
        assert named == set(re.findall(r"^ +(\S+-labelled\.jpg)$", text, re.MULTILINE))
        assert all(os.path.getsize(picture) > 10_000 for picture in named)  # noqa: PTH202
    else:
        assert done.returncode == 1
        assert "the scorers are not installed" in text


def test_without_engines_the_demo_says_what_is_missing(tmp_path):
    done = demo(tmp_path / "out", SHARPEDGE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "no engine is installed" in done.stdout
    assert "sharpedge export" in done.stdout


def test_a_broker_that_is_not_there_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(local_broker.shutil, "which", lambda *_a, **_k: None)
    with (
        pytest.raises(EdgeError, match="take the broker amqtt"),
        local_broker.local_broker("mosquitto"),
    ):
        pass


def test_a_broker_that_ends_at_once_is_told(monkeypatch):
    monkeypatch.setattr(local_broker, "_mosquitto", lambda: "/bin/false")
    with pytest.raises(EdgeError, match="mosquitto did not start"), local_broker.local_broker():
        pass
