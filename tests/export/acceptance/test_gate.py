"""The gate accepts what decides as FP32 does, and refuses what does not."""

import os

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import numpy_helper

from edge.anatomy import Limb
from edge.engine.backend_table import Precision
from edge.engine.backends.onnxruntime import OnnxRuntimeEngine
from edge.engine.key import device_key
from edge.engine.loader import open_backend
from edge.engine.passport import Role, VerifiedEngine, open_engine
from edge.pipeline.ordinal import decode_ordinal
from edge.pipeline.settings import PipelineSettings
from edge.scoring.agreement import weighted_kappa
from export.acceptance.gate import NEAR, is_borderline, judge, scores_in, tally
from export.acceptance.golden import Call, phantom_set, recorded_calls, reference_engines

HAND = ("IP1", "PIP2", "MCP2")


class Stand:
    """An engine that gives preset outputs, for calls that were never made."""

    def __init__(self, role, outputs):
        self.name = "hand-any"
        self.outputs = outputs
        spec = {"name": "image", "height": 2, "width": 2, "scale": 1.0, "mean": [0.0], "std": [1.0]}
        self.passport = {"role": role, "limb": "hand", "input": spec}

    def run(self, inputs):
        assert inputs["image"].dtype == np.float32
        return self.outputs


def call(**facts):
    return Call("P0001-LH", "hand-any", Limb.HAND, np.zeros((1, 2, 2), np.uint8), facts)


def grades(*rows):
    """Sigmoid outputs of a hand's erosion for (grade, certainty) rows."""
    table = np.full((len(rows), 6), 0.0, np.float32)
    for row, (grade, margin) in zip(table, rows, strict=True):
        row[: grade + 1] = 0.5 + margin
        row[grade + 1 :] = 0.5 - margin
    return table


def scored(wanted, given, precision=Precision.FP16):
    narrow = grades(*[(1, 0.4)] * len(wanted))[:, :5]
    facts = {"erosion": grades(*wanted), "narrowing": narrow, "joints": np.array(HAND)}
    engine = Stand("score", {"erosion": grades(*given), "narrowing": narrow})
    return judge(tally(engine, [call(**facts)]), precision, Role.SCORE)


CLEAR = [(0, 0.4), (2, 0.4), (5, 0.4)]


def test_equal_grades_are_accepted_and_counted_as_the_method_counts():
    verdict = scored(CLEAR, CLEAR)
    assert verdict.accepted
    assert verdict.reason == "agrees"
    assert verdict.scores == 5
    assert verdict.figures["weighted_kappa"] == 1
    assert "5 scores supports little" in verdict.warning


def test_one_flip_is_refused_by_name():
    verdict = scored(CLEAR, [(0, 0.4), (3, 0.4), (5, 0.4)])
    assert not verdict.accepted
    assert "1 of 5 grades differ (P0001-LH PIP2 erosion)" in verdict.reason


def test_a_flip_where_fp32_itself_was_undecided_is_listed_not_counted():
    verdict = scored([(0, 0.4), (2, 0.01), (5, 0.4)], [(0, 0.4), (3, 0.005), (5, 0.4)])
    assert verdict.borderline == ("P0001-LH PIP2 erosion",)
    assert verdict.scores == 4
    assert "differ" not in verdict.reason


@pytest.mark.parametrize(
    ("precision", "accepted"), [(Precision.FP16, False), (Precision.BF16, True)]
)
def test_each_precision_has_its_own_limit_of_the_expected_value(precision, accepted):
    assert scored(CLEAR, [(0, 0.4), (2, 0.43), (5, 0.4)], precision).accepted is accepted


def test_int8_may_flip_a_few_by_one_grade():
    wanted = [(g % 6, 0.4) for g in range(3)]
    many = [call(
        erosion=grades(*wanted), narrowing=grades(*[(1, 0.4)] * 3)[:, :5], joints=np.array(HAND)
    )] * 100  # fmt: skip
    same = Stand("score", {"erosion": grades(*wanted), "narrowing": many[0].facts["narrowing"]})
    found = tally(same, many)
    found.flips, found.grade_jump = 2, 1
    assert judge(found, Precision.INT8, Role.SCORE).accepted
    assert not judge(found, Precision.FP16, Role.SCORE).accepted
    found.grade_jump = 2
    assert not judge(found, Precision.INT8, Role.SCORE).accepted
    found.flips, found.grade_jump = 3, 1
    assert not judge(found, Precision.INT8, Role.SCORE).accepted


def test_an_output_that_is_no_number_is_refused():
    facts = {
        "erosion": grades(*CLEAR), "narrowing": grades(*CLEAR)[:, :5], "joints": np.array(HAND)
    }  # fmt: skip
    nothing = {key: np.full_like(facts[key], np.nan) for key in ("erosion", "narrowing")}
    assert not judge(tally(Stand("score", nothing), [call(**facts)]), Precision.INT8,
                     Role.SCORE).accepted  # fmt: skip


def test_a_golden_set_that_gives_nothing_accepts_nothing():
    for role in Role:
        verdict = judge(tally(Stand(str(role), {}), []), Precision.FP16, role)
        assert "nothing to judge by" in verdict.reason


def masked(wanted, given):
    engine = Stand("mask", {"mask": given.astype(np.float32)[None, None]})
    facts = {"mask": wanted, "probability": wanted.astype(np.float16)}
    return judge(tally(engine, [call(**facts)]), Precision.FP16, Role.MASK)


def test_masks_are_judged_by_dice():
    wanted = np.zeros((40, 40), bool)
    wanted[10:30, 10:30] = True
    assert masked(wanted, wanted).accepted
    shifted = np.roll(wanted, 1, axis=0)
    assert not masked(wanted, shifted).accepted
    assert masked(wanted, shifted).figures["least_dice"] == pytest.approx(0.95)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("empty", [True, False])
def test_a_mask_with_values_that_are_not_numbers_is_refused(value, empty):
    wanted = np.zeros((8, 8), bool)
    wanted[2:6, 2:6] = not empty
    given = wanted.astype(np.float32)
    given[0, 0] = value
    assert not masked(wanted, given).accepted


def test_a_mask_that_keeps_its_outline_and_loses_its_certainty_is_refused():
    wanted = np.zeros((40, 40), bool)
    wanted[10:30, 10:30] = True
    verdict = masked(wanted, np.where(wanted, 0.9, 0.0))
    assert verdict.figures["least_dice"] == 1
    assert "probability differs by 0.1" in verdict.reason


ROWS = np.array(
    [
        [100, 100, 40, 40, 0.9, 0.99, 0.01],
        [200, 100, 40, 40, 0.9, 0.01, 0.99],
        [101, 100, 40, 40, 0.8, 0.99, 0.01],
        [300, 300, 40, 40, 0.51, 0.99, 0.01],
    ],
    np.float32,
)


def detected(given, precision=Precision.FP16):
    engine = Stand("detect", {"boxes": given[None]})
    facts = {"rows": ROWS, "index": np.arange(len(ROWS))}
    return judge(tally(engine, [call(**facts)]), precision, Role.DETECT)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("column", range(7))
def test_a_row_that_cannot_be_compared_is_refused(column, value):
    assert not detected(changed(0, column, value)).accepted


def changed(row, column, value):
    rows = ROWS.copy()
    rows[row, column] = value
    return rows


def test_boxes_are_judged_by_place_class_and_presence():
    assert detected(ROWS).accepted
    assert detected(ROWS).figures["boxes"] == 2
    assert detected(changed(0, 0, 100.05)).accepted
    assert "IoU" in detected(changed(0, 2, 45)).reason
    assert detected(changed(0, 2, 45), Precision.INT8).accepted
    gone = changed(1, 4, 0.1)
    assert "1 of 2 joints were lost" in detected(gone).reason
    renamed = changed(1, 5, 0.99)
    renamed[1, 6] = 0.01
    assert "renamed" in detected(renamed).reason


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize(("moved_px", "accepted"), [(0.05, True), (0.2, False)])
def test_boxes_that_move_are_refused_in_every_precision(precision, moved_px, accepted):
    moved = changed(0, 0, ROWS[0][0] + moved_px)
    verdict = detected(moved, precision)
    assert verdict.figures["centre_px_p99"] == pytest.approx(moved_px, abs=1e-3)
    assert verdict.accepted is accepted
    assert ("moved by" in verdict.reason) is not accepted


def test_a_joint_whose_confidence_was_undecided_may_come_or_go():
    assert detected(changed(3, 4, 0.45)).accepted
    added = np.vstack([ROWS, [[400, 50, 40, 40, 0.95, 0.99, 0.01]]]).astype(np.float32)
    assert "added" in detected(added).reason


def test_which_of_two_boxes_over_one_joint_wins_does_not_matter():
    assert detected(changed(2, 4, 0.95)).accepted


@given(
    arrays(np.float64, 6, elements=st.floats(0, 1)),
    arrays(np.float64, 6, elements=st.floats(-0.999, 0.999)),
)
def test_outputs_that_are_not_borderline_cannot_flip_by_less_than_the_margin(outputs, moves):
    grade = decode_ordinal(outputs).grade
    if not is_borderline(outputs, grade):
        assert decode_ordinal(outputs + moves * NEAR).grade == grade


def test_kappa_is_one_for_agreement_and_zero_for_chance():
    assert weighted_kappa([(0, 0), (3, 3)]) == 1
    assert weighted_kappa([(0, 0), (0, 2), (2, 0), (2, 2)]) == pytest.approx(0)
    assert weighted_kappa([]) == 1


@pytest.fixture(scope="module")
def small_run(shipped, golden_cache):
    """One simulated patient: enough to catch damage, far too few for a verdict."""
    golden = phantom_set(golden_cache, patients=1, seed=3)
    return list(recorded_calls(golden, reference_engines(shipped, threads=1), golden_cache))


def candidate(folder, name, damage=None):
    verified = open_engine(folder / f"{name}.json", device_key())
    model = onnx.load_from_string(verified.data)
    if damage is not None:
        tensor, factor = damage
        item = next(item for item in model.graph.initializer if item.name == tensor)
        weight = numpy_helper.to_array(item)
        scaled = weight * np.float32(factor if np.ndim(factor) == 0 else factor[: len(weight)])
        item.CopyFrom(numpy_helper.from_array(scaled, tensor))
    data = model.SerializeToString()
    return OnnxRuntimeEngine(VerifiedEngine(verified.passport, data, verified.path), threads=1)


@pytest.mark.parametrize(
    ("name", "tensor", "factor"),
    [
        ("hand-score", "trunk.conv5.weight", 1.15),
        ("foot-score", "foot_erosion.dense1.weight", 1.15),
        ("hand-detect", "l16.conv12.weight", 1.5),
        ("foot-mask", "enc1.conv13.weight", 2.5),
    ],
)
def test_one_scaled_weight_tensor_is_caught_and_the_whole_engine_is_not(
    shipped, small_run, name, tensor, factor
):
    role = Role(name.partition("-")[2])
    whole = judge(tally(candidate(shipped, name), small_run), Precision.FP16, role)
    assert whole.accepted, whole
    damaged = candidate(shipped, name, (tensor, factor))
    verdict = judge(tally(damaged, small_run), Precision.FP16, role)
    assert not verdict.accepted
    assert verdict.figures != whole.figures


CHANNELS = [
    ("hand-mask", "enc1.conv13.weight", 0),
    ("hand-mask", "dec1.conv57.weight", 0),
    ("hand-mask", "dec0.conv13.weight", 11),
    ("foot-mask", "mid.conv57.weight", 0),
    ("foot-mask", "dec1.conv57.weight", 12),
    ("foot-mask", "dec1.conv13.weight", 12),
]


@pytest.mark.parametrize(("name", "tensor", "channel"), CHANNELS)
def test_one_channel_set_to_zero_is_caught(shipped, small_run, name, tensor, channel):
    factor = np.ones((64, 1, 1, 1), np.float32)
    factor[channel] = 0
    verdict = judge(
        tally(candidate(shipped, name, (tensor, factor)), small_run), Precision.FP16, Role.MASK
    )
    assert not verdict.accepted, verdict


def test_runs_of_engines_long_gone_are_forgotten(shipped, tmp_path):
    for number in range(6):
        (tmp_path / f"run-{number}").mkdir()
        os.utime(tmp_path / f"run-{number}", (number, number))
    engines = reference_engines(shipped, threads=1)
    golden = phantom_set(tmp_path, limbs=(Limb.FOOT,), patients=1, seed=3)
    next(recorded_calls(golden, engines, tmp_path))
    kept = {path.name for path in tmp_path.glob("run-*")}
    assert len(kept) == 3
    assert {"run-5", "run-4"} < kept


def test_a_run_is_recorded_once_and_calls_give_back_what_they_were(
    shipped, small_run, golden_cache
):
    class Deaf:
        """Would fail if the pipeline were run again."""

        def __init__(self, engine):
            self.engine = engine

        def __getattr__(self, name):
            return getattr(self.engine, name)

        def run(self, _inputs):
            raise AssertionError("run again")

    engines = reference_engines(shipped, threads=1)
    deaf = type(engines)({key: Deaf(engine) for key, engine in engines.engines.items()})
    golden = phantom_set(golden_cache, patients=1, seed=3)
    again = list(recorded_calls(golden, deaf, golden_cache))
    assert [(one.film, one.engine) for one in again] == [(o.film, o.engine) for o in small_run]
    assert {one.engine for one in again} == {f"{limb}-{role}" for limb in ("hand", "foot")
                                             for role in Role}  # fmt: skip
    for one, other in zip(again, small_run, strict=True):
        np.testing.assert_array_equal(one.grey, other.grey)
    scores = [one for one in small_run if one.engine == "hand-score"]
    assert all(set(one.facts["joints"]) <= {"IP1", *[f"{k}{i}" for k in ("PIP", "MCP")
                                                    for i in range(1, 6)]}
               for one in scores)  # fmt: skip
    engine = open_backend(open_engine(shipped / "hand-score.json", device_key()), threads=1)
    verdict = judge(tally(engine, small_run), Precision.FP16, Role.SCORE)
    assert verdict.figures["expected_max"] == 0
    everything = sum(map(scores_in, small_run))
    assert 50 <= everything <= 62
    rich = judge(tally(engine, small_run), Precision.FP16, Role.SCORE, all_scores=2046)
    assert rich.warning is None


def test_a_limb_whose_every_grade_is_doubted_is_recorded_with_its_joints(shipped, tmp_path):
    doubting = PipelineSettings(grade_doubt=1e-12)
    golden = phantom_set(tmp_path, limbs=(Limb.FOOT,), patients=1, seed=3)
    engines = reference_engines(shipped, threads=1)
    calls = list(recorded_calls(golden, engines, tmp_path, doubting))
    scored = [call for call in calls if call.engine == "foot-score"]
    assert scored
    for call in scored:
        assert set(call.facts["joints"]) == set(Limb.FOOT.joints)
        assert len(call.grey) == len(call.facts["joints"])
