import os
import time

import pytest
from doctor_box import NOBODY, box_in, fault, faults

from edge.intake.watch import WatchMode
from sharpedge.doctor import folder
from sharpedge.doctor.folder import check_folder

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to ask for another user")


def opened(tmp_path):
    """Folders above that another user may pass."""
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and place != place.parent:
            place.chmod(place.stat().st_mode | 0o711)
    return tmp_path


def test_a_folder_in_order_has_no_fault(tmp_path):
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "IMG0001.jpg").write_bytes(b"film")
    assert faults(check_folder(box_in(tmp_path))) == []


def test_a_misspelt_folder_is_found_with_the_nearest_one_that_exists(tmp_path):
    box = box_in(tmp_path, folders={"watch": tmp_path / "dorp" / "xray1"})
    it = fault(check_folder(box), "drop folder")
    assert "does not exist" in it.what
    assert str(tmp_path) in it.cause
    assert "drop" in it.cause


def test_a_file_in_place_of_the_folder_is_found(tmp_path):
    (tmp_path / "film").touch()
    it = fault(check_folder(box_in(tmp_path, folders={"watch": tmp_path / "film"})), "drop folder")
    assert "is a file" in it.what


def test_a_drop_folder_inside_the_state_folder_is_refused(tmp_path):
    (tmp_path / "state" / "quarantine").mkdir(parents=True)
    box = box_in(tmp_path, folders={"watch": tmp_path / "state" / "quarantine"})
    assert "cannot be watched" in fault(check_folder(box), "drop folder").what


@root_only
def test_a_folder_that_the_service_may_not_list_is_found(tmp_path):
    box = box_in(opened(tmp_path), uid=NOBODY)
    (tmp_path / "drop").chmod(0o700)
    it = fault(check_folder(box), "drop folder")
    assert "may not list and read" in it.what
    assert "0700" in it.cause


@root_only
def test_moving_films_needs_the_right_to_change_the_folder(tmp_path):
    box = box_in(opened(tmp_path), uid=NOBODY, folders={"after": "move"})
    (tmp_path / "drop").chmod(0o755)
    assert "read and change" in fault(check_folder(box), "drop folder").what


@root_only
def test_files_that_the_scanner_keeps_private_are_found(tmp_path):
    box = box_in(opened(tmp_path), uid=NOBODY)
    (tmp_path / "drop").chmod(0o755)
    for name, mode in (("a.jpg", 0o644), ("b.jpg", 0o600), ("c.jpg", 0o600)):
        (tmp_path / "drop" / name).touch()
        (tmp_path / "drop" / name).chmod(mode)
    it = fault(check_folder(box), "drop folder, files")
    assert it.what.startswith("2 of 3 files")
    assert "umask" in it.cause


def test_events_on_a_network_share_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "mount_type", lambda _path: "cifs")
    box = box_in(tmp_path, folders={"mode": "native"})
    assert "cifs" in fault(check_folder(box), "drop folder, mount").what
    box = box_in(tmp_path, folders={"mode": WatchMode.AUTO})
    assert "drop folder, mount" not in [check for check, *_ in faults(check_folder(box))]


def test_a_file_from_the_future_is_a_wrong_clock(tmp_path):
    box = box_in(tmp_path)
    film = tmp_path / "drop" / "film.jpg"
    film.touch()
    os.utime(film, (time.time() + 3600,) * 2)
    assert "in the future" in fault(check_folder(box), "drop folder, clock").what


def test_the_clock_of_a_share_is_compared_with_this_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "mount_type", lambda _path: "nfs4")
    assert faults(check_folder(box_in(tmp_path))) == []
    now_s = time.time()
    monkeypatch.setattr(folder.time, "time", lambda: now_s - 90)
    found = [it for it in check_folder(box_in(tmp_path)) if it.check == "drop folder, clock"]
    assert "differs by +" in found[-1].what
    assert found[-1].level == "warning"
    assert list((tmp_path / "drop").iterdir()) == []
