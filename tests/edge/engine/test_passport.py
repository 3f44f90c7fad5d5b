"""Nothing of an engine is parsed that was not verified with the device's key."""

import hashlib
import hmac
import json
import stat

import pytest

from edge.engine.key import device_key
from edge.engine.passport import open_engine, read_passport
from edge.errors import EngineError


@pytest.fixture
def path(tmp_path, make_engine):
    return make_engine(tmp_path / "built")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_engine_that_is_verified_is_given_whole(path):
    verified = open_engine(path, device_key())
    assert verified.data == path.with_suffix(".onnx").read_bytes()
    assert verified.passport == read_passport(path)


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_changed_engine_is_refused_with_the_fix(path, at):
    engine = path.with_suffix(".onnx")
    data = bytearray(engine.read_bytes())
    data[at] ^= 1
    engine.write_bytes(data)
    with pytest.raises(EngineError, match=r"SHA-256.*sharpedge export") as caught:
        open_engine(path, device_key())
    assert caught.value.engine == "hand-score"


def test_whoever_edits_engine_and_passport_alike_is_refused(path):
    engine = path.with_suffix(".onnx")
    engine.write_bytes(engine.read_bytes() + b"\0")
    passport = json.loads(path.read_text())
    passport["engine"]["sha256"] = hashlib.sha256(engine.read_bytes()).hexdigest()
    path.write_text(json.dumps(passport))
    with pytest.raises(EngineError, match="not this device's"):
        open_engine(path, device_key())


@pytest.mark.parametrize(
    "changes",
    [
        {"notes": ["harmless"]},
        {"limb": "foot"},
        {"acceptance": {"accepted": True, "reason": "agrees"}},
        {"hmac": "0" * 64},
    ],
)
def test_every_field_of_a_passport_is_signed(path, changes):
    edit(path, **changes)
    with pytest.raises(EngineError, match="not this device's"):
        open_engine(path, device_key())


def test_another_devices_engine_and_an_unsigned_one_are_refused(path):
    with pytest.raises(EngineError, match=r"another device.*fix: sharpedge export"):
        open_engine(path, b"k" * 32)
    edit(path, hmac="")
    with pytest.raises(EngineError, match="not signed"):
        open_engine(path, device_key())


def test_a_plan_names_the_command_that_builds_it_again(path, sign_again):
    sign_again(path, backend="tensorrt")
    with pytest.raises(EngineError, match="fix: sharpedge build hand-score --backend tensorrt"):
        open_engine(path, b"k" * 32)


def test_a_missing_engine_or_passport_is_refused(path):
    path.with_suffix(".onnx").unlink()
    with pytest.raises(EngineError, match="cannot be read"):
        open_engine(path, device_key())
    path.unlink()
    with pytest.raises(EngineError, match="passport cannot be read"):
        open_engine(path, device_key())


@pytest.mark.parametrize(
    ("key", "value"), [("role", "sing"), ("colour", "red"), ("schema_version", 9), ("input", None)]
)
def test_a_passport_of_another_form_is_refused_by_field(path, key, value):
    edit(path, **{key: value})
    with pytest.raises(EngineError, match=key):
        open_engine(path, device_key())


def test_an_engine_outside_the_folder_is_refused(path):
    passport = json.loads(path.read_text())
    edit(path, engine={**passport["engine"], "file": "../other.onnx"})
    with pytest.raises(EngineError, match=r"engine\.file"):
        open_engine(path, device_key())


def test_the_key_is_made_once_for_its_user_alone(tmp_path):
    path = tmp_path / "deep" / "device.key"
    key = device_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert device_key(path) == key
    assert [item.name for item in path.parent.iterdir()] == ["device.key"]


def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path):
    path = tmp_path / "device.key"
    device_key(path)
    path.chmod(0o640)
    with pytest.raises(EngineError, match="chmod 600"):
        device_key(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(EngineError, match="damaged"):
        device_key(path)


def test_a_passport_signed_before_8_bit_engines_existed_is_valid_still(tmp_path, make_engine):
    path = make_engine(tmp_path)
    fields = json.loads(path.read_text())
    del fields["rounded"], fields["site_calibration"], fields["hmac"]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    mac = hmac.new(device_key(), b"engine passport\0" + text.encode(), hashlib.sha256)
    path.write_text(json.dumps({**fields, "hmac": mac.hexdigest()}))
    assert open_engine(path, device_key()).passport.rounded is None
