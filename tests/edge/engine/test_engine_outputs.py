"""No output that is not finite, out of range or constant gives a grade, whatever engine it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.engine.loader import EngineSet, load_engines
from edge.engine.outputs import check_suspect, run_engine, suspects
from edge.engine.passport import Role
from edge.errors import EngineError, OutputError
from edge.fallback import FallbackScorer
from edge.model import Limb, Status
from edge.paths import built_engines
from edge.pipeline.scorer import FilmScorer, reference_film
from edge.pipeline.settings import PipelineSettings
from edge.recheck import Rechecker
from edge.score_files import as_json, score_files
from edge.selftest import FILM_NAME, golden_film

SHAPES = {Role.MASK: (1, 1, 8, 6), Role.DETECT: (1, 12, 7), Role.SCORE: (10, 6)}


def set_all(value):
    def change(values):
        values[...] = value

    return change


def set_one(value):
    def change(values):
        values.reshape(-1)[-1] = value

    return change


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


# -- the whole pipeline over real engines, each role spoilt in turn --------------------------------


class Spoilt:
    """A real engine whose outputs are changed before anybody sees them."""

    sha256 = "b" * 64

    def __init__(self, engine, change):
        self._engine, self._change = engine, change

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def run(self, inputs):
        outputs = {name: np.array(it) for name, it in self._engine.run(inputs).items()}
        for values in outputs.values():
            self._change(values)
        return outputs


@pytest.fixture(scope="module")
def engines():
    try:
        found = load_engines(built_engines(), threads=1)
    except EngineError as error:
        pytest.skip(f"no engines: {error}")
    if any(found.get(role, Limb.HAND) is None for role in Role):
        pytest.skip("not every engine is exported: sharpedge export")
    return found


def spoilt(engines, role, change):
    key = (role, Limb.HAND)
    changed = {**engines.engines, key: Spoilt(engines.engines[key], change)}
    return FilmScorer(EngineSet(changed), PipelineSettings())


EVERY = UNUSABLE | CONSTANT


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("change", ["all NaN", "one NaN", "all inf", "all 2", "all 0", "all 1"])
def test_no_spoilt_engine_ever_gives_a_grade(engines, role, change):
    with pytest.raises(OutputError):
        spoilt(engines, role, EVERY[change]).score(golden_film(), FILM_NAME)


def test_score_goes_on_with_the_next_engine_and_says_so(engines, tmp_path):
    film = tmp_path / FILM_NAME
    film.write_bytes(golden_film())
    lines = []

    def make(refused):
        if "b" * 64 in refused:
            return FilmScorer(engines, PipelineSettings())
        return spoilt(engines, Role.SCORE, UNUSABLE["all NaN"])

    (scored,) = score_files(FallbackScorer(make, lines.append), [film], None)
    (result,) = scored.results
    assert result.status is Status.SCORED
    assert "not finite" in lines[0]
    assert "NaN" not in as_json(result)


def test_score_ends_where_no_engine_is_left(engines):
    def make(refused):
        if refused:
            raise EngineError("nothing is left", engine="hand-score", mend="sharpedge export")
        return spoilt(engines, Role.SCORE, UNUSABLE["one NaN"])

    with pytest.raises(OutputError, match="not finite"):
        FallbackScorer(make, list().append).score(golden_film(), FILM_NAME)


@pytest.mark.parametrize("change", ["all NaN", "all 0"])
def test_a_shadow_with_unusable_outputs_is_given_up_and_never_agrees(engines, change):
    results = [it.result for it in FilmScorer(engines, PipelineSettings()).score(
        golden_film(), FILM_NAME).limbs]  # fmt: skip
    rechecker = Rechecker(spoilt(engines, Role.SCORE, EVERY[change]), 1)
    rechecker.offer(golden_film(), FILM_NAME, None, results)
    assert rechecker.look() is None
    assert "hand-score" in rechecker.fault


def test_json_never_holds_a_number_that_is_none(engines):
    film = FilmScorer(engines, PipelineSettings()).score(golden_film(), FILM_NAME)
    text = as_json(film.limbs[0].result)
    json.loads(text, parse_constant=pytest.fail)
