import shutil
import socket

import pytest
from doctor_box import box_in, fault, faults

from edge.engine.backend_table import BACKENDS
from edge.system.device_key import device_key
from edge.system.paths import data_root, engines_home
from export.exporter import export_recipes
from sharpedge.doctor import serving
from sharpedge.doctor.serving import check_engines, check_unit


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    recipes = sorted(engines_home().glob("*.toml"))
    assert {it.error for it in export_recipes(recipes, folder)} == {None}
    return folder


@pytest.fixture
def box(tmp_path, exported):
    """A box with two engines below its state folder, signed under the key that lies there."""
    it = box_in(tmp_path)
    shutil.copytree(exported, it.state / "engines" / "built")
    shutil.copy(data_root() / "device.key", it.state / "device.key")
    return it


def test_engines_in_order_have_no_fault(box):
    assert faults(check_engines(box)) == []


def test_a_missing_folder_of_engines_is_found(tmp_path):
    box = box_in(tmp_path, worker={"engines": tmp_path / "none"})
    it = fault(check_engines(box), "engines")
    assert it.fix.endswith("sharpedge export")


def test_engines_of_another_device_are_found(box):
    (box.state / "device.key").unlink()
    device_key(box.state)
    found = [it for it in check_engines(box) if it.level == "failed"]
    assert len(found) == 6
    assert "another device" in found[0].cause


def test_a_changed_engine_is_found(box):
    with (box.state / "engines" / "built" / "hand-detect.onnx").open("ab") as file:
        file.write(b"\0")
    it = fault(check_engines(box), "engines")
    assert "hand-detect" in it.what
    assert "SHA-256" in it.cause


def test_a_passport_that_cannot_be_read_is_found(box):
    (box.state / "engines" / "built" / "hand-detect.json").write_text("{")
    assert "hand-detect" in fault(check_engines(box), "engines").what


@pytest.mark.parametrize("stem", ["foot-detect", "hand-score", "hand-mask"])
def test_a_limb_without_one_of_its_engines_is_found(box, stem):
    (box.state / "engines" / "built" / f"{stem}.json").unlink()
    assert stem in fault(check_engines(box), "engines").what


def asking(box, backend):
    worker = box.config.worker.model_copy(update={"backend": backend})
    return type(box)(box.config.model_copy(update={"worker": worker}), None, box.service)


def test_a_back_end_that_is_not_installed_is_found(box, monkeypatch):
    monkeypatch.setattr(serving, "is_installed", lambda name: name == "onnxruntime")
    it = fault(check_engines(asking(box, "tensorrt")), "back end")
    assert "tensorrt" in it.what
    assert "pip install" in it.fix


def test_a_back_end_without_engines_is_found(box, monkeypatch):
    monkeypatch.setattr(serving, "is_installed", lambda _name: True)
    it = fault(check_engines(asking(box, "openvino")), "back end")
    assert it.fix == "sharpedge build --backend openvino"


def test_a_gpu_that_nobody_uses_is_found(box, monkeypatch):
    monkeypatch.setattr(serving, "is_installed", lambda name: not BACKENDS[name].needs_gpu)
    monkeypatch.setattr(serving, "GPU_NODES", ("/dev/null",))
    assert "/dev/null" in fault(check_engines(box), "GPU").what


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A systemd that is played: what it answers about the unit."""
    properties = {
        "LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active",
        "IPAddressAllow": "127.0.0.0/8 ::1/128", "IPAddressDeny": "::/0 0.0.0.0/0",
    }  # fmt: skip
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (
        ("systemctl", "cat " + str(programs / "show")),
        ("systemd-analyze", "echo '→ Overall exposure level for sharpedge.service: 1.1 OK'"),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(serving, "RUNNING_SYSTEMD", tmp_path)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def answers(**changed):
        lines = [f"{k}={v}" for k, v in (properties | changed).items()]
        (programs / "show").write_text("\n".join(lines))

    answers()
    answers.programs = programs
    return answers


@pytest.mark.usefixtures("systemd")
def test_a_unit_in_order_has_no_fault(tmp_path):
    found = list(check_unit(box_in(tmp_path)))
    assert faults(found) == []
    assert found[-1].what.startswith("1.1 of 10")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"LoadState": "not-found"}, "not installed"),
        ({"ActiveState": "failed"}, "failed"),
        ({"UnitFileState": "disabled"}, "disabled"),
    ],
)
def test_a_unit_that_is_missing_dead_or_disabled_is_found(tmp_path, systemd, changed, text):
    systemd(**changed)
    assert text in fault(check_unit(box_in(tmp_path)), "unit").what


def test_a_broker_that_the_unit_may_not_reach_is_found(tmp_path, systemd):
    box = box_in(tmp_path, broker={"host": "192.0.2.7"})
    assert "IPAddressAllow=192.0.2.7" in fault(check_unit(box), "unit, network").fix
    systemd(IPAddressAllow="127.0.0.0/8 192.0.2.7/32")
    assert faults(check_unit(box)) == []


def test_a_unit_whose_restrictions_were_taken_back_is_found(tmp_path, systemd):
    (systemd.programs / "systemd-analyze").write_text(
        "#!/bin/sh\necho 'Overall exposure level for sharpedge.service: 6.2 MEDIUM'\n"
    )
    assert "6.2" in fault(check_unit(box_in(tmp_path)), "unit, exposure").what


def test_without_systemd_the_unit_is_not_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "RUNNING_SYSTEMD", tmp_path / "none")
    assert [it.level for it in check_unit(box_in(tmp_path))] == ["skipped"]


def test_a_running_appliance_without_its_operator_socket_is_found(tmp_path, monkeypatch):
    box = box_in(tmp_path)
    monkeypatch.setattr(serving, "appliance_runs", lambda _state: True)
    monkeypatch.setattr(serving, "RUNNING_SYSTEMD", tmp_path / "none")
    monkeypatch.setattr(serving, "likely_sockets", lambda *_: (tmp_path / "none.sock",))
    assert "no operator socket" in fault(check_unit(box), "operator socket").what
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "operator.sock"))
        monkeypatch.setattr(serving, "likely_sockets", lambda *_: (tmp_path / "operator.sock",))
        it = box.config.operator.model_copy(update={"group": "no-such-group"})
        other = type(box)(box.config.model_copy(update={"operator": it}), None, box.service)
        assert "no-such-group" in fault(check_unit(other), "operator socket").cause
        it = box.config.operator.model_copy(update={"group": "root"})
        other = type(box)(box.config.model_copy(update={"operator": it}), None, box.service)
        assert faults(check_unit(other)) == []
