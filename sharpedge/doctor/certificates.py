"""Checks of the files of ``[broker]``: authority, certificate, key, password.

Layer: sharpedge; reads the files, asks ``openssl`` for a certificate's end.
"""

from __future__ import annotations

import ssl
import subprocess
import time
from typing import TYPE_CHECKING

from sharpedge.doctor.account import owner_of
from sharpedge.doctor.finding import Finding, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharpedge.doctor.box import Box

SOON_DAYS = 30.0
_DAY_S = 86400.0
_OPENSSL_S = 10.0


def check_certificates(box: Box) -> Iterator[Finding]:
    """Check each file that the connection needs; nothing where there is no TLS and no password."""
    broker = box.config.broker
    for key in ("ca_file", "certificate_file", "key_file", "password_file"):
        path: Path | None = getattr(broker, key)
        if path is None:
            continue
        fault = _unusable(box, key, path)
        if fault is not None:
            yield fault
        elif key in {"ca_file", "certificate_file"}:
            yield _end(key, path)
        else:
            yield _secret(key, path)
    if broker.certificate_file and broker.key_file:
        yield from _pair(broker.certificate_file, broker.key_file)


def _name(key: str) -> str:
    return f"broker.{key}"


def _unusable(box: Box, key: str, path: Path) -> Finding | None:
    who = box.service.name
    if not path.exists() or path.is_dir():
        what = "is a folder" if path.is_dir() else "does not exist, or its folder is closed"
        return failed(_name(key), f"{path}: {what}", f"{_name(key)} names no file",
                      f"correct {_name(key)}, or put the file there")  # fmt: skip
    if box.service.may(path, "r") is False:
        return failed(
            _name(key), f"{path}: {who} may not read it", owner_of(path),
            f"chgrp {who} {path} && chmod 640 {path}",
        )  # fmt: skip
    return None


def _secret(key: str, path: Path) -> Finding:
    mode = path.stat().st_mode
    if mode & 0o007:
        return failed(_name(key), f"{path}: every user of this machine may use it", owner_of(path),
                      f"chmod o= {path}")  # fmt: skip
    if key == "password_file" and not path.read_text("utf-8", "replace").split("\n")[0].strip():
        return failed(_name(key), f"{path}: its first line is empty",
                      "the password is the first line", "write the password there")  # fmt: skip
    return ok(_name(key), f"{path}: kept from other users")


def _end(key: str, path: Path) -> Finding:
    try:
        ends_s = ends_unix_s(path)
    except FileNotFoundError:
        return skipped(_name(key), "openssl is not installed; fix: apt-get install openssl")
    except (ValueError, subprocess.SubprocessError) as error:
        return failed(_name(key), f"{path}: holds no certificate in PEM form", str(error),
                      "convert it: openssl x509 -inform DER -in FILE -out FILE.pem")  # fmt: skip
    left_days = (ends_s - time.time()) / _DAY_S
    day = time.strftime("%Y-%m-%d", time.gmtime(ends_s))
    if left_days <= 0:
        return failed(_name(key), f"{path}: ended on {day}", "the certificate is no longer valid",
                      "renew it; the file is read at the next connection")  # fmt: skip
    if left_days < SOON_DAYS:
        return warning(_name(key), f"{path}: ends on {day}, in {left_days:.0f} days",
                       "the broker is not reached after that",
                       "renew it; the file is read at the next connection")  # fmt: skip
    return ok(_name(key), f"{path}: valid until {day}")


def ends_unix_s(path: Path) -> float:
    """End of the first certificate of a PEM file.

    Raises `ValueError` where it holds none, `FileNotFoundError` where openssl is not installed.
    """
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", str(path)],
        capture_output=True, text=True, check=False, timeout=_OPENSSL_S,
    )  # fmt: skip
    found = done.stdout.strip().removeprefix("notAfter=")
    if done.returncode != 0 or not found:
        reason = done.stderr.strip().splitlines()
        raise ValueError(reason[0] if reason else "openssl found no certificate")
    return float(ssl.cert_time_to_seconds(found))


def _pair(certificate: Path, key: Path) -> Iterator[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        yield failed(
            _name("key_file"), f"{key}: does not belong to {certificate}",
            f"{error.reason or error}", "name the certificate and the key that were made together",
        )  # fmt: skip
    except OSError:
        return
