"""The inbox as the receiver writes it."""

from __future__ import annotations

import os
import re

import pytest

from edge.errors import ConfigError
from edge.receive.inbox import FullError, Inbox, is_in_conflict


@pytest.fixture
def make_inbox(tmp_path):
    made = []

    def make(min_free_mib=0):
        made.append(Inbox(tmp_path / "inbox", min_free_mib))
        return made[-1]

    yield make
    for it in made:
        it.close()


def test_a_film_lies_whole_under_a_name_that_states_nothing(make_inbox, tmp_path):
    name = make_inbox().put((b"head", b"body"), in_conflict=False)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.dcm", name)
    assert (tmp_path / "inbox" / name).read_bytes() == b"headbody"
    assert not is_in_conflict(os.fsencode(name))


def test_a_conflict_shows_in_the_name(make_inbox):
    assert is_in_conflict(os.fsencode(make_inbox().put((b"x",), in_conflict=True)))


def test_file_and_folder_are_flushed_before_the_name_is_given(make_inbox, monkeypatch):
    it, synced = make_inbox(), []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_mode))
    it.put((b"x",), in_conflict=False)
    assert [mode >> 12 for mode in synced] == [0o10, 0o4]


def test_less_disk_than_wanted_takes_no_film_and_leaves_nothing(make_inbox, tmp_path):
    it = make_inbox(min_free_mib=1 << 40)
    with pytest.raises(FullError):
        it.put((b"x",), in_conflict=False)
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == [".lock"]


def test_a_failed_write_leaves_nothing(make_inbox, tmp_path):
    def pieces():
        yield b"x"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        make_inbox().put(pieces(), in_conflict=False)
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == [".lock"]


def test_cleaning_removes_part_files_alone(make_inbox, tmp_path):
    it = make_inbox()
    name = it.put((b"x",), in_conflict=False)
    (tmp_path / "inbox" / ".abc.dcm.123.part").write_bytes(b"half")
    assert it.clean() == 1
    assert sorted(path.name for path in (tmp_path / "inbox").iterdir()) == [".lock", name]


def test_a_second_receiver_is_refused(make_inbox):
    make_inbox()
    with pytest.raises(ConfigError, match="another receiver"):
        make_inbox()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "inbox").write_bytes(b"")
    with pytest.raises(ConfigError, match="let the receiver write there"):
        Inbox(tmp_path / "inbox", 0)
