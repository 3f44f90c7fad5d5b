"""Figures and intervals against published examples, scikit-learn, and rows that are repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score
from sklearn.model_selection import train_test_split

from training.evaluation import statistics as figures
from training.evaluation.agreement import _correlation, _ranks, agreement, intraclass

GRADES = 4


@st.composite
def graded(draw):
    """Clusters, true and given grades (-9: none), scores and probabilities of some joints."""
    n = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    clusters = rng.integers(0, draw(st.integers(1, 5)), n)
    true, given_ = rng.integers(0, GRADES, n), rng.integers(0, GRADES, n)
    given_[rng.random(n) < 0.2] = -9
    return clusters, true, given_, rng.integers(0, 9, n) / 4, rng.random(n)


def one_draw(n):
    return np.ones((1, 1)), np.zeros(n, np.int64)


def matrix_of(true, given_, grades=GRADES):
    return figures.confusions(*one_draw(len(true)), np.array(true), np.array(given_), grades)


def test_icc_of_shrout_and_fleiss_1979():
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert intraclass(np.array(ratings, float))[0] == pytest.approx(0.29, abs=0.005)


def test_quadratic_kappa_of_the_anxiety_ratings_of_the_r_package_irr():
    first = [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3]
    second = [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4]
    matrix = matrix_of(np.array(first) - 1, np.array(second) - 1, 6)
    assert figures.weighted_kappa(matrix)[0] == pytest.approx(0.297, abs=0.0005)


def test_icc_asks_for_the_same_numbers_and_not_for_the_same_order():
    truth = np.arange(10.0)
    assert intraclass(np.column_stack([truth, truth]))[0] == pytest.approx(1)
    assert intraclass(np.column_stack([truth, truth + 3]))[0] < 0.75
    assert np.isnan(intraclass(np.ones((5, 2)))[0])


def test_bland_altman_by_hand():
    truth, ours = np.array([10.0, 20, 30, 40]), np.array([12.0, 21, 33, 42])
    found = agreement(*one_draw(4), truth, ours)
    sd = np.std([2, 1, 3, 2], ddof=1)
    assert found.bias.value == pytest.approx(2)
    assert found.lower.value == pytest.approx(2 - 1.96 * sd)
    assert found.upper.value == pytest.approx(2 + 1.96 * sd)
    assert found.detectable.value == pytest.approx((found.upper.value - found.lower.value) / 2)
    assert found.mean_error.value == pytest.approx(2)
    assert found.rmse.value == pytest.approx(np.sqrt(np.mean(np.square([2, 1, 3, 2]))))
    assert found.pearson.value == pytest.approx(pearsonr(truth, ours).statistic)
    assert found.spearman.value == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30),
       st.integers(0, 2**32 - 1))  # fmt: skip
def test_correlations_of_totals_are_scipys_and_a_draw_is_repeated_rows(pairs, seed):
    truth, ours = np.array(pairs, np.float64).T
    weights = np.random.default_rng(seed).integers(0, 3, (2, len(pairs))).astype(float)
    weights[0] = 1
    for times, found in zip(weights, _totals(weights, truth, ours), strict=True):
        again = np.repeat(np.arange(len(pairs)), times.astype(int))
        for value, wanted in zip(found, (pearsonr, spearmanr), strict=True):
            one, other = truth[again], ours[again]
            if len(set(one)) < 2 or len(set(other)) < 2:
                assert np.isnan(value)
            else:
                assert value == pytest.approx(wanted(one, other).statistic, abs=1e-9)


def _totals(weights, truth, ours):
    plain = _correlation(weights, truth, ours)
    ranked = _correlation(weights, *(_ranks(weights, it) for it in (truth, ours)))
    return zip(plain, ranked, strict=True)


@given(graded())
def test_accuracy_and_kappa_are_scikit_learns(rows):
    _, true, given_, _, _ = rows
    scored = given_ >= 0
    if not scored.any():
        return
    matrix = matrix_of(true, given_)
    wanted = np.mean([np.mean(given_[scored & (true == g)] == g) for g in set(true[scored])])
    assert figures.balanced_accuracy(matrix)[0] == pytest.approx(wanted)
    if len(set(true[scored])) > 1 and set(given_[scored]) <= set(true[scored]):
        assert wanted == pytest.approx(balanced_accuracy_score(true[scored], given_[scored]))
    if len({*true[scored], *given_[scored]}) > 1:
        kappa = cohen_kappa_score(
            true[scored], given_[scored], labels=range(GRADES), weights="quadratic"
        )
        assert figures.weighted_kappa(matrix)[0] == pytest.approx(kappa)
    rho = figures.rank_correlation(matrix)[0]
    if len(set(true[scored])) > 1 and len(set(given_[scored])) > 1:
        assert rho == pytest.approx(spearmanr(true[scored], given_[scored]).statistic)
    else:
        assert np.isnan(rho)
    damaged = scored & (true > 0)
    wanted = (given_[damaged] > 0).mean() if damaged.any() else np.nan
    assert figures.sensitivity(matrix)[0] == pytest.approx(wanted, nan_ok=True)
    assert figures.mean_error(matrix)[0] == pytest.approx(np.abs(true - given_)[scored].mean())
    assert figures.coverage(matrix)[0] == pytest.approx(scored.mean())
    for within in (0, 1):
        near = np.abs(true - given_) <= within
        assert figures.accuracy(matrix, within)[0] == pytest.approx(near[scored].mean())
        sound = scored & (true == 0)
        wanted = near[sound].mean() if sound.any() else np.nan
        assert figures.accuracy(matrix, within, true=0)[0] == pytest.approx(wanted, nan_ok=True)


@given(graded())
def test_the_area_under_the_curve_is_scikit_learns(rows):
    clusters, true, _, score, _ = rows
    weights = np.ones((1, clusters.max() + 1))
    area = figures.area_under_roc(weights, clusters, true > 0, score)[0]
    if (true > 0).all() or (true == 0).all():
        assert np.isnan(area)
    else:
        assert area == pytest.approx(roc_auc_score(true > 0, score))


@given(graded(), st.integers(0, 2**32 - 1))
def test_a_patient_drawn_twice_counts_as_two_patients(rows, seed):
    """Weights give what repeated rows give, for every figure: a bootstrap draw is no other data."""
    clusters, true, given_, score, said = rows
    size = clusters.max() + 1
    weights = np.random.default_rng(seed).integers(0, 3, (2, size)).astype(float)
    times = weights[1, clusters].astype(int)
    if times.sum() == 0:
        return
    again = np.repeat(np.arange(len(true)), times)
    plain = one_draw(len(again))
    matrices = figures.confusions(weights, clusters, true, given_, GRADES)
    repeated = figures.confusions(*plain, true[again], given_[again], GRADES)
    for figure in (
        figures.balanced_accuracy,
        figures.weighted_kappa,
        figures.mean_error,
        figures.rank_correlation,
        figures.sensitivity,
        figures.specificity,
        figures.coverage,
        lambda m: figures.balanced_accuracy(m, 1, missing_wrong=True),
    ):
        np.testing.assert_allclose(figure(matrices)[1], figure(repeated)[0])
    np.testing.assert_allclose(
        figures.area_under_roc(weights, clusters, true > 1, score)[1],
        figures.area_under_roc(*plain, true[again] > 1, score[again])[0],
    )
    # Boxes of one confidence come in the order in which they are given.
    unlike = said + np.arange(len(said)) / 1e6
    np.testing.assert_allclose(
        figures.average_precision(weights, boxes(unlike, true > 1, clusters, size))[1],
        figures.average_precision(
            plain[0], boxes(unlike[again], true[again] > 1, plain[1], 1)
        )[0],
    )  # fmt: skip
    truth = true.astype(float)
    if len(again) > 1:
        np.testing.assert_allclose(
            intraclass(np.column_stack([truth, score]), weights[:, clusters])[1],
            intraclass(np.column_stack([truth, score])[again])[0],
            atol=1e-9,
        )


def boxes(confidence, hit, clusters, size):
    truths = np.bincount(clusters, minlength=size).astype(float)
    return figures.Detections(confidence, hit, clusters, truths)


@given(graded())
def test_shares_stay_between_none_and_all(rows):
    clusters, true, given_, score, said = rows
    weights = figures.draw_weights(clusters.max() + 1, draws=20)
    matrices = figures.confusions(weights, clusters, true, given_, GRADES)
    exact, near = (figures.balanced_accuracy(matrices, within) for within in (0, 1))
    strict = figures.balanced_accuracy(matrices, missing_wrong=True)
    for values in (exact, near, strict, figures.coverage(matrices)):
        defined = values[np.isfinite(values)]
        assert ((defined >= 0) & (defined <= 1 + 1e-12)).all()
    assert (near[np.isfinite(near)] >= exact[np.isfinite(near)] - 1e-12).all()
    area = figures.area_under_roc(weights, clusters, true > 0, score)
    flipped = figures.area_under_roc(weights, clusters, true > 0, -score)
    np.testing.assert_allclose(area + flipped, np.where(np.isfinite(area), 1.0, np.nan))
    found = figures.calibration(weights, clusters, said, true > 0)
    assert sum(found.count) == len(true)
    assert 0 <= found.error.value <= 1


@given(graded())
def test_the_best_constant_is_no_worse_than_always_nought(rows):
    _, true, given_, _, _ = rows
    matrix = matrix_of(true, given_)
    answer = figures.best_constant(matrix)
    best, zero = (
        figures.balanced_accuracy(figures.constant(matrix, grade), 1)[0] for grade in (answer, 0)
    )
    assert best >= zero


def test_a_perfect_detector_and_one_that_dreams():
    clusters, hit = np.zeros(4, np.int64), np.array([True, True, False, True])
    all_right = boxes(np.array([0.9, 0.8, 0.7, 0.6]), np.ones(4, bool), clusters, 1)
    assert figures.average_precision(np.ones((1, 1)), all_right)[0] == 1
    # Precision at the hits is 1, 1 and 3/4 of four truths; the last is never found.
    dreamt = boxes(np.array([0.9, 0.8, 0.7, 0.6]), hit, clusters, 1)
    assert figures.average_precision(np.ones((1, 1)), dreamt)[0] == pytest.approx(2.75 / 4)


def test_the_papers_split_is_scikit_learns():
    for rows in (7, 100, 1234):
        wanted = train_test_split(np.arange(rows), test_size=0.1, random_state=42)[1]
        np.testing.assert_array_equal(figures.paper_split(rows), wanted)


def test_draws_keep_the_number_of_patients_and_are_the_same_tomorrow():
    weights = figures.draw_weights(7)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(weights, figures.draw_weights(7))


def test_joints_of_one_patient_do_not_count_as_many_patients():
    """Ten joints that are right or wrong together tell as much as one."""
    rng = np.random.default_rng(4)
    patients = rng.random(30) < 0.7
    clusters = np.repeat(np.arange(30), 10)
    right = patients[clusters]
    by_patient = figures.estimate(figures.share(figures.draw_weights(30), clusters, right))
    alone = figures.estimate(figures.share(figures.draw_weights(300), np.arange(300), right))
    assert by_patient.value == pytest.approx(alone.value)
    assert by_patient.high - by_patient.low > 2 * (alone.high - alone.low)


def test_one_patient_gives_no_interval():
    found = figures.estimate(figures.share(figures.draw_weights(1), np.zeros(3, int), [1, 0, 1]))
    assert found.value == pytest.approx(2 / 3)
    assert found.low is None
    assert found.high is None


def test_calibration_of_honest_and_of_boastful_probabilities():
    rng = np.random.default_rng(2)
    said = rng.random(4000)
    weights, clusters = one_draw(4000)
    honest = figures.calibration(weights, clusters, said, rng.random(4000) < said)
    assert honest.error.value < 0.03
    boastful = figures.calibration(weights, clusters, np.full(4000, 1.0), rng.random(4000) < 0.5)
    assert boastful.error.value == pytest.approx(0.5, abs=0.03)
    assert boastful.count == (4000,)
