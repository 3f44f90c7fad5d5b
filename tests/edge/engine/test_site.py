"""A site's thresholds in the passports of a limb's scorers."""

import pytest

from edge.anatomy import Limb
from edge.engine.key import device_key
from edge.engine.loader import load_engines
from edge.engine.passport import SiteThreshold, open_engine, read_passport
from edge.engine.site import store_site_calibration
from edge.errors import EngineError

FITTED = SiteThreshold(
    threshold=0.36, low=0.3, high=0.44, joints=320, films=32,
    mean_error_before=0.41, mean_error=0.33,
)  # fmt: skip


@pytest.fixture
def built(tmp_path, make_engine):
    folder = tmp_path / "built"
    make_engine(folder)
    make_engine(folder, stem="hand-score.other")
    make_engine(folder, name="foot-score", limb="foot")
    return folder


def test_every_scorer_of_the_limb_gets_the_thresholds_and_no_other_engine(built):
    before = (built / "foot-score.json").read_bytes()
    names = store_site_calibration(built, Limb.HAND, {"erosion": FITTED})
    assert names == ["hand-score", "hand-score.other"]
    for name in names:
        passport = open_engine(built / f"{name}.json", device_key()).passport
        assert passport.site_calibration == {"erosion": FITTED}
    assert (built / "foot-score.json").read_bytes() == before


def test_taken_away_the_passports_are_what_they_were(built):
    before = read_passport(built / "hand-score.json")
    store_site_calibration(built, Limb.HAND, {"narrowing": FITTED})
    assert read_passport(built / "hand-score.json") != before
    store_site_calibration(built, Limb.HAND, None)
    assert read_passport(built / "hand-score.json") == before


def test_the_hash_of_the_set_changes_with_a_threshold_and_comes_back(built):
    before = load_engines(built).engine_set_hash
    store_site_calibration(built, Limb.HAND, {"erosion": FITTED})
    assert load_engines(built).engine_set_hash != before
    store_site_calibration(built, Limb.HAND, None)
    assert load_engines(built).engine_set_hash == before


def test_a_changed_threshold_is_refused_as_any_changed_passport(built):
    store_site_calibration(built, Limb.HAND, {"erosion": FITTED})
    path = built / "hand-score.json"
    path.write_text(path.read_text().replace("0.36", "0.06"))
    with pytest.raises(EngineError, match="not this device's"):
        open_engine(path, device_key())


def test_a_folder_without_a_scorer_of_the_limb_is_an_error(tmp_path):
    with pytest.raises(EngineError, match=r"no scorer of a hand.*sharpedge export"):
        store_site_calibration(tmp_path, Limb.HAND, None)
