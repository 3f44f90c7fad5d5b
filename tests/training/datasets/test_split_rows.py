"""The paper's split by joint."""

import pytest

from training.datasets.split import split_rows


def test_the_test_fold_is_scikit_learns_with_random_state_42():
    # train_test_split(range(10), test_size=0.2, random_state=42)
    learnt, validation, test = split_rows(10, 0.2, 0.0)
    assert test.tolist() == [8, 1]
    assert learnt.tolist() == [5, 0, 7, 2, 9, 4, 3, 6]
    assert validation.tolist() == []


@pytest.mark.parametrize("rows", [1, 10, 99, 1000])
def test_the_folds_share_no_row_and_lose_none(rows):
    learnt, validation, test = split_rows(rows, 0.1, 0.1)
    assert sorted([*learnt, *validation, *test]) == list(range(rows))
    assert len(test) == -(-rows // 10)
    assert split_rows(rows, 0.0, 0.0)[0].shape == (rows,)
