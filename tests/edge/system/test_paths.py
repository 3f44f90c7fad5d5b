"""Files are found in a clone, in an installation and under the user's own settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.system import paths

ROOT = Path(__file__).resolve().parents[3]


def test_a_clone_has_its_own_recipes():
    assert (paths.engines_home() / "hand-detect.toml").is_file()


def test_an_installation_has_them_under_its_data_folder(tmp_path, monkeypatch):
    share = tmp_path / "share" / "sharpedge" / "engines"
    share.mkdir(parents=True)
    (share / "a.toml").touch()
    monkeypatch.setattr(paths, "_PACKAGE_PARENT", tmp_path / "site-packages")
    monkeypatch.setattr(paths.sysconfig, "get_path", lambda _: str(tmp_path))
    assert paths.engines_home() == share


def test_missing_recipes_name_the_places(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "_PACKAGE_PARENT", tmp_path / "site-packages")
    monkeypatch.setattr(paths.sysconfig, "get_path", lambda _: str(tmp_path / "data"))
    monkeypatch.setattr(paths.metadata, "files", lambda _: None)
    with pytest.raises(ConfigError, match="site-packages"):
        paths.engines_home()


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"SHARPEDGE_HOME": "/a/b"}, "/a/b"),
        ({"STATE_DIRECTORY": "/var/lib/sharpedge:/other"}, "/var/lib/sharpedge"),
        ({"XDG_DATA_HOME": "/x"}, "/x/sharpedge"),
        ({"HOME": "/h"}, "/h/.local/share/sharpedge"),
    ],
)
def test_the_data_folder_follows_the_environment(monkeypatch, variables, wanted):
    for name in ("SHARPEDGE_HOME", "STATE_DIRECTORY", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert paths.data_root() == Path(wanted)


def test_built_engines_stay_in_the_clone_unless_a_home_is_set(monkeypatch, tmp_path):
    monkeypatch.delenv("SHARPEDGE_HOME", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert paths.built_engines() == paths.engines_home() / "built"
    monkeypatch.setenv("SHARPEDGE_HOME", str(tmp_path))
    assert paths.built_engines() == tmp_path / "engines" / "built"


def test_a_user_without_a_home_gets_one_line_that_says_what_to_set(monkeypatch):
    for variable in ("HOME", "SHARPEDGE_HOME", "STATE_DIRECTORY", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(paths.os, "getuid", lambda: 12345)
    monkeypatch.setattr("pwd.getpwuid", lambda _number: (_ for _ in ()).throw(KeyError("no such")))
    with pytest.raises(ConfigError, match="set SHARPEDGE_HOME"):
        paths.data_root()


@pytest.mark.parametrize(
    "command",
    [["engines", "list"], ["score", "pyproject.toml"], ["export"], ["audit"], ["run"], ["drift"]],
)
def test_no_command_ends_in_a_traceback_for_a_user_without_home_and_entry(tmp_path, command):
    # As for a container's user that no table knows; child processes too.
    (tmp_path / "sitecustomize.py").write_text(
        "import pwd\n"
        "def unknown(number): raise KeyError(f'getpwuid(): uid not found: {number}')\n"
        "pwd.getpwuid = unknown\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "LANG": "C",
        "SHARPEDGE_FOLDERS_WATCH": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "sharpedge.cli", *command],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1, 2}
    assert "SHARPEDGE_HOME" in done.stderr or done.returncode == 0
