from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from edge.config import Config, load
from edge.errors import ConfigError

EXAMPLE = Path(__file__).resolve().parents[2] / "systemd" / "sharpedge.toml"
GOOD = '[folders]\nwatch = "/drop"\n[broker]\nport = 1884\n'


def write(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


def test_a_small_file_is_enough(tmp_path):
    config = load(write(tmp_path, GOOD), {})
    assert config.broker.port == 1884
    assert str(config.device) == "site/room/device"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (GOOD + "prot = 1\n", 5, "broker.prot"),
        (GOOD + "[brokr]\nhost = 'x'\n", 5, "brokr"),
        (GOOD + "[pipeline]\nclahe_clip_limit = 2.0\nclip = 3\n", 7, "pipeline.clip"),
        (GOOD + "[site]\nname = 'a/b'\n", 6, "site.name"),
        (GOOD + "[limits]\nfilm_s = -1\n", 6, "limits.film_s"),
        ("[folders]\nwatch = '/d'\nafter = 'burn'\n", 3, "folders.after"),
    ],
)
def test_a_fault_names_file_line_and_key(tmp_path, text, line, key):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value).startswith(f"{path}:{line}: {key}: ")


def test_every_fault_is_told_not_only_the_first(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, GOOD + "a = 1\nb = 2\n"), {})
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_a_broken_and_a_foreign_file_are_told(tmp_path):
    for text in ("[folders", "= 1"):
        with pytest.raises(ConfigError, match=r"c\.toml"):
            load(write(tmp_path, text), {})
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "bin", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none", {})
    with pytest.raises(ConfigError, match="FOLDERS_WATCH"):
        load(None, {})


def test_the_environment_replaces_keys_and_its_faults_name_the_variable(tmp_path):
    path = write(tmp_path, GOOD)
    environment = {
        "SHARPEDGE_BROKER_PORT": "1999",
        "SHARPEDGE_SITE_NAME": "ward.7",
        "SHARPEDGE_DELIVERY_RECEIVERS": '["pacs"]',
        "SHARPEDGE_PIPELINE_ACCEPT_SIDE_FROM_GEOMETRY": "true",
        "SHARPEDGE_HOME": "/x",
        "PATH": "/bin",
    }
    config = load(path, environment)
    assert config.broker.port == 1999
    assert config.site.name == "ward.7"
    assert config.delivery.receivers == ("pacs",)
    assert config.pipeline.accept_side_from_geometry
    for name, value in (("SHARPEDGE_BROKER_PORTS", "1"), ("SHARPEDGE_BROKER_PORT", "many")):
        with pytest.raises(ConfigError, match=f"environment: {name}: "):
            load(path, {name: value})
    with pytest.raises(ConfigError, match="environment: SHARPEDGE_BRKR_PORT"):
        load(path, {"SHARPEDGE_BRKR_PORT": "1"})


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_config_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("c") / "c.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(ConfigError):
        load(path, {})


def test_the_example_names_every_key_with_its_default():
    text = EXAMPLE.read_text()
    uncommented = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line else line for line in text.splitlines()
    )
    assert load(EXAMPLE, {}).site.name == "clinic"
    nested = {"hand", "foot"}
    for section, field in Config.model_fields.items():
        assert issubclass(field.annotation, BaseModel)
        if section == "pipeline":
            continue
        for key in field.annotation.model_fields:
            if key not in nested and (section, key) != ("worker", "factory"):
                assert f"\n{key} = " in uncommented, (section, key)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf[folders]\nwatch = '/srv/drop'\n")
    assert load(path, {}).folders.watch == Path("/srv/drop")


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("SITE_ROOM", "12", "12"),
        ("SITE_ROOM", "007", "007"),
        ("SITE_NAME", "true", "true"),
        ("SITE_DEVICE", "1e5", "1e5"),
        ("SITE_ROOM", "2024-01-01", "2024-01-01"),
        ("SITE_ROOM", '"xr1"', "xr1"),
        ("BROKER_PORT", "1884", 1884),
        ("FOLDERS_RESCAN_S", "5", 5.0),
        ("FOLDERS_MODE", "poll", "poll"),
        ("FOLDERS_STATE", "12", Path("12")),
        ("WORKER_FALLBACK", "false", False),
        ("FOLDERS_IGNORE", '["*.x"]', ("*.x",)),
    ],
)
def test_a_variable_is_read_as_its_key_wants(name, text, wanted):
    environment = {"SHARPEDGE_FOLDERS_WATCH": "/films", f"SHARPEDGE_{name}": text}
    config = load(None, environment)
    section, key = name.lower().split("_", 1)
    assert getattr(getattr(config, section), key) == wanted


@pytest.mark.parametrize("key", ["WATCH", "STATE"])
def test_an_empty_folder_is_refused_by_name(key):
    variables = {"SHARPEDGE_FOLDERS_WATCH": "/drop", f"SHARPEDGE_FOLDERS_{key}": ""}
    with pytest.raises(ConfigError, match=f"SHARPEDGE_FOLDERS_{key}: .*must not be empty"):
        load(None, variables)


@pytest.mark.parametrize("text", ["inf", "nan", "-inf", "1e999"])
@pytest.mark.parametrize("key", ["LIMITS_STAGE_S", "FOLDERS_RESCAN_S", "DELIVERY_RESEND_S"])
def test_a_duration_without_end_is_refused(key, text):
    environment = {"SHARPEDGE_FOLDERS_WATCH": "/films", f"SHARPEDGE_{key}": text}
    with pytest.raises(ConfigError, match=f"SHARPEDGE_{key}"):
        load(None, environment)
