"""What ``sharpedge init`` does: ask, make certificates for a trial, write, say what comes next.

Layer: sharpedge; reads the terminal, writes the configuration and certificates.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config import Config, load
from edge.errors import ConfigError
from edge.model import DISCLAIMER
from edge.system.paths import shared_file
from edge.system.terminal import say
from sharpedge.setup.questions import Asker, name_fault, port_fault, word_fault
from sharpedge.setup.template import EXAMPLE, Answers, write
from sharpedge.setup.trial_tls import DAYS, TrialFiles, make_trial_tls

if TYPE_CHECKING:
    from edge.delivery.settings import BrokerSettings

HERE, ELSEWHERE = "here", "elsewhere"
NONE, TRIAL, FILES = "none", "trial", "files"
DASHBOARD = "dashboard-1"
"""The dashboard that ``systemd/mosquitto.acl`` names."""
_PLAIN_PORT, _TLS_PORT = 1883, 8883
_GROUP = "sharpedge"


@dataclass(frozen=True)
class Stated:
    """What the command line stated; None is asked for, or takes its default."""

    site: str | None = None
    room: str | None = None
    device: str | None = None
    watch: Path | None = None
    state: Path | None = None
    broker: str | None = None
    host: str | None = None
    port: int | None = None
    username: str | None = None
    password_file: Path | None = None
    tls: str | None = None
    tls_folder: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    mode: str | None = None


def commission(out: Path, stated: Stated, *, silent: bool, replace: bool) -> None:
    """Write the configuration of an appliance. Raises `ConfigError` and `OSError`.

    With ``replace`` an existing file is changed: what is neither stated nor asked for stays.
    """
    if out.exists() and not replace:
        raise ConfigError(
            f"{out}: exists already; fix: edit it, name another file with --out, or change it "
            "with --force"
        )
    _refuse_contradictions(stated)
    ask = Asker(silent=silent)
    before = _Before.of(out)
    site, folders = before.config.site, before.config.folders
    name = ask.text(stated.site, "Site, first word of every topic", site.name, word_fault)
    room = ask.text(stated.room, "Room", site.room, word_fault)
    device = ask.text(stated.device, "Name of this box", site.device, word_fault)
    watch = ask.text(_path(stated.watch), "Folder that the scanner writes to", str(folders.watch))
    where, host = _broker(stated, ask, before.config.broker)
    tls, files, trial = _certificates(stated, ask, before.config.broker, out, device, host)
    username, password_file = _account(stated, ask, before.config.broker)
    _refuse_missing(*files, password_file)
    answers = Answers(
        name, room, device, Path(watch), stated.state, host,
        _port(stated, ask, before, tls),
        username, password_file, *files,
        stated.mode or str(before.config.delivery.mode),
    )  # fmt: skip
    write(out, answers, before.text)
    say(_summary(out, trial, where, host))


@dataclass(frozen=True)
class _Before:
    """The configuration that is changed, or the defaults of a new one."""

    config: Config
    text: str | None

    @classmethod
    def of(cls, path: Path) -> _Before:
        if path.exists():
            return cls(load(path, {}), path.read_text(encoding="utf-8"))
        first = {
            "site": {"name": "clinic", "room": "xray1", "device": "box1"},
            "folders": {"watch": "/srv/sharpedge/drop"},
        }
        return cls(Config.model_validate(first), None)


def _broker(stated: Stated, ask: Asker, before: BrokerSettings) -> tuple[str, str]:
    """Where the broker is, and its name."""
    was_here = before.host in {"127.0.0.1", "localhost", "::1"}
    default = ELSEWHERE if stated.host else None
    where = ask.choice(
        stated.broker or default,
        "MQTT broker on this box or elsewhere",
        (HERE, ELSEWHERE) if was_here else (ELSEWHERE, HERE),
    )
    if where == HERE:
        return where, before.host if was_here else "127.0.0.1"
    known = "" if was_here else before.host
    host = ask.text(stated.host, "Broker's name or address", known, name_fault)
    if not host:
        raise ConfigError("the broker's name is not stated; fix: --host NAME")
    return where, host


def _certificates(
    stated: Stated, ask: Asker, before: BrokerSettings, out: Path, device: str, host: str
) -> tuple[str, tuple[Path | None, Path | None, Path | None], TrialFiles | None]:
    """Choice, then authority, certificate and key, then what was made for a trial."""
    choices = (NONE, TRIAL, FILES) if before.ca_file is None else (FILES, NONE, TRIAL)
    tls = ask.choice(
        stated.tls or (FILES if stated.ca_file else None),
        "Certificates: none, for a trial, or files of the site's authority",
        choices,
    )
    if tls == NONE:
        return tls, (None, None, None), None
    if tls == TRIAL:
        folder = (stated.tls_folder or out.parent / "tls-trial").absolute()
        trial = make_trial_tls(folder, device, DASHBOARD, host)
        key = trial.certificates[device].with_suffix(".key")
        _let_service_read(folder, key)
        return tls, (trial.ca, trial.certificates[device], key), trial
    ca = before.ca_file or Path("/etc/sharpedge/ca.pem")
    files = [Path(ask.text(_path(stated.ca_file), "The authority's certificate (PEM)", str(ca)))]
    certificate = _optional(
        ask, stated.certificate_file, "Our certificate (PEM)", before.certificate_file
    )
    key_file = None
    if certificate is not None:
        key_file = _optional(ask, stated.key_file, "Its private key", before.key_file)
    return tls, (files[0], certificate, key_file), None


def _account(stated: Stated, ask: Asker, before: BrokerSettings) -> tuple[str | None, Path | None]:
    username = ask.text(stated.username, "User at the broker, - for none", before.username or "-")
    if username == "-":
        return None, stated.password_file
    password_file = _optional(
        ask, stated.password_file, "File whose first line is the password", before.password_file
    )
    return username, password_file


def _port(stated: Stated, ask: Asker, before: _Before, tls: str) -> int:
    """The broker's port; by default the one of before, where it is not the other kind's."""
    own, other = (_PLAIN_PORT, _TLS_PORT) if tls == NONE else (_TLS_PORT, _PLAIN_PORT)
    was = before.config.broker.port
    default = own if before.text is None or was == other else was
    port = None if stated.port is None else str(stated.port)
    return int(ask.text(port, "Broker's port", str(default), port_fault))


def _optional(ask: Asker, stated: Path | None, question: str, before: Path | None) -> Path | None:
    found = ask.text(_path(stated), f"{question}, - for none", _path(before) or "-")
    return None if found == "-" else Path(found)


def _refuse_contradictions(stated: Stated) -> None:
    """Refuse options that exclude each other, and paths that depend on where one stands."""
    if stated.broker == HERE and stated.host:
        raise ConfigError("--broker here and --host exclude each other; fix: leave one out")
    files = (stated.ca_file, stated.certificate_file, stated.key_file)
    if stated.tls in {NONE, TRIAL} and any(files):
        raise ConfigError(
            f"--tls {stated.tls} and certificate files exclude each other; fix: --tls files"
        )
    if stated.host is not None and any(it.isspace() for it in stated.host):
        raise ConfigError(f"--host {stated.host}: is no name or address")
    for path in (stated.watch, stated.state, stated.password_file, *files):
        if path is not None and not path.is_absolute():
            raise ConfigError(f"{path}: depends on the folder; fix: a path that starts with /")


def _refuse_missing(*files: Path | None) -> None:
    for path in files:
        if path is not None and not path.is_file():
            raise ConfigError(f"{path}: there is no such file; fix: put it there first")


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _let_service_read(folder: Path, key: Path) -> None:
    """Give the service's group the folder and the appliance's key, where there is that group."""
    with contextlib.suppress(LookupError, PermissionError):
        for path, mode in ((folder, 0o750), (key, 0o640)):
            shutil.chown(path, group=_GROUP)
            path.chmod(mode)


def _summary(out: Path, trial: TrialFiles | None, where: str, host: str) -> str:
    lines = [f"{out}: written. {DISCLAIMER.capitalize()}.", ""]
    if trial is not None:
        folder = trial.ca.parent
        lines += [
            f"Certificates for a trial, for {DAYS} days: {folder}",
            "They are of an authority of this box's own. Use the site's before patients' films.",
        ]
    steps = []
    if where == HERE and trial is None:
        steps.append("apt-get install mosquitto")
    elif where == HERE and trial is not None:
        folder, shipped = trial.ca.parent, shared_file(EXAMPLE).parent
        steps += [
            "apt-get install mosquitto",
            f"install -D -m 644 {shipped}/mosquitto.conf /etc/mosquitto/conf.d/sharpedge.conf",
            f"install -m 640 -g mosquitto {shipped}/mosquitto.acl /etc/mosquitto/sharpedge.acl",
            f"install -m 644 {folder}/ca.pem {folder}/broker.pem /etc/mosquitto/certs/",
            f"install -m 640 -g mosquitto {folder}/broker.key /etc/mosquitto/certs/",
            "systemctl restart mosquitto",
        ]
    if where == ELSEWHERE and trial is not None:
        folder = trial.ca.parent
        lines += [
            f"Copy {folder}/ca.pem, broker.pem and broker.key to {host}, have its broker use them,",
            f"and the dashboard {DASHBOARD}.pem and {DASHBOARD}.key; then restart that broker.",
        ]
    steps += [f"sharpedge doctor --config {out}", "systemctl restart sharpedge"]
    return "\n".join([*lines, "Next, as root:", *(f"  {step}" for step in steps)])
