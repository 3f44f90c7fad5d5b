from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.delivery.pacs.answers import Verdict, answer_of


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0x0000, Verdict.STORED), (0xB000, Verdict.WARNED), (0xB006, Verdict.WARNED),
        (0x0111, Verdict.WARNED), (0xA700, Verdict.BUSY), (0xA7FF, Verdict.BUSY),
        (0x0213, Verdict.BUSY), (0x0124, Verdict.BUSY), (0xA900, Verdict.REFUSED),
        (0xC000, Verdict.REFUSED), (0xCFFF, Verdict.REFUSED), (0x0122, Verdict.REFUSED),
        (0xFE00, Verdict.REFUSED),
    ],
)  # fmt: skip
def test_each_class_of_status_has_its_verdict(status, verdict):
    assert answer_of(status).verdict is verdict


@given(st.integers(0, 0xFFFF))
def test_only_success_is_stored_without_a_word(status):
    answer = answer_of(status)
    assert (answer.verdict is Verdict.STORED) == (status == 0) == (answer.why == "")
