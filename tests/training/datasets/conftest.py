"""Data sets of simulated patients, and a table of scores that a test may spoil."""

import pytest
from read_sets import blank

from phantom.command import write_patients
from phantom.ra2_columns import HEADER, SCORE_COLUMNS


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """The same patients in both layouts."""
    home = tmp_path_factory.mktemp("cohort")
    for layout in ("ra2", "jsonl"):
        write_patients(home / layout, 2, 11, grades="flat", layout=layout)
    return home


@pytest.fixture
def table(tmp_path):
    """A folder with four small films and a table that a test may spoil."""

    def make(patients=("UAB001",), **cells):
        for seed, patient in enumerate(patients):
            for limb in ("LH", "RH", "LF", "RF"):
                blank(tmp_path / f"{patient}-{limb}.jpg", seed=seed)
        rows = []
        for patient in patients:
            row = {"Patient_ID": patient} | {column.name: "0" for column in SCORE_COLUMNS}
            row |= {name: "" for name in HEADER if name not in row} | cells
            rows.append([row[name] for name in HEADER])
        write(rows)
        return tmp_path

    def write(rows, separator=",", end="\n", encoding="utf-8", header=HEADER):
        lines = [separator.join(row) for row in (header, *rows)]
        (tmp_path / "scores.csv").write_bytes((end.join(lines) + end).encode(encoding))

    make.write = write
    return make
