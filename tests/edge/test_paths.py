"""Files are found in a clone, in an installation and under the user's own settings."""

from pathlib import Path

import pytest

from edge import paths
from edge.errors import ConfigError


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
