"""Installed engines are found by role and limb."""

import json

import pytest

from edge.engine.backend_table import BACKENDS
from edge.engine.installed import activate, read_active, rollback, scan
from edge.engine.key import device_key
from edge.engine.loaded import LoadedEngine
from edge.engine.loader import load_engines
from edge.engine.passport import Acceptance, Role
from edge.errors import EngineError
from edge.model import Limb


def test_engines_are_given_by_role_and_limb(tmp_path, make_engine):
    make_engine(tmp_path, "hand-detect", "detect", "hand")
    make_engine(tmp_path, "foot-score", "score", "foot")
    engines = load_engines(tmp_path, threads=1)
    assert engines.require(Role.DETECT, Limb.HAND).name == "hand-detect"
    assert engines.get(Role.MASK, Limb.HAND) is None
    assert engines.limbs == (Limb.HAND,)
    assert list(engines.versions) == ["foot-score", "hand-detect"]
    with pytest.raises(EngineError, match=r"can score a hand.*sharpedge export"):
        engines.require(Role.SCORE, Limb.HAND)


def test_the_set_hash_follows_every_engine_and_how_it_is_fed(tmp_path, make_engine):
    hashes = set()
    for number, changes in enumerate([{}, {"weight": 3.0}, {"outputs": {"out": (1,)}}]):
        folder = tmp_path / str(number)
        make_engine(folder, **changes)
        hashes.add(load_engines(folder).engine_set_hash)
    make_engine(tmp_path / "more")
    make_engine(tmp_path / "more", "hand-mask", "mask")
    hashes.add(load_engines(tmp_path / "more").engine_set_hash)
    assert len(hashes) == 4
    make_engine(tmp_path / "again", versions={"python": "9"})
    assert load_engines(tmp_path / "again").engine_set_hash in hashes


def test_an_empty_or_missing_folder_names_how_to_fill_it(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(EngineError, match="sharpedge export"):
            load_engines(folder)


def test_two_engines_for_one_task_are_refused_by_name(tmp_path, make_engine):
    make_engine(tmp_path, "a")
    make_engine(tmp_path, "b")
    with pytest.raises(EngineError, match="a and b both score a hand"):
        load_engines(tmp_path)


def test_one_bad_passport_stops_the_start(tmp_path, make_engine):
    make_engine(tmp_path)
    (tmp_path / "other.json").write_text(json.dumps({"hello": 1}))
    with pytest.raises(EngineError, match=r"other.json"):
        load_engines(tmp_path)


ACCEPTED = Acceptance(accepted=True, reason="agrees", films=132, scores=2046)
REFUSED = Acceptance(accepted=False, reason="no device")


def serving(folder, **options):
    engines = load_engines(folder, threads=1, **options)
    return engines.require(Role.SCORE, Limb.HAND), engines


def add(folder, make_engine, sign_again, stem, **fields):
    """Another engine of the installed graph; half precision, so that it needs acceptance."""
    graph = next(i.passport.graph for i in scan(folder) if i.stem == "hand-score")
    path = make_engine(folder, stem=stem, weight=3.0)
    engine = {**json.loads(path.read_text())["engine"], "precision": "fp16"}
    sign_again(path, **{"engine": engine, "graph_sha256": graph, "acceptance": ACCEPTED, **fields})
    return path


def test_an_engine_that_was_not_accepted_never_serves(tmp_path, make_engine, sign_again):
    make_engine(tmp_path)
    add(tmp_path, make_engine, sign_again, "hand-score.b", acceptance=REFUSED)
    add(tmp_path, make_engine, sign_again, "hand-score.c", acceptance=None)
    fp32 = scan(tmp_path)[0].passport.engine.sha256
    engine, engines = serving(tmp_path)
    assert engine.sha256 == fp32
    assert not engines.degraded
    with pytest.raises(EngineError, match="not accepted: no device"):
        activate(tmp_path, "hand-score.b", device_key())


def test_a_refused_engine_gives_way_to_the_next_and_is_reported(tmp_path, make_engine, sign_again):
    make_engine(tmp_path)
    path = add(tmp_path, make_engine, sign_again, "hand-score.b")
    activate(tmp_path, "hand-score.b", device_key())
    assert serving(tmp_path)[0].passport["engine"]["precision"] == "fp16"
    assert not serving(tmp_path)[1].degraded
    path.write_text(path.read_text().replace("agrees", "agreed"))
    engine, engines = serving(tmp_path)
    assert engine.passport["engine"]["precision"] == "fp32"
    assert engines.degraded
    assert engines.refusals[0].stem == "hand-score.b"
    assert "not this device's" in engines.refusals[0].why
    assert engines.refusals[0].fix.startswith("sharpedge build hand-score")
    with pytest.raises(EngineError, match="not this device's"):
        serving(tmp_path, fallback=False)


def test_a_chosen_engine_of_another_graph_is_stale(tmp_path, make_engine, sign_again):
    make_engine(tmp_path)
    add(tmp_path, make_engine, sign_again, "hand-score.b")
    activate(tmp_path, "hand-score.b", device_key())
    make_engine(tmp_path, weight=5.0)
    engine, engines = serving(tmp_path)
    assert engine.passport["engine"]["precision"] == "fp32"
    assert "another graph" in engines.refusals[0].why


def test_what_was_measured_decides_where_nothing_was_chosen(tmp_path, make_engine, sign_again):
    path = make_engine(tmp_path)
    slow = add(tmp_path, make_engine, sign_again, "hand-score.b")
    assert not serving(tmp_path)[1].tuned
    sign_again(path, latency_ms={"total_p50": 5.0})
    sign_again(slow, latency_ms={"total_p50": 9.0})
    engine, engines = serving(tmp_path)
    assert engines.tuned
    assert engine.passport["engine"]["precision"] == "fp32"
    sign_again(slow, latency_ms={"total_p50": 2.0})
    assert serving(tmp_path)[0].passport["engine"]["precision"] == "fp16"


def test_a_back_end_can_be_asked_for(tmp_path, make_engine, sign_again):
    make_engine(tmp_path)
    add(tmp_path, make_engine, sign_again, "hand-score.b", backend="openvino")
    with pytest.raises(EngineError):
        serving(tmp_path, backend="openvino", fallback=False)
    engine, engines = serving(tmp_path, backend="onnxruntime")
    assert engine.passport["backend"] == "onnxruntime"
    assert not engines.degraded


class Stand(LoadedEngine):
    """Stands for a back end whose library is not installed here."""


@pytest.mark.parametrize("backend", [None, *BACKENDS])
@pytest.mark.parametrize("fallback", [True, False])
@pytest.mark.parametrize(
    "state", ["absent", "present", "not accepted", "of another graph", "damaged"]
)
def test_the_back_end_that_was_asked_for_serves_or_its_lack_is_named(
    tmp_path, make_engine, sign_again, monkeypatch, backend, fallback, state
):
    make_engine(tmp_path)
    engine = "openvino"
    if state != "absent":
        acceptance = REFUSED if state == "not accepted" else ACCEPTED
        path = add(tmp_path, make_engine, sign_again, f"hand-score.{engine}-1", backend=engine,
                   acceptance=acceptance)  # fmt: skip
        if state == "of another graph":
            sign_again(path, graph_sha256="0" * 64)
        if state == "damaged":
            path.write_text("{")
    monkeypatch.setattr("edge.engine.loader.open_backend", lambda verified, **_: Stand(verified))
    reachable = backend in (None, "onnxruntime")
    named = backend == "openvino" and state == "present"
    if not fallback and not reachable and not named:
        with pytest.raises(EngineError, match="hand-score") as caught:
            serving(tmp_path, backend=backend, fallback=fallback)
        assert caught.value.fix == f"sharpedge build hand-score --backend {backend}" or (
            state == "damaged"
        )
        return
    found, engines = serving(tmp_path, backend=backend, fallback=fallback)
    if named:
        assert found.passport["backend"] == "openvino"
    if backend is not None and not named:
        assert found.passport["backend"] != backend or reachable
        assert engines.degraded == (not reachable)
    if not reachable and not named:
        assert engines.refusals[0].why


def test_a_strict_back_end_must_serve_every_recipe(tmp_path, make_engine, sign_again, monkeypatch):
    make_engine(tmp_path)
    make_engine(tmp_path, name="hand-mask", role="mask")
    add(tmp_path, make_engine, sign_again, "hand-score.openvino-1", backend="openvino")
    monkeypatch.setattr("edge.engine.loader.open_backend", lambda verified, **_: Stand(verified))
    with pytest.raises(EngineError, match="no engine of hand-mask for the back end openvino"):
        load_engines(tmp_path, backend="openvino", fallback=False)


def test_a_choice_is_taken_back_step_by_step(tmp_path, make_engine, sign_again):
    make_engine(tmp_path)
    add(tmp_path, make_engine, sign_again, "hand-score.b")
    activate(tmp_path, "hand-score.b", device_key())
    activate(tmp_path, "hand-score", device_key())
    activate(tmp_path, "hand-score", device_key())
    assert rollback(tmp_path).engines == {"hand-score": "hand-score.b"}
    assert rollback(tmp_path).engines == {}
    assert read_active(tmp_path).earlier == ()
    with pytest.raises(EngineError, match="nothing was activated"):
        rollback(tmp_path)


def test_an_earlier_graph_can_be_brought_back(tmp_path, make_engine):
    make_engine(tmp_path, weight=5.0)
    old = make_engine(tmp_path, stem="hand-score.onnxruntime-old", weight=2.0)
    activate(tmp_path, old.stem, device_key())
    engine, engines = serving(tmp_path)
    assert engine.sha256 == json.loads(old.read_text())["engine"]["sha256"]
    assert not engines.degraded
    rollback(tmp_path)
    assert serving(tmp_path)[0].sha256 != engine.sha256


def test_activating_what_is_not_there_lists_what_is(tmp_path, make_engine):
    make_engine(tmp_path)
    with pytest.raises(EngineError, match=r"installed: hand-score\)"):
        activate(tmp_path, "hand-score.b", device_key())


def test_a_damaged_choice_is_named(tmp_path, make_engine):
    make_engine(tmp_path)
    (tmp_path / "active.json").write_text("{")
    with pytest.raises(EngineError, match=r"active\.json"):
        load_engines(tmp_path)
