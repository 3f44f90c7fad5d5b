"""No output that is not finite, out of range or constant gives a grade, whatever engine it is."""

from __future__ import annotations

import numpy as np
import pytest
from spoilt import set_all, set_one

from edge.engine.outputs import check_suspect, run_engine, suspects
from edge.engine.passport import Role
from edge.errors import OutputError
from edge.scoring.reference_film import reference_film

SHAPES = {Role.MASK: (1, 1, 8, 6), Role.DETECT: (1, 12, 7), Role.SCORE: (10, 6)}


UNUSABLE = {
    "all NaN": set_all(np.nan),
    "all inf": set_all(np.inf),
    "all -inf": set_all(-np.inf),
    "all 2": set_all(2.0),
    "all -1": set_all(-1.0),
    "one NaN": set_one(np.nan),
    "one inf": set_one(np.inf),
    "one -inf": set_one(-np.inf),
    "one 2": set_one(2.0),
    "one -1": set_one(-1.0),
}
CONSTANT = {"all 0": set_all(0.0), "all 1": set_all(1.0), "all .7": set_all(0.7)}


class Fake:
    """An engine of one role whose good outputs vary; ``change`` spoils them."""

    name, sha256 = "hand-fake", "a" * 64

    def __init__(self, role, change=None):
        self._role, self._change = role, change
        self.passport = {
            "role": str(role),
            "input": {"name": "image", "height": 6, "width": 6, "scale": 1, "mean": [0.0],
                      "std": [1.0]},
        }  # fmt: skip

    def run(self, inputs):
        (image,) = inputs.values()
        shape = (len(image), *SHAPES[self._role][1:])
        seed = int(image.sum()) % 1000
        values = np.random.default_rng(seed).uniform(0.01, 0.99, shape).astype(np.float32)
        if self._change is not None:
            self._change(values)
        names = ("erosion", "narrowing") if self._role is Role.SCORE else ("out",)
        return {name: values.copy() for name in names}


def inputs_for(role):
    batch = SHAPES[role][0]
    return {"image": np.arange(batch * 36, dtype=np.float32).reshape(batch, 1, 6, 6)}


@pytest.mark.parametrize("role", list(Role))
def test_finite_outputs_in_their_range_pass_unchanged(role):
    engine = Fake(role)
    wanted = engine.run(inputs_for(role))
    found = run_engine(engine, role, inputs_for(role))
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("change", UNUSABLE, ids=str)
def test_a_number_that_is_not_finite_or_out_of_range_is_an_error(role, change):
    with pytest.raises(OutputError, match=r"hand-fake: output") as caught:
        run_engine(Fake(role, UNUSABLE[change]), role, inputs_for(role))
    assert caught.value.sha256 == "a" * 64


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("change", CONSTANT, ids=str)
def test_a_constant_output_is_suspected_and_an_error_on_the_reference_film(role, change):
    engine = Fake(role, CONSTANT[change])
    with suspects() as found:
        run_engine(engine, role, inputs_for(role))
    assert list(found.values()) == [(engine, role)]
    with pytest.raises(OutputError, match="does not depend on its input"):
        check_suspect(engine, role, reference_film())


@pytest.mark.parametrize("role", list(Role))
def test_an_engine_that_varies_on_the_reference_film_is_cleared(role):
    check_suspect(Fake(role), role, reference_film())


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "outputs",
    [{}, {"other": np.zeros((0,), np.float32)}, {"erosion": np.zeros((3, 3), np.float32)}],
    ids=["none", "empty", "another shape"],
)
def test_a_missing_output_or_another_shape_is_an_error(role, outputs):
    engine = Fake(role)
    engine.run = lambda _inputs: outputs
    with pytest.raises(OutputError):
        run_engine(engine, role, inputs_for(role))


def test_the_same_grades_for_every_crop_are_suspected():
    def repeat(values):
        values[...] = [0.9, 0.9, 0.1, 0.1, 0.0, 0.0]

    with suspects() as found:
        run_engine(Fake(Role.SCORE, repeat), Role.SCORE, inputs_for(Role.SCORE))
    assert found


def test_a_box_with_a_negative_side_is_an_error():
    def turn(values):
        values[..., 2] = -5.0

    with pytest.raises(OutputError, match="negative side"):
        run_engine(Fake(Role.DETECT, turn), Role.DETECT, inputs_for(Role.DETECT))
