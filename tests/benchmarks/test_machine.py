from __future__ import annotations

import os

import numpy as np

from benchmarks.machine import machine


def test_the_machine_is_described_well_enough_to_compare_figures():
    about = machine()
    assert about["cores"] == len(os.sched_getaffinity(0))
    assert about["versions"]["numpy"] == np.__version__
    assert about["processor"] != ""
