"""A runs folder belongs to one set of values."""

import pytest

torch = pytest.importorskip("torch")
from training.errors import TrainingError  # noqa: E402
from training.run.run_folder import require_same_values  # noqa: E402

pytestmark = pytest.mark.training


def test_a_runs_folder_belongs_to_one_recipe(tmp_path):
    require_same_values(tmp_path, {"epochs": 3, "gate": False})
    require_same_values(tmp_path, {"epochs": 3, "gate": False})
    with pytest.raises(TrainingError, match="values of gate"):
        require_same_values(tmp_path, {"epochs": 3, "gate": True})
