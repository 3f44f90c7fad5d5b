"""What ``sharpedge init`` does: ask, make certificates for a trial, write, say what comes next.

Layer: sharpedge; reads the terminal, writes the configuration and certificates.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError
from edge.model import DISCLAIMER
from edge.system.paths import shared_file
from edge.system.terminal import say
from sharpedge.setup.questions import Asker, word_fault
from sharpedge.setup.template import EXAMPLE, Answers, write
from sharpedge.setup.trial_tls import DAYS, TrialFiles, make_trial_tls

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
    """Write the configuration of an appliance. Raises `ConfigError` and `OSError`."""
    if out.exists() and not replace:
        raise ConfigError(f"{out}: exists already; fix: edit it, or replace it with --force")
    _refuse_contradictions(stated)
    ask = Asker(silent=silent)
    site = ask.text(stated.site, "Site, first word of every topic", "clinic", word_fault)
    room = ask.text(stated.room, "Room", "xray1", word_fault)
    device = ask.text(stated.device, "Name of this box", "box1", word_fault)
    watch = ask.text(_path(stated.watch), "Folder that the scanner writes to",
                     "/srv/sharpedge/drop")  # fmt: skip
    default = ELSEWHERE if stated.host else None
    where = ask.choice(stated.broker or default, "MQTT broker on this box or elsewhere",
                       (HERE, ELSEWHERE))  # fmt: skip
    host = "127.0.0.1"
    if where == ELSEWHERE:
        host = ask.text(stated.host, "Broker's name or address", "")
        if not host:
            raise ConfigError("the broker's name is not stated; fix: --host NAME")
    tls = ask.choice(stated.tls or (FILES if stated.ca_file else None),
                     "Certificates: none, for a trial, or files of the site's authority",
                     (NONE, TRIAL, FILES))  # fmt: skip
    trial = None
    ca, certificate, key = stated.ca_file, stated.certificate_file, stated.key_file
    if tls == TRIAL:
        folder = (stated.tls_folder or out.parent / "tls-trial").absolute()
        trial = make_trial_tls(folder, device, DASHBOARD, host)
        ca, certificate = trial.ca, trial.certificates[device]
        key = certificate.with_suffix(".key")
        _let_service_read(folder, key)
    elif tls == FILES and ca is None:
        ca = Path(ask.text(None, "The authority's certificate (PEM)", "/etc/sharpedge/ca.pem"))
    _refuse_missing(ca, certificate, key, stated.password_file)
    answers = Answers(
        site, room, device, Path(watch), stated.state, host,
        stated.port or (_PLAIN_PORT if tls == NONE else _TLS_PORT),
        stated.username, stated.password_file, ca, certificate, key, stated.mode or "receipt",
    )  # fmt: skip
    write(out, answers, replace=replace)
    say(_summary(out, trial, where))


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


def _summary(out: Path, trial: TrialFiles | None, where: str) -> str:
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
    steps += [f"sharpedge doctor --config {out}", "systemctl restart sharpedge"]
    return "\n".join([*lines, "Next, as root:", *(f"  {step}" for step in steps)])
