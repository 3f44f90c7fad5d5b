import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doctor_box import faults

from edge import config
from edge.errors import ConfigError
from sharpedge.doctor.reach import check_reach
from sharpedge.setup.commission import Stated, commission

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed"
)


def test_without_questions_the_defaults_are_written_with_the_next_steps(tmp_path, capsys):
    commission(tmp_path / "s.toml", Stated(), silent=True, replace=False)
    it = config.load(tmp_path / "s.toml", {})
    assert (it.broker.host, it.broker.port, it.broker.ca_file) == ("127.0.0.1", 1883, None)
    told = capsys.readouterr().out
    assert "apt-get install mosquitto" in told
    assert f"sharpedge doctor --config {tmp_path / 's.toml'}" in told
    assert "esearch use only, not a medical device" in told


def test_a_host_means_a_broker_elsewhere(tmp_path):
    commission(tmp_path / "s.toml", Stated(host="mq.clinic"), silent=True, replace=False)
    assert config.load(tmp_path / "s.toml", {}).broker.host == "mq.clinic"
    with pytest.raises(ConfigError, match="--host"):
        commission(tmp_path / "t.toml", Stated(broker="elsewhere"), silent=True, replace=False)
    assert not (tmp_path / "t.toml").exists()


@needs_openssl
def test_a_trials_certificates_connect_appliance_and_broker(tmp_path, make_broker, capsys):
    with_tls = make_broker()
    folder = tmp_path / "tls"
    port = with_tls.port + 1 if with_tls.port < 65535 else 20000
    commission(
        tmp_path / "s.toml", Stated(tls="trial", tls_folder=folder, port=port, device="b7"),
        silent=True, replace=False,
    )  # fmt: skip
    make_broker(
        f"listener {port} 127.0.0.1\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\n"
        f"keyfile {folder}/broker.key\nrequire_certificate true\nuse_identity_as_username true\n"
    )
    it = config.load(tmp_path / "s.toml", {})
    assert faults(check_reach(it.broker, "init-test")) == []
    assert "trial" in capsys.readouterr().out
    subject = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-in", folder / "b7.pem"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "TRIAL" in subject
    assert subject.strip().endswith("b7")


@needs_openssl
def test_private_keys_of_a_trial_are_kept_from_other_users(tmp_path):
    commission(tmp_path / "s.toml", Stated(tls="trial"), silent=True, replace=False)
    keys = list((tmp_path / "tls-trial").glob("*.key"))
    assert len(keys) == 4
    assert [oct(key.stat().st_mode & 0o007) for key in keys] == ["0o0"] * 4
    with pytest.raises(ConfigError, match="exists already"):
        commission(tmp_path / "t.toml", Stated(tls="trial"), silent=True, replace=False)


def test_questions_are_asked_on_a_terminal_and_wrong_answers_asked_again(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sharpedge.cli", "init", "--out", tmp_path / "s.toml"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as running:
        answers = [
            "two words", "ward", "", "b2", "/srv/in", "elsewhere", "", "mq.clinic", "none", "b2",
            "-", "0", "1884",
        ]  # fmt: skip
        os.write(ours, ("\n".join(answers) + "\n").encode())
        told, _ = running.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert running.returncode == 0, told
    it = config.load(tmp_path / "s.toml", {})
    assert str(it.device) == "ward/xray1/b2"
    assert (str(it.folders.watch), it.broker.host) == ("/srv/in", "mq.clinic")
    assert (it.broker.username, it.broker.password_file, it.broker.port) == ("b2", None, 1884)
    assert "letters, digits" in told
    assert "a name or an address" in told
    assert "a number from 1 to 65535" in told


def test_an_existing_file_is_changed_only_with_force_and_only_where_it_is_told(tmp_path):
    path = tmp_path / "s.toml"
    first = Stated(host="mq.clinic", port=1999, username="b1", mode="puback", room="r9")
    commission(path, first, silent=True, replace=False)
    path.write_text(path.read_text().replace("[logs]", "[logs]\nformat = 'json'"))
    with pytest.raises(ConfigError, match="--force"):
        commission(path, Stated(device="b2"), silent=True, replace=False)
    commission(path, Stated(device="b2"), silent=True, replace=True)
    it = config.load(path, {})
    assert str(it.device) == "clinic/r9/b2"
    assert (it.broker.host, it.broker.port, it.broker.username) == ("mq.clinic", 1999, "b1")
    assert (it.delivery.mode, it.logs.format) == ("puback", "json")


@needs_openssl
def test_a_trial_with_a_broker_elsewhere_says_which_files_it_needs(tmp_path, capsys):
    stated = Stated(host="mq.clinic", tls="trial", tls_folder=tmp_path / "tls")
    commission(tmp_path / "s.toml", stated, silent=True, replace=False)
    told = capsys.readouterr().out
    assert f"Copy {tmp_path}/tls/ca.pem, broker.pem and broker.key to mq.clinic" in told


@pytest.mark.parametrize(
    "stated",
    [
        {"broker": "here", "host": "mq.clinic"},
        {"tls": "none", "ca_file": "/etc/ca.pem"},
        {"tls": "trial", "ca_file": "/etc/ca.pem"},
        {"watch": "relative/drop"},
        {"host": "two words"},
        {"ca_file": "/no/such/file.pem"},
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_a_fix(tmp_path, stated):
    paths = {"ca_file", "watch"}
    it = Stated(**{k: Path(v) if k in paths else v for k, v in stated.items()})
    with pytest.raises(ConfigError):
        commission(tmp_path / "s.toml", it, silent=True, replace=False)
    assert list(tmp_path.iterdir()) == []
