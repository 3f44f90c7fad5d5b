"""The commands about engines tell what is installed, and change it whole or not at all."""

import json
import os

import pytest
from typer.testing import CliRunner

from edge.engine import loader
from edge.engine.backend_table import Precision
from edge.engine.backends.onnxruntime import OnnxRuntimeEngine
from edge.engine.installed import ACTIVE_NAME, read_active
from edge.engine.key import device_key
from edge.engine.loader import load_engines
from edge.engine.passport import Acceptance, read_passport
from edge.errors import EngineError
from edge.system.paths import built_engines
from export.errors import BuildError
from export.exporter import write_passport
from sharpedge import engines
from sharpedge.cli import app


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """The installed engines, linked into a folder of the test's own, and a rival of one."""
    try:
        load_engines(built_engines(), threads=1)
    except EngineError as error:
        pytest.skip(f"no engines: {error}")
    place = tmp_path / "built"
    place.mkdir()
    for path in built_engines().iterdir():
        if path.is_file() and path.name != ACTIVE_NAME:
            os.link(path, place / path.name)
    passport = read_passport(place / "hand-mask.json")
    rival = passport.model_copy(
        update={
            "engine": passport.engine.model_copy(update={"precision": Precision.BF16}),
            "graph_sha256": passport.engine.sha256,
            "acceptance": Acceptance(accepted=True, reason="agrees", films=3, scores=9),
            "latency_ms": {"total_p50": 1.0, "total_p99": 2.0},
        }
    )
    write_passport(place / "hand-mask.rival.json", rival, device_key())
    return place


def test_the_list_shows_verdict_latency_and_what_is_not_tuned(folder):
    shown = run("engines", "list", "--engines", folder)
    assert shown.exit_code == 0, shown.output
    assert "hand-mask.rival  onnxruntime bf16" in shown.output
    assert "accepted; 3 films, 9 scores" in shown.output
    assert "latency p50 1.0 ms" in shown.output
    assert "the FP32 reference" in shown.output
    assert "not tuned" in shown.output
    assert "not a medical device" in shown.output


def test_the_list_shows_why_one_is_refused_and_what_fixes_it(folder):
    path = folder / "hand-mask.rival.json"
    path.write_text(path.read_text().replace("agrees", "agreed"))
    shown = run("engines", "list", "hand-mask", "--engines", folder)
    assert shown.exit_code == 1
    assert "refused: " in shown.output
    assert "fix: sharpedge build hand-mask --backend onnxruntime" in shown.output
    assert "foot-mask" not in shown.output


def test_activate_and_rollback_change_what_serves(folder):
    assert run("engines", "activate", "hand-mask.rival", "--engines", folder).exit_code == 0
    assert read_active(folder).now.engines == {"hand-mask": "hand-mask.rival"}
    assert "hand-mask.rival" in run("engines", "list", "--engines", folder).output
    back = run("engines", "rollback", "--engines", folder)
    assert back.exit_code == 0
    assert "the order of choice" in back.output
    assert read_active(folder).now.engines == {}


@pytest.fixture
def films(tmp_path):
    """One left hand that is scored."""
    place = tmp_path / "films"
    made = run("phantom", "--patients", 1, "--out", place)
    assert made.exit_code == 0, made.output
    for path in place.glob("*"):
        if not path.name.endswith("-LH.jpg"):
            path.unlink()
    return place


@pytest.fixture
def second_back_end(folder, monkeypatch):
    """Every graph under a second back end, which ONNX Runtime stands in for."""
    for path in folder.glob("*.json"):
        if "." in path.stem:
            path.unlink()
            continue
        passport = read_passport(path)
        other = passport.model_copy(
            update={
                "backend": "openvino",
                "graph_sha256": passport.engine.sha256,
                "acceptance": Acceptance(accepted=True, reason="agrees", films=3, scores=9),
            }
        )
        write_passport(folder / f"{path.stem}.openvino-1.json", other, device_key())
    monkeypatch.setattr(loader, "open_backend", OnnxRuntimeEngine)
    return folder


def test_agree_compares_two_back_ends_over_a_folder(second_back_end, films):
    shown = run("agree", "openvino", "onnxruntime", films, "--engines", second_back_end)
    assert shown.exit_code == 0, shown.output
    assert "films 1" in shown.output
    assert "weighted kappa 1.0000" in shown.output
    assert "hand-score on openvino fp32" in shown.output
    assert "hand-score on onnxruntime fp32" in shown.output


def test_agree_without_a_grade_to_compare_fails(second_back_end, films):
    for path in films.iterdir():
        path.write_bytes(path.read_bytes()[:200])
    shown = run("agree", "openvino", "onnxruntime", films, "--engines", second_back_end)
    assert shown.exit_code == 1, shown.output
    assert "no grade was compared" in shown.output
    assert "1.0000" not in shown.output


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("openvino", "onnxruntime", "for the back end openvino"),
        ("onnxruntime", "tensorrt", "for the back end tensorrt"),
        ("tensorrt-rtx", "openvino", "for the back end tensorrt-rtx"),
        ("onnxruntime", "onnxruntime", "agrees with itself"),
        ("openvino", "openvino", "agrees with itself"),
    ],
)
def test_agree_needs_engines_of_two_back_ends(folder, tmp_path, first, second, words):
    with pytest.raises((EngineError, BuildError), match=words):
        engines.agree(folder, first, second, tmp_path)


def test_the_archive_is_scored_with_other_engines_and_nothing_is_sent(folder, tmp_path):
    made = run("phantom", "--patients", 1, "--out", tmp_path / "state" / "archive")
    assert made.exit_code == 0, made.output
    for path in (tmp_path / "state" / "archive").glob("*-?F.jpg"):
        path.unlink()
    settings = tmp_path / "c.toml"
    settings.write_text(f'[folders]\nwatch = "{tmp_path}/in"\nstate = "{tmp_path}/state"\n')
    for path in folder.glob("hand-mask*"):
        path.unlink()
    shown = run("replay", "--rescore", "--engines", folder, "--config", settings)
    assert "films 2" in shown.output, shown.output
    assert "candidate: " in shown.output
    assert shown.output.count("hand-mask on onnxruntime fp32") == 1
    assert shown.exit_code in (0, 1)
    assert ("against" in shown.output.partition("px\n")[2]) is (shown.exit_code == 1)
    assert run("replay").exit_code == 2
    assert run("replay", "x", "--rescore", "--engines", folder).exit_code == 2


def test_what_cannot_be_built_is_reported_with_the_fix(tmp_path):
    unknown = run("build", "left-ear", "--out", tmp_path)
    assert unknown.exit_code == 1
    assert "left-ear" in unknown.output
    assert "hand-mask" in unknown.output
    assert not list(tmp_path.iterdir())


def test_the_example_of_a_passport_is_signed(folder):
    assert json.loads((folder / "hand-mask.json").read_text())["hmac"]
