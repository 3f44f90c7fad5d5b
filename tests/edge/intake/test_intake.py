from __future__ import annotations

import os
import shutil
import threading
import time

import pytest
from appliance import until
from followed_films import WHOLE, names
from stand_in import film_bytes

from edge.errors import Reason
from edge.intake.settings import IGNORED
from edge.intake.take import look_at
from edge.intake.watch import Folder, WatchMode


def test_a_closed_film_is_picked_up_at_once(follow):
    drop, films, _ = follow()
    (drop / "a.jpg").write_bytes(WHOLE)
    until(lambda: films, 5)
    assert films[0].data == WHOLE
    assert films[0].closed_source == "close_event"
    assert films[0].picked_up_s - films[0].closed_s < 0.5


def test_a_renamed_in_film_is_taken_and_its_temporary_name_is_not(follow):
    drop, films, _ = follow()
    (drop / "a.jpg.part").write_bytes(WHOLE)
    (drop / "a.jpg.part").rename(drop / "a.jpg")
    until(lambda: films, 5)
    time.sleep(0.5)
    assert names(films) == ["a.jpg"]


def test_what_is_no_plain_file_is_refused_and_not_opened(follow):
    drop, films, _ = follow(rescan_s=0.2)
    os.mkfifo(drop / "pipe.jpg")
    (drop / "link.jpg").symlink_to("/dev/zero")
    (drop / "folder.jpg").mkdir()
    (drop / "big.jpg").write_bytes(b"\xff\xd8\xff" + bytes(2 << 20))
    until(lambda: len(films) == 4, 10)
    reasons = {film.path.rsplit(b"/", 1)[1]: film.refusal for film in films}
    assert reasons.pop(b"big.jpg") is Reason.TOO_LARGE
    assert set(reasons.values()) == {Reason.NOT_A_REGULAR_FILE}
    time.sleep(0.5)
    assert len(films) == 4


def test_hostile_names_are_taken(follow):
    drop, films, _ = follow()
    hostile = [b"\xff\xfe.jpg", b"new\nline.jpg", b"x" * 251 + b".jpg", "ä*?[.jpg".encode()]
    for name in hostile:
        (drop / os.fsdecode(name)).write_bytes(WHOLE)
    until(lambda: len(films) == 4, 5)


def test_a_rewritten_film_is_taken_again_and_a_mere_look_at_it_is_not(follow):
    drop, films, _ = follow(rescan_s=0.2)
    (drop / "a.jpg").write_bytes(WHOLE)
    until(lambda: len(films) == 1, 5)
    (drop / "a.jpg").read_bytes()
    time.sleep(0.7)
    assert len(films) == 1
    (drop / "a.jpg").write_bytes(film_bytes("other"))
    until(lambda: len(films) == 2, 5)


def test_a_film_that_is_copied_with_its_times_is_taken_soon(follow, tmp_path):
    drop, films, _ = follow()
    for name, data in (("whole.jpg", WHOLE), ("cut.jpg", WHOLE[:-50])):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (1e9, 1e9))
        shutil.copy2(tmp_path / name, drop / name)
        (drop / name).chmod(0o600)
    until(lambda: len(films) == 2, 1.5)


def test_a_film_whose_writer_paused_when_we_started_is_not_taken_before_it_closes(follow, tmp_path):
    (tmp_path / "drop").mkdir()
    # Whole by its looks: an old film that is overwritten in place.
    with (tmp_path / "drop" / "a.jpg").open("wb") as file:
        file.write(film_bytes("old"))
        file.flush()
        _, films, _ = follow()
        time.sleep(1.0)
        assert films == []
        file.seek(0)
        file.write(film_bytes("new"))
    until(lambda: films, 5)
    assert films[0].data == film_bytes("new")


@pytest.mark.parametrize("mode", [WatchMode.AUTO, WatchMode.POLL])
def test_another_film_of_equal_size_and_time_under_the_same_name_is_read(follow, mode):
    drop, films, _ = follow(mode, rescan_s=0.2)
    for number, word in enumerate(("one", "two"), 1):
        with (drop / "a.jpg").open("r+b" if number > 1 else "wb") as file:
            file.write(film_bytes(word))
            file.flush()
            os.utime(file.fileno(), (3e8, 3e8))
        until(lambda number=number: len(films) == number, 5)
    assert [film.data for film in films] == [film_bytes("one"), film_bytes("two")]


@pytest.mark.parametrize("mtime_s", [-2_000_000, 0, 86_400, 2_082_844_800, "ahead"])
@pytest.mark.parametrize("before_start", [True, False])
def test_the_times_of_a_film_are_the_machines_whatever_the_file_says(
    follow, tmp_path, mtime_s, before_start
):
    mtime_s = time.time() + 3600 if mtime_s == "ahead" else mtime_s
    other = tmp_path / "other.jpg"
    other.write_bytes(WHOLE)
    os.utime(other, (mtime_s, mtime_s))
    begun_s = time.time()
    if before_start:
        (tmp_path / "drop").mkdir()
        shutil.copy2(other, tmp_path / "drop" / "a.jpg")
    drop, films, _ = follow()
    if not before_start:
        shutil.copy2(other, drop / "a.jpg")
    until(lambda: films, 5)
    film = films[0]
    assert begun_s <= film.closed_unix_s <= time.time()
    assert 0 <= film.picked_up_s - film.closed_s < 5
    assert film.closed_source == ("at_start" if before_start else "close_event")


def test_a_new_film_waits_for_two_of_the_backlog_at_most(follow, tmp_path):
    drop = tmp_path / "drop"
    drop.mkdir()
    for number in range(60):
        (drop / f"old{number:02}.jpg").write_bytes(film_bytes(f"n={number}"))
        os.utime(drop / f"old{number:02}.jpg", (2e9 - number, 2e9 - number))
    _, _, it = follow(gathering=False)
    taken = []

    def take_one():
        taken.append(until(it.fetch, 10))
        return os.fsdecode(taken[-1].path).rpartition("/")[2]

    # Oldest first, by the files' own times.
    assert [take_one() for _ in range(3)] == ["old59.jpg", "old58.jpg", "old57.jpg"]
    for number in range(4):
        (drop / f"new{number}.jpg").write_bytes(film_bytes(f"new={number}"))
    time.sleep(1.0)
    order = [take_one() for _ in range(9)]
    assert order.index("new0.jpg") <= 2
    assert [name for name in order if name.startswith("new")] == [f"new{n}.jpg" for n in range(4)]
    assert sum(name.startswith("old") for name in order) >= 4


def test_nothing_waits_for_the_worker_while_films_wait(follow, tmp_path):
    drop = tmp_path / "drop"
    drop.mkdir()
    for number in range(20):
        (drop / f"{number}.jpg").write_bytes(film_bytes(f"n={number}"))
    _, _, it = follow(gathering=False, rescan_s=0.2)
    until(lambda: it.condition().waiting >= 20, 5)
    time.sleep(0.5)
    done = threading.Event()
    it.do(done.set)
    assert done.wait(2)
    drop.rename(tmp_path / "away")
    until(lambda: it.condition().fault, 5)


def test_a_film_that_may_not_be_read_is_told_with_owner_and_mode(follow, monkeypatch):
    denied = {b"a.jpg"}

    def refuse(root, path):
        if path.rpartition(b"/")[2] in denied:
            raise PermissionError(13, "Permission denied")
        return look_at(root, path)

    monkeypatch.setattr("edge.intake.collector.look_at", refuse)
    drop, films, it = follow(rescan_s=0.2)
    (drop / "a.jpg").write_bytes(WHOLE)
    (drop / "a.jpg").chmod(0o600)
    until(lambda: "mode 0600" in (it.condition().unreadable or ""), 5)
    text = it.condition().unreadable
    inode = (drop / "a.jpg").stat().st_ino
    assert text.startswith("1 file in the drop folder cannot be read by")
    assert "mode 0600" in text
    assert f"-inum {inode}" in text
    # A file's name may be a patient's.
    assert "a.jpg" not in text
    denied.clear()
    until(lambda: films, 10)
    until(lambda: it.condition().unreadable is None, 5)


def test_a_writer_that_closes_between_its_chunks_is_waited_for(follow):
    drop, films, _ = follow(incomplete_s=2.0)
    (drop / "a.jpg").write_bytes(b"")
    for start in range(0, len(WHOLE), 600):
        time.sleep(0.6)
        with (drop / "a.jpg").open("ab") as file:
            file.write(WHOLE[start : start + 600])
    until(lambda: films, 5)
    # A late event of the last chunk may lead to one more read of the same bytes.
    assert {film.data for film in films} == {WHOLE}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("X.TMP", False),
        ("thumbs.db", False),
        ("DESKTOP.INI", False),
        ("a.Part", False),
        (".sharpedge-claimed-00000001", False),
        ("Scan.JPG", True),
        ("tmp.jpg", True),
    ],
)
def test_names_that_copying_programs_use_are_ignored_whatever_their_capitals(
    tmp_path, name, counts
):
    (tmp_path / name).write_bytes(WHOLE)
    folder = Folder(tmp_path, IGNORED)
    path = os.fsencode(tmp_path / name)
    assert folder.counts(path) is counts
    assert [entry.path for entry in folder.entries()] == ([path] if counts else [])
