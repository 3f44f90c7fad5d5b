"""Certificates for a trial: an authority of one's own, marked as such.

Layer: sharpedge; runs ``openssl``, writes keys and certificates into one folder.
"""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 90
ORGANISATION = "sharpedge TRIAL - not for patient data"
_OPENSSL_S = 60.0


@dataclass(frozen=True)
class TrialFiles:
    """The authority's certificate, and name to certificate; a key lies beside each."""

    ca: Path
    certificates: dict[str, Path]


def make_trial_tls(folder: Path, device: str, dashboard: str, host: str) -> TrialFiles:
    """Make an authority and certificates for broker, appliance and one dashboard.

    They end after `DAYS` days, and their subject says that they are for a trial. Raises
    `ConfigError` where openssl is missing or fails, or the folder holds an authority already.
    """
    ca = folder / "ca.pem"
    if ca.exists():
        raise ConfigError(f"{ca}: exists already; fix: name another folder with --tls-folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    before = os.umask(0o077)
    try:
        _openssl(
            "req", "-x509", *_new_key(folder / "ca.key"), "-out", ca, "-days", DAYS,
            "-subj", f"/O={ORGANISATION}/CN=trial authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip
        names = {"broker": "broker", device: device, dashboard: dashboard}
        made = {name: _signed(folder, ca, name, _alternatives(host)) for name in names}
    finally:
        os.umask(before)
    for path in (ca, *made.values()):
        path.chmod(0o644)
    return TrialFiles(ca, made)


def _alternatives(host: str) -> str:
    """Names and addresses by which clients may call the broker."""
    names = dict.fromkeys(("localhost", socket.gethostname(), host))
    kinds = [("IP" if _is_address(name) else "DNS", name) for name in names if name]
    return ",".join(f"{kind}:{name}" for kind, name in [*kinds, ("IP", "127.0.0.1")])


def _is_address(name: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in name else socket.AF_INET, name)
    except OSError:
        return False
    return True


def _signed(folder: Path, ca: Path, name: str, alternatives: str) -> Path:
    request, certificate = folder / f"{name}.csr", folder / f"{name}.pem"
    extensions = folder / f"{name}.ext"
    _openssl(
        "req", *_new_key(folder / f"{name}.key"), "-out", request,
        "-subj", f"/O={ORGANISATION}/CN={name}",
    )  # fmt: skip
    usage = "serverAuth" if name == "broker" else "clientAuth"
    lines = ["basicConstraints=CA:FALSE", f"extendedKeyUsage={usage}"]
    lines += [f"subjectAltName={alternatives}"] if name == "broker" else []
    extensions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.with_suffix(".key"),
        "-CAcreateserial", "-out", certificate, "-days", DAYS, "-extfile", extensions,
    )  # fmt: skip
    request.unlink()
    extensions.unlink()
    return certificate


def _new_key(path: Path) -> list[object]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]


def _openssl(*words: object) -> None:
    try:
        subprocess.run(
            ["openssl", *map(str, words)], check=True, capture_output=True, text=True,
            timeout=_OPENSSL_S,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ConfigError("openssl is not installed; fix: apt-get install openssl") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines() or ["no reason given"]
        raise ConfigError(f"openssl {words[0]}: {reason[-1]}") from error
