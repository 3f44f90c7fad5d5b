"""The split by patient."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.datasets.split import Part, split_patients
from training.errors import TrainingError


@given(st.sets(st.text(max_size=8), min_size=3, max_size=60))
@settings(max_examples=50, deadline=None)
def test_every_patient_is_in_one_part_and_always_in_the_same(patients):
    parts = split_patients(sorted(patients))
    assert set(parts) == patients
    assert set(parts.values()) == set(Part)
    assert parts == split_patients(sorted(patients, reverse=True))
    tests = sum(part is Part.TEST for part in parts.values())
    assert tests == -(-len(patients) // 10)


def test_two_patients_are_too_few():
    with pytest.raises(TrainingError, match="2 patients"):
        split_patients(["a", "b"])
