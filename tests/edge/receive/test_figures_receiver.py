"""The receiver's figures: written where they change, read by whoever watches."""

from __future__ import annotations

from edge.receive.figures import FILE, FigureFile, read_figures


def test_what_was_counted_can_be_read(tmp_path):
    FigureFile(tmp_path, 5.0).write({0: 3, 0xA700: 1}, 2)
    found = read_figures(tmp_path)
    assert found.answers == {"0000": 3, "A700": 1}
    assert (found.rejected, found.started_unix_s) == (2, 5.0)


def test_the_file_is_written_only_where_something_changed(tmp_path):
    it = FigureFile(tmp_path, 5.0)
    it.write({}, 0)
    (tmp_path / FILE).unlink()
    it.write({}, 0)
    assert read_figures(tmp_path) is None
    it.write({}, 1)
    assert read_figures(tmp_path).rejected == 1


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path):
    it = FigureFile(tmp_path / "gone", 5.0)
    it.write({0: 1}, 0)
    (tmp_path / "gone").mkdir()
    it.write({0: 1}, 0)
    assert read_figures(tmp_path / "gone").answers == {"0000": 1}


def test_a_file_of_something_else_has_no_figures(tmp_path):
    (tmp_path / FILE).write_bytes(b"{" * 100_000)
    assert read_figures(tmp_path) is None
