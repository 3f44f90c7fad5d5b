import os
import shutil
import time
from types import SimpleNamespace

import pytest
from doctor_box import NOBODY, box_in, fault, faults

from edge.journal.journal import Journal
from edge.journal.store import Store
from sharpedge.doctor import machine
from sharpedge.doctor.machine import check_machine


@pytest.fixture(autouse=True)
def a_clock_that_is_set(monkeypatch):
    monkeypatch.setattr(machine, "wall_clock_is_set", lambda: True)


def small(box):
    """Limits that any machine's disk holds."""
    retention = box.config.retention.model_copy(
        update={"archive_mib": 1, "quarantine_mib": 1, "pictures_mib": 1, "journal_mib": 1}
    )
    config = box.config.model_copy(update={"retention": retention})
    return type(box)(config, box.config_path, box.service)


def test_a_machine_in_order_has_no_fault(tmp_path):
    box = small(box_in(tmp_path))
    (box.state / "device.key").write_bytes(bytes(32))
    (box.state / "device.key").chmod(0o600)
    assert faults(check_machine(box)) == []


def test_a_missing_state_folder_is_found(tmp_path):
    box = box_in(tmp_path)
    box.state.rmdir()
    assert "does not exist" in fault(check_machine(box), "state folder").what


def test_a_state_folder_that_anybody_may_enter_is_found(tmp_path):
    box = box_in(tmp_path)
    box.state.chmod(0o755)
    assert "every user" in fault(check_machine(box), "state folder").what


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_files_that_a_command_left_as_root_are_found(tmp_path):
    box = box_in(tmp_path)
    (box.state / "journal.sqlite").touch()
    os.chown(box.state / "journal.sqlite", NOBODY, NOBODY)
    it = fault(check_machine(box), "state folder")
    assert "journal.sqlite" in it.what
    assert "chown -R" in it.fix


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda key: key.chmod(0o640), "others may read it"),
        (lambda key: key.write_bytes(b"short"), "is damaged"),
        (lambda key: key.unlink(), "is gone"),
    ],
)
def test_a_key_that_is_open_damaged_or_gone_is_found(tmp_path, spoil, text):
    box = box_in(tmp_path)
    key = box.state / "device.key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    (box.state / "journal.sqlite").touch()
    spoil(key)
    assert text in fault(check_machine(box), "device key").what


def test_a_full_disk_is_found(tmp_path, monkeypatch):
    usage = SimpleNamespace(total=90 << 30, free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _p: usage)
    it = fault(check_machine(box_in(tmp_path)), "disk")
    assert it.level == "failed"
    assert "100 of" in it.what


def test_limits_beyond_the_disk_are_a_warning(tmp_path, monkeypatch):
    usage = SimpleNamespace(total=8 << 30, free=8 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _p: usage)
    assert fault(check_machine(box_in(tmp_path)), "disk").level == "warning"


def test_a_clock_that_nobody_sets_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "wall_clock_is_set", lambda: False)
    assert fault(check_machine(small(box_in(tmp_path))), "clock").level == "warning"


def test_a_clock_of_1970_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.time, "time", lambda: 86400.0)
    it = fault(check_machine(small(box_in(tmp_path))), "clock")
    assert it.level == "failed"
    assert "1970-01-02" in it.what


def test_a_clock_behind_the_journal_is_found(tmp_path, monkeypatch):
    box = small(box_in(tmp_path))
    store = Store(box.state / "journal.sqlite", bytes(32))
    Journal(store)
    with store.transaction() as db:
        db.execute("INSERT INTO event VALUES (NULL, ?, NULL, 'x', '', x'00')", (time.time(),))
    store.close()
    monkeypatch.setattr(machine.time, "time", lambda: time.time_ns() / 1e9 - 7200)
    assert "earlier than the journal" in fault(check_machine(box), "clock").what


def test_a_machine_with_too_little_memory_is_found(tmp_path, monkeypatch):
    pages = {"SC_AVPHYS_PAGES": 1000, "SC_PHYS_PAGES": 1 << 18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(machine.os, "sysconf", pages.__getitem__)
    assert "1024 MiB" in fault(check_machine(small(box_in(tmp_path))), "memory").what
