"""The tuned choice decides what serves: signed here, measured here, and not overruled."""

import json

import pytest

import edge.engine.tuned
from edge.anatomy import Limb
from edge.engine.installed import activate, forget, read_active
from edge.engine.key import device_key
from edge.engine.loader import load_engines
from edge.engine.passport import Acceptance, Role
from edge.engine.tuned import (
    TUNED_NAME,
    Tuned,
    TunedEngine,
    machine_identity,
    read_tuned,
    write_tuned,
)

ACCEPTED = Acceptance(accepted=True, reason="agrees")


@pytest.fixture
def folder(tmp_path, make_engine, sign_again):
    """Two engines of one recipe: the FP32 graph, and an accepted one in 8 bits."""
    path = make_engine(tmp_path)
    graph = json.loads(path.read_text())["engine"]["sha256"]
    other = make_engine(tmp_path, stem="hand-score.b", weight=3.0)
    fields = json.loads(other.read_text())
    sign_again(
        other,
        graph_sha256=graph,
        acceptance=ACCEPTED.model_dump(),
        engine={**fields["engine"], "precision": "int8"},
    )
    return tmp_path


def tune_to(folder, stem, threads=1, machine=None):
    engines = {"hand-score": TunedEngine(stem=stem, threads=threads, p50_ms=1.0)}
    tuned = Tuned(machine=machine or machine_identity(), engines=engines, measured_at="now")
    write_tuned(folder, tuned, device_key())


def serving(folder, **options):
    engines = load_engines(folder, **options)
    return engines.require(Role.SCORE, Limb.HAND).passport["engine"]["precision"], engines


@pytest.mark.parametrize(("stem", "precision"), [("hand-score", "fp32"), ("hand-score.b", "int8")])
def test_the_tuned_engine_serves(folder, stem, precision):
    tune_to(folder, stem)
    found, engines = serving(folder)
    assert found == precision
    assert engines.tuned
    assert not engines.degraded


def test_what_a_person_activates_comes_first_and_can_be_forgotten(folder):
    tune_to(folder, "hand-score")
    activate(folder, "hand-score.b", device_key())
    assert serving(folder)[0] == "int8"
    forget(folder, ["hand-score"])
    assert read_active(folder).now.engines == {}
    assert serving(folder)[0] == "fp32"


def test_the_tuned_number_of_threads_is_used_unless_one_is_stated(folder, monkeypatch):
    tune_to(folder, "hand-score.b", threads=3)
    given = []
    real = edge.engine.loader.open_backend

    def noted(verified, *, threads):
        given.append(threads)
        return real(verified, threads=threads)

    monkeypatch.setattr(edge.engine.loader, "open_backend", noted)
    load_engines(folder)
    load_engines(folder, threads=2)
    activate(folder, "hand-score", device_key())
    load_engines(folder)
    assert given == [3, 2, 0]


def test_another_machine_or_library_has_to_be_tuned_again(folder):
    tune_to(folder, "hand-score.b", machine={**machine_identity(), "cores": "99"})
    assert read_tuned(folder, device_key()) == (None, None)
    found, engines = serving(folder)
    assert found == "fp32"
    assert not engines.tuned
    assert not engines.degraded


@pytest.mark.parametrize("damage", ["changed", "unsigned", "unreadable"])
def test_a_choice_that_is_not_this_devices_is_refused_with_the_fix(folder, damage):
    tune_to(folder, "hand-score.b")
    path = folder / TUNED_NAME
    fields = json.loads(path.read_text())
    if damage == "changed":
        fields["engines"]["hand-score"]["threads"] = 64
    if damage == "unsigned":
        fields["hmac"] = ""
    path.write_text("{" if damage == "unreadable" else json.dumps(fields))
    found, engines = serving(folder)
    assert found == "fp32"
    assert engines.degraded
    assert engines.refusals[0].fix == "sharpedge tune"


def test_a_tuned_engine_that_is_gone_gives_way_to_the_next(folder):
    tune_to(folder, "hand-score.b")
    (folder / "hand-score.b.json").unlink()
    assert serving(folder)[0] == "fp32"


def test_a_stated_back_end_wins(folder, sign_again):
    tune_to(folder, "hand-score")
    sign_again(folder / "hand-score.b.json", backend="openvino")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            edge.engine.loader, "open_backend",
            lambda verified, **_: edge.engine.loaded.LoadedEngine(verified),
        )  # fmt: skip
        assert serving(folder, backend="openvino")[0] == "int8"
        assert serving(folder)[0] == "fp32"


def test_the_machine_is_named_by_processor_cores_and_libraries():
    found = machine_identity()
    assert found["processor"]
    assert int(found["cores"]) >= 1
    assert "onnxruntime" in found
