"""A drop folder that is away, empty, deep, a link or on a share; what lay in it at the start."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from appliance import until
from followed_films import WHOLE, names
from stand_in import film_bytes

from edge.errors import Reason
from edge.intake.take import signature_of
from edge.intake.watch import Inbox, Watch, WatchMode, mount_type


def test_a_folder_per_study_is_followed_within_seconds(follow):
    drop, films, _ = follow()
    for number in range(10):
        (drop / f"study{number}" / "deep").mkdir(parents=True)
        (drop / f"study{number}" / "deep" / f"{number}.jpg").write_bytes(WHOLE)
    until(lambda: len(films) == 10, 10)


def test_reading_the_folder_and_its_films_makes_no_events(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(
        "edge.intake.watch._Handler.on_any_event", lambda _, event: told.append(event)
    )
    watch = Watch(tmp_path, Inbox(), WatchMode.NATIVE)
    try:
        watch.check()
        (tmp_path / "a.jpg").write_bytes(WHOLE)
        until(lambda: any(event.event_type == "closed" for event in told), 5)
        written = len(told)
        for _ in range(20):
            (tmp_path / "a.jpg").read_bytes()
            list(tmp_path.iterdir())
        (tmp_path / "b.jpg").write_bytes(WHOLE)
        until(lambda: sum(event.event_type == "closed" for event in told) == 2, 5)
        assert len(told) == 2 * written
        assert not any(event.is_directory for event in told)
    finally:
        watch.close()


def test_what_lay_there_at_the_start_is_taken_and_what_is_known_is_not(follow, tmp_path):
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "old.jpg").write_bytes(WHOLE)
    (drop / "new.jpg").write_bytes(WHOLE)
    (drop / "own").mkdir()
    (drop / "own" / "copy.jpg").write_bytes(WHOLE)
    found = (drop / "old.jpg").stat()
    known = {os.fsencode(drop / "old.jpg"): signature_of(found)}
    _, films, _ = follow(known=known, rescan_s=0.2)
    until(lambda: films, 5)
    time.sleep(1)
    assert names(films) == ["new.jpg"]
    assert films[0].closed_source == "at_start"
    assert films[0].picked_up_s - films[0].closed_s < 5


def test_polling_takes_films_and_waits_for_one_that_grows(follow):
    drop, films, it = follow(WatchMode.POLL, rescan_s=0.2)
    assert not it.condition().native
    with (drop / "slow.jpg").open("wb") as file:
        for start in range(0, len(WHOLE), 400):
            file.write(WHOLE[start : start + 400])
            file.flush()
            time.sleep(0.2)
    until(lambda: films, 5)
    assert films[0].data == WHOLE


def test_on_a_share_a_whole_film_is_picked_up_soon_although_rescans_are_seldom(follow):
    drop, films, _ = follow(WatchMode.POLL, rescan_s=30)
    for number in range(5):
        (drop / f"{number}.jpg").write_bytes(WHOLE)
        until(lambda number=number: len(films) > number, 5)
    waited_s = sorted(film.picked_up_s - film.closed_s for film in films)
    assert waited_s[2] < 1.0


def test_a_folder_that_goes_and_comes_back_is_told_and_followed_again(follow):
    drop, films, it = follow(rescan_s=0.2)
    drop.rmdir()
    until(lambda: it.condition().fault, 5)
    drop.mkdir()
    until(lambda: it.condition().fault is None, 5)
    (drop / "a.jpg").write_bytes(WHOLE)
    until(lambda: films, 5)


def test_a_folder_that_is_not_there_at_the_start_is_waited_for(follow, tmp_path):
    _, films, it = follow(make=False)
    assert "cannot be reached" in it.condition().fault
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "a.jpg").write_bytes(WHOLE)
    until(lambda: films, 10)


def test_the_kind_of_a_mount_is_told():
    assert mount_type(Path("/proc/self")) == "proc"
    assert mount_type(Path("/proc/no/such/place")) == "proc"


def test_what_lies_too_deep_to_have_a_path_is_refused_and_does_not_end_the_intake(follow, tmp_path):
    (tmp_path / "drop").mkdir()
    here = os.open(tmp_path / "drop", os.O_DIRECTORY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("film.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    drop, films, _ = follow(rescan_s=0.3)
    until(lambda: films, 5)
    (drop / "good.jpg").write_bytes(WHOLE)
    until(lambda: len(films) == 2, 5)
    time.sleep(1)
    assert [film.refusal for film in films] == [Reason.NOT_A_REGULAR_FILE, None]


def test_an_empty_mount_point_is_a_fault_and_the_share_coming_back_is_no_news(follow, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    server, share = tmp_path / "server", tmp_path / "drop"
    for folder in (server, share):
        folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "server", server], check=True)
    try:
        subprocess.run(["mount", "--bind", server, share], check=True)
        _, films, it = follow(WatchMode.POLL, rescan_s=0.2)
        for number in range(5):
            (share / f"{number}.jpg").write_bytes(WHOLE)
        until(lambda: len(films) == 5, 5)
        subprocess.run(["umount", share], check=True)
        until(lambda: "mount the share" in (it.condition().fault or ""), 5)
        assert it.latest_listing() is None
        (server / "new.jpg").write_bytes(WHOLE)
        subprocess.run(["mount", "--bind", server, share], check=True)
        until(lambda: it.condition().fault is None, 10)
        until(lambda: len(films) == 6, 5)
        time.sleep(1)
        assert names(films)[-1] == "new.jpg"
        assert len(films) == 6
    finally:
        it.stop()
        for folder in (share, server):
            subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


def test_what_lay_there_at_the_first_start_can_be_left_alone(follow, tmp_path):
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "old.jpg").write_bytes(WHOLE)
    _, films, it = follow(pass_over=True, rescan_s=0.2)
    (drop / "new.jpg").write_bytes(film_bytes("new"))
    until(lambda: films, 5)
    time.sleep(0.5)
    assert names(films) == ["new.jpg"]
    [(path, signature)] = it.passed_over()
    assert path == os.fsencode(drop / "old.jpg")
    assert signature == signature_of((drop / "old.jpg").stat())


def test_a_folder_that_becomes_a_link_leads_nowhere(follow, tmp_path):
    drop, films, _ = follow(rescan_s=0.2)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.jpg").write_bytes(film_bytes("secret"))
    (drop / "study").mkdir()
    with (drop / "study" / "a.jpg").open("wb") as file:
        file.write(WHOLE[:100])
        file.flush()
        (drop / "study").rename(tmp_path / "moved")
        (drop / "study").symlink_to(outside, target_is_directory=True)
        file.write(WHOLE[100:])
    time.sleep(1.5)
    assert all(film.data != film_bytes("secret") for film in films)
    assert {film.refusal for film in films} <= {Reason.NOT_A_REGULAR_FILE}
