from __future__ import annotations

import subprocess
import sys

import pytest

from edge.errors import ConfigError
from edge.system.device_key import NAME, derived_key, device_key


def test_the_key_is_made_once_and_read_by_its_owner_only(tmp_path):
    key = device_key(tmp_path)
    assert len(key) == 32
    assert device_key(tmp_path) == key
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_processes_that_make_it_at_once_get_one_key(tmp_path):
    code = """if True:
        import sys, pathlib
        from edge.system.device_key import device_key
        print(device_key(pathlib.Path(sys.argv[1])).hex())
    """
    made = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert len({it.communicate()[0] for it in made}) == 1
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("data", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_refused(tmp_path, data):
    (tmp_path / NAME).write_bytes(data)
    (tmp_path / NAME).chmod(0o600)
    with pytest.raises(ConfigError, match="damaged"):
        device_key(tmp_path)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    device_key(tmp_path)
    (tmp_path / NAME).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        device_key(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be used"):
        device_key(tmp_path / "absent")


def test_purposes_have_keys_of_their_own():
    assert derived_key(b"k" * 32, "journal") != derived_key(b"k" * 32, "pseudonym")


def test_a_key_that_is_gone_is_not_made_anew_where_a_journal_needs_it(tmp_path):
    with pytest.raises(ConfigError, match="put it back"):
        device_key(tmp_path, expected=True)
    assert not (tmp_path / NAME).exists()
