"""A file that fits one trunk alone is refused beside another."""

import hashlib
import shutil

import pytest

from edge.system.paths import engines_home
from export.errors import WeightsError
from export.importers.compact import load_compact
from export.importers.compact_source import build
from export.recipe import read_recipe


@pytest.mark.parametrize("limb", ["hand", "foot"])
def test_the_shipped_exclusions_fit_the_shipped_trunks(limb):
    weights = engines_home() / "weights"
    _, meta = load_compact(weights / f"{limb}-exclusion.npz")
    trunk = (weights / f"{limb}-trunk.npz").read_bytes()
    assert meta["fits_trunk"] == hashlib.sha256(trunk).hexdigest()


def test_exclusions_of_another_trunk_are_refused_with_what_to_do(tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    for part in ("exclusion", "heads"):
        shutil.copy(engines_home() / "weights" / f"foot-{part}.npz", weights)
    # The hand's trunk under the foot's name: what a training would put there.
    shutil.copy(engines_home() / "weights" / "hand-trunk.npz", weights / "foot-trunk.npz")
    recipe = read_recipe(engines_home() / "foot-score.toml")
    with pytest.raises(WeightsError, match=r"another trunk.*sharpedge train exclusions"):
        build(recipe, tmp_path)
