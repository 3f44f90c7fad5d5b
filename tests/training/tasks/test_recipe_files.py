"""Written recipes are read by export."""

import pytest

torch = pytest.importorskip("torch")
from edge.anatomy import Limb  # noqa: E402
from export.recipe import read_recipe  # noqa: E402
from training.tasks.recipe_files import write_recipe  # noqa: E402

pytestmark = pytest.mark.training


@pytest.mark.parametrize("role", ["mask", "detect", "score"])
@pytest.mark.parametrize("limb", list(Limb))
def test_written_recipes_are_recipes(tmp_path, role, limb):
    sources = {
        "mask": ['kind = "compact"', 'architecture = "unet"', 'files = ["weights/a.npz"]'],
        "detect": ['kind = "darknet"', 'cfg = "cfg/a.cfg"', 'weights = "weights/a.weights"'],
        "score": ['kind = "compact"', 'architecture = "vgg16"', 'files = ["weights/a.npz"]'],
    }
    channels = 1 if role == "mask" else 3
    path = write_recipe(tmp_path, limb, role, sources[role], (96, 96), channels,
                        mean=(1.5,) * channels)  # fmt: skip
    recipe = read_recipe(path)
    assert (recipe.name, recipe.role, recipe.limb) == (f"{limb}-{role}", role, limb)
    assert recipe.input.mean == (1.5,) * channels
