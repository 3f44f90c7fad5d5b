"""Ids of results and names of devices."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from edge.contract.ids import (
    RESULT_NAMESPACE,
    DeviceName,
    ResultKey,
    is_topic_word,
)

DEVICE = DeviceName("clinic", "xr1", "box1")


def test_the_result_id_is_the_one_that_the_contract_fixes():
    key = ResultKey(DEVICE, "a" * 64, 1, "e" * 64, "hand", "L")
    canonical = f"clinic/xr1/box1|{'a' * 64}|1|{'e' * 64}|hand|L"
    assert key.canonical() == canonical
    assert key.result_id() == str(uuid.uuid5(RESULT_NAMESPACE, canonical))
    assert str(RESULT_NAMESPACE) == "6f1c2d0e-5b0a-5c1e-9d0c-7e1f5a3b9c42"


def test_another_limb_engine_or_operator_gives_another_id():
    one = ResultKey(DEVICE, "a" * 64, 0, "e" * 64)
    others = [
        ResultKey(DEVICE, "a" * 64, 1, "e" * 64),
        ResultKey(DEVICE, "a" * 64, 0, "f" * 64),
        ResultKey(DEVICE, "a" * 64, 0, "e" * 64, "hand", "L"),
        ResultKey(DEVICE, "a" * 64, 0, "e" * 64, revision=1),
    ]
    assert len({key.result_id() for key in [one, *others]}) == 5


@given(st.text(max_size=80))
def test_no_word_of_a_topic_holds_wildcards_slashes_or_controls(word):
    if is_topic_word(word):
        assert 0 < len(word) <= 64
        assert not set(word) & set("+#/$\0 \n")
