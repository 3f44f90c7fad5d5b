import os

import pytest

from edge.errors import ConfigError
from sharpedge.archive.films import films_of


def names(found):
    return [os.fsdecode(it.path) for it in found]


def test_a_folder_gives_its_films_in_order_without_the_archives_own_files(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.jpg", "a.dcm", "sub/c.png", "r.parquet", "r.parquet.manifest", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    found = names(films_of(tmp_path, tmp_path / "r.parquet"))
    assert found == [str(tmp_path / it) for it in ("a.dcm", "b.jpg", "sub/c.png")]


def test_a_list_names_films_relative_to_itself_and_what_is_missing_is_listed_all_the_same(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"12345")
    (tmp_path / "list.txt").write_bytes(b"a.jpg\r\n\n/no/such.jpg\n\xff.jpg\n")
    found = list(films_of(tmp_path / "list.txt", tmp_path / "r.parquet"))
    assert [it.size for it in found] == [5, -1, -1]
    assert found[1].path == b"/no/such.jpg"
    assert found[2].path.endswith(b"/\xff.jpg")


def test_what_is_neither_folder_nor_list_is_refused_with_a_fix(tmp_path):
    with pytest.raises(ConfigError, match="fix: name a folder, or a text file"):
        list(films_of(tmp_path / "none", tmp_path / "r.parquet"))
