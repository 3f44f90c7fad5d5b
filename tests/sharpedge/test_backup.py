from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import tarfile

import pytest
from appliance import Subscriber, until
from stand_in import film_bytes

from edge.errors import ConfigError
from edge.journal.journal import Journal
from edge.journal.store import Store
from edge.outputs.whois import FILE, Known, Whois
from edge.receive.inbox import Inbox
from edge.receive.instances import FILE as INSTANCES
from edge.receive.instances import Instances
from edge.system.device_key import device_key
from sharpedge.backup import MANIFEST, back_up, restore


@pytest.fixture
def box(tmp_path):
    """A configuration, with the state folder of an appliance that has stopped."""
    state = tmp_path / "state"
    for name in ("quarantine", "pictures", "engines/built", "archive"):
        (state / name).mkdir(parents=True)
    key = device_key(state)
    store = Store(state / "journal.sqlite", key)
    Journal(store)
    store.close()
    (state / "quarantine" / "00000001-side_not_known.jpg").write_bytes(b"film")
    (state / "engines" / "built" / "hand.json").write_bytes(b"{}")
    (state / "archive" / "00000002.jpg").write_bytes(b"old film")
    path = tmp_path / "s.toml"
    path.write_text(f'[folders]\nwatch = "{tmp_path}/drop"\nstate = "{state}"\n')
    return path


def state_of(box):
    return box.parent / "state"


def test_a_backup_is_private_and_holds_what_a_new_disk_needs(box, tmp_path, capsys):
    assert back_up(box, tmp_path / "b.tar", archive=False) == 0
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "b.tar") as tar:
        names = set(tar.getnames())
    assert names == {
        "journal.sqlite", "device.key", "quarantine/00000001-side_not_known.jpg",
        "engines/built/hand.json", "configuration.toml", MANIFEST,
    }  # fmt: skip
    assert "esearch use only" in capsys.readouterr().out
    back_up(box, tmp_path / "c.tar", archive=True)
    with tarfile.open(tmp_path / "c.tar") as tar:
        assert "archive/00000002.jpg" in tar.getnames()


def test_documents_for_the_pacs_are_in_no_backup(box, tmp_path):
    folder = state_of(box) / "pacs"
    folder.mkdir()
    (folder / "0e3b6ab2-43d5-5c55-8a9f-0f6de70a1d11.dcm").write_bytes(b"patient")
    back_up(box, tmp_path / "b.tar", archive=True)
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert not [name for name in tar.getnames() if name.startswith("pacs")]


def test_a_backup_leaves_nothing_beside_a_journal_at_rest(box, tmp_path):
    before = sorted(path.name for path in state_of(box).iterdir())
    back_up(box, tmp_path / "b.tar", archive=False)
    assert sorted(path.name for path in state_of(box).iterdir()) == before


def test_a_backup_never_replaces_a_file(box, tmp_path):
    (tmp_path / "b.tar").write_text("mine")
    with pytest.raises(ConfigError, match="exists already; fix"):
        back_up(box, tmp_path / "b.tar", archive=False)
    assert (tmp_path / "b.tar").read_text() == "mine"


def test_a_restore_gives_back_every_byte_and_sets_the_rest_aside(box, tmp_path):
    back_up(box, tmp_path / "b.tar", archive=False)
    key = (state_of(box) / "device.key").read_bytes()
    (state_of(box) / "device.key").unlink()
    device_key(state_of(box))
    with pytest.raises(ConfigError, match="--force"):
        restore(box, tmp_path / "b.tar", replace=False)
    assert restore(box, tmp_path / "b.tar", replace=True) == 0
    assert (state_of(box) / "device.key").read_bytes() == key
    assert (state_of(box) / "device.key").stat().st_mode & 0o777 == 0o600
    assert (state_of(box) / "quarantine" / "00000001-side_not_known.jpg").read_bytes() == b"film"
    assert (tmp_path / "state.before-restore-1" / "archive" / "00000002.jpg").exists()
    assert not (tmp_path / ".state.restore").exists()


def test_the_configuration_comes_back_where_there_is_none(box, tmp_path):
    back_up(box, tmp_path / "b.tar", archive=False)
    text = box.read_text()
    box.unlink()
    state_of(box).rename(tmp_path / "old-disk")
    assert restore(box, tmp_path / "b.tar", replace=False) == 0
    assert box.read_text() == text
    assert (state_of(box) / "journal.sqlite").exists()


def test_a_damaged_backup_changes_nothing(box, tmp_path):
    back_up(box, tmp_path / "b.tar", archive=False)
    data = bytearray((tmp_path / "b.tar").read_bytes())
    at = data.index(b"film")
    data[at] ^= 1
    (tmp_path / "b.tar").write_bytes(data)
    before = {p: p.read_bytes() for p in state_of(box).rglob("*") if p.is_file()}
    with pytest.raises(ConfigError, match="is damaged"):
        restore(box, tmp_path / "b.tar", replace=True)
    assert {p: p.read_bytes() for p in state_of(box).rglob("*") if p.is_file()} == before


def test_a_backup_that_is_cut_off_or_none_at_all_is_refused(box, tmp_path):
    back_up(box, tmp_path / "b.tar", archive=False)
    (tmp_path / "cut.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:4096])
    (tmp_path / "none.tar").write_bytes(b"no tar")
    for name in ("cut.tar", "none.tar"):
        with pytest.raises(ConfigError, match="is no backup"):
            restore(box, tmp_path / name, replace=True)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b"])
def test_a_name_outside_the_state_folder_is_refused(box, tmp_path, name):
    body = json.dumps({"sha256": {name: "0" * 64}}).encode()
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    with pytest.raises(ConfigError, match="outside the state folder"):
        restore(box, tmp_path / "evil.tar", replace=True)


def test_after_a_disk_swap_held_films_and_waiting_results_are_as_before(
    make_appliance, broker, tmp_path
):
    """Backed up while it runs and no dashboard answers; the disk is lost; a new one takes over."""
    it = make_appliance(broker.port, extra='[delivery]\nmode = "receipt"\nresend_s = 1\n').start()
    it.put("held.jpg", film_bytes("reason=side_not_known"))
    it.put("scored.jpg", film_bytes("limb=RH"))
    until(lambda: "job 2: image sent" in it.log(), what="both films")
    assert it.order("backup", "--out", tmp_path / "b.tar").returncode == 0
    it.kill()
    it.state.rename(tmp_path / "lost-disk")
    (it.drop / "scored.jpg").unlink()
    done = it.order("restore", tmp_path / "b.tar")
    assert done.returncode == 0, done.stderr
    with contextlib.closing(Subscriber(broker.settings, receiver="ward")) as dashboard:
        it.start()
        (result,) = dashboard.wait("result", 1, 60)
        dashboard.wait("reject", 1, 60)
        assert it.order("release", "1", "--side", "L", "--limb", "hand").returncode == 0
        results = dashboard.wait("result", 2, 60)
        assert results[1].supersedes
        until(lambda: it.states()[3] == "receipted", what="the receipt")
    with sqlite3.connect(tmp_path / "lost-disk" / "journal.sqlite") as lost:
        row = lost.execute("SELECT id FROM outbox WHERE kind = 'result'").fetchone()
    lost.close()
    assert result.id == row[0]


def test_a_running_appliance_is_never_restored_over(make_appliance, broker, tmp_path):
    it = make_appliance(broker.port).start()
    assert it.order("backup", "--out", tmp_path / "b.tar").returncode == 0
    done = it.order("restore", tmp_path / "b.tar", "--force")
    assert done.returncode == 2
    assert "in use by another sharpedge" in done.stderr
    assert it.process.poll() is None


def test_what_pseudonyms_stand_for_is_in_no_backup_and_stays_at_a_restore(box, tmp_path):
    table = Whois(state_of(box) / FILE, 30.0)
    table.note([("a" * 32, Known(kind="patient", stands_for="P-CANARY"))])
    table.close()
    back_up(box, tmp_path / "b.tar", archive=True)
    assert b"P-CANARY" not in (tmp_path / "b.tar").read_bytes()
    restore(box, tmp_path / "b.tar", replace=True)
    assert table.ask("a" * 32) is not None
    aside = tmp_path / "state.before-restore-1"
    assert aside.is_dir()
    assert not (aside / FILE).exists()


def test_a_received_instance_with_other_bytes_is_in_conflict_after_a_restore_too(box, tmp_path):
    inbox = state_of(box) / "inbox"
    inbox.mkdir()
    instances = Instances(inbox / INSTANCES)
    instances.note("1.2.826.777", b"first")
    # It runs meanwhile: what it wrote last may lie in its write-ahead log.
    back_up(box, tmp_path / "b.tar", archive=False)
    instances.close()
    assert b"1.2.826.777" not in (tmp_path / "b.tar").read_bytes()
    shutil.rmtree(state_of(box))
    restore(box, tmp_path / "b.tar", replace=False)
    instances = Instances(inbox / INSTANCES)
    assert instances.note("1.2.826.777", b"other")
    assert not instances.note("1.2.826.777", b"first")
    assert not instances.note("1.2.826.778", b"other")
    instances.close()


def test_a_restore_waits_for_the_receiver_to_be_stopped(box, tmp_path):
    back_up(box, tmp_path / "b.tar", archive=False)
    receiver = Inbox(state_of(box) / "inbox", 0)
    with pytest.raises(ConfigError, match="fix: systemctl stop sharpedge-receive"):
        restore(box, tmp_path / "b.tar", replace=True)
    assert (state_of(box) / "journal.sqlite").exists()
    receiver.close()
    assert restore(box, tmp_path / "b.tar", replace=True) == 0
