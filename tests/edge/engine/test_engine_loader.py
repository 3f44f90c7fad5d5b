"""Installed engines are found by role and limb."""

import json

import pytest

from edge.engine.loader import load_engines
from edge.engine.passport import Role
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


def test_an_empty_or_missing_folder_says_how_to_fill_it(tmp_path):
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
