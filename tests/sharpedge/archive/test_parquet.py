import duckdb
import pandas as pd
import polars as pl
import pytest
from limb_results import a_result

from edge.errors import EdgeError
from edge.model import Status
from sharpedge.archive.films import Scored
from sharpedge.archive.manifest import Row
from sharpedge.archive.parquet import write_parquet

GRADED = a_result(grades={"MCP3": {"narrowing": None, "narrowing_reason": "occluded"}})
ROWS = (
    Row(b"/films/a.jpg", 10, 1_700_000_000_000_000_000, Scored(sha256="a" * 64, study="s1",
        limbs=(GRADED,), machine_ms=12.5)),
    Row(b"/films/\xff.dcm", -1, -1, Scored(fault="cannot be read (Permission denied)")),
    Row(b"/films/b.jpg", 11, 0, Scored(sha256="b" * 64, limbs=(
        a_result(), a_result(status=Status.HELD, reason="side_not_known", subtotals=None)))),
)  # fmt: skip


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "r.parquet"
    assert write_parquet(path, ROWS) == 3
    return path


def test_pandas_polars_and_duckdb_read_one_row_a_film(written):
    rows = duckdb.read_parquet(str(written))
    frames = (
        pd.read_parquet(written).to_dict("list"),
        pl.read_parquet(written).to_dict(as_series=False),
        dict(zip(rows.columns, zip(*rows.fetchall(), strict=True), strict=True)),
    )
    for frame in frames:
        assert list(frame["path"]) == ["/films/a.jpg", "/films/\\xff.dcm", "/films/b.jpg"]
        assert list(frame["status"]) == ["scored", "unreadable", "held"]
        assert list(frame["reason"])[1:] == ["cannot be read (Permission denied)", "side_not_known"]
        assert [len(it) for it in frame["limbs"]] == [1, 0, 2]


def test_nested_joints_hold_the_grades_of_the_result_and_what_is_not_graded_is_null(written):
    joints = (
        pl.read_parquet(written)
        .filter(pl.col("path") == "/films/a.jpg")
        .select("limbs").explode("limbs").unnest("limbs").select("joints")
        .explode("joints").unnest("joints")
    )  # fmt: skip
    kept = ("name", "erosion", "narrowing", "erosion_reason", "narrowing_reason")
    wanted = [tuple(getattr(it, key) for key in kept) for it in GRADED.joints]
    assert joints.select(kept).rows() == wanted


def test_the_notice_is_in_the_file(written):
    import pyarrow.parquet as pq

    assert pq.read_schema(written).metadata[b"notice"] == b"research use only, not a medical device"


def test_a_file_that_cannot_be_written_leaves_the_one_before(written):
    before = written.read_bytes()

    def failing():
        yield ROWS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(EdgeError, match="No space left"):
        write_parquet(written, failing())
    assert written.read_bytes() == before
    assert [it.name for it in written.parent.iterdir()] == ["r.parquet"]
