"""Checks of the files of ``[broker]``, ``[dicom]``, ``[pacs]``: certificates, keys, password.

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
    """Check each file that a connection needs; nothing where there is no TLS and no password."""
    it = box.config
    yield from _files(box, "broker", it.broker, "the broker is not reached after that")
    if it.dicom.port:
        yield from _files(box, "dicom", it.dicom, "no modality can send films after that")
    if it.pacs.enabled:
        yield from _files(box, "pacs", it.pacs, "the PACS is not reached after that")


def _files(box: Box, section: str, settings: object, without: str) -> Iterator[Finding]:
    """Check the files of one section; ``without`` says what an ended certificate means."""
    for key in ("ca_file", "certificate_file", "key_file", "password_file"):
        path: Path | None = getattr(settings, key, None)
        if path is None:
            continue
        name = f"{section}.{key}"
        fault = _unusable(box, name, path)
        if fault is not None:
            yield fault
        elif key in {"ca_file", "certificate_file"}:
            yield _end(name, path, without)
        else:
            yield _secret(name, path, holds_password=key == "password_file")
    certificate, key_file = (
        getattr(settings, key, None) for key in ("certificate_file", "key_file")
    )
    if certificate is not None and key_file is not None:
        yield from _pair(f"{section}.key_file", certificate, key_file)


def _unusable(box: Box, name: str, path: Path) -> Finding | None:
    who = box.service.name
    if not path.exists() or path.is_dir():
        what = "is a folder" if path.is_dir() else "does not exist, or its folder is closed"
        return failed(name, f"{path}: {what}", f"{name} names no file",
                      f"correct {name}, or put the file there")  # fmt: skip
    if box.service.may(path, "r") is False:
        return failed(
            name, f"{path}: {who} may not read it", owner_of(path),
            f"chgrp {who} {path} && chmod 640 {path}",
        )  # fmt: skip
    return None


def _secret(name: str, path: Path, *, holds_password: bool) -> Finding:
    mode = path.stat().st_mode
    if mode & 0o007:
        return failed(name, f"{path}: every user of this machine may use it", owner_of(path),
                      f"chmod o= {path}")  # fmt: skip
    if holds_password and not path.read_text("utf-8", "replace").split("\n")[0].strip():
        return failed(name, f"{path}: its first line is empty",
                      "the password is the first line", "write the password there")  # fmt: skip
    return ok(name, f"{path}: kept from other users")


def _end(name: str, path: Path, without: str) -> Finding:
    try:
        ends_s = ends_unix_s(path)
    except FileNotFoundError:
        return skipped(name, "openssl is not installed; fix: apt-get install openssl")
    except (ValueError, subprocess.SubprocessError) as error:
        return failed(name, f"{path}: holds no certificate in PEM form", str(error),
                      "convert it: openssl x509 -inform DER -in FILE -out FILE.pem")  # fmt: skip
    left_days = (ends_s - time.time()) / _DAY_S
    day = time.strftime("%Y-%m-%d", time.gmtime(ends_s))
    if left_days <= 0:
        return failed(name, f"{path}: ended on {day}", "the certificate is no longer valid",
                      "renew it; the file is read at the next connection")  # fmt: skip
    if left_days < SOON_DAYS:
        return warning(name, f"{path}: ends on {day}, in {left_days:.0f} days", without,
                       "renew it; the file is read at the next connection")  # fmt: skip
    return ok(name, f"{path}: valid until {day}")


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


def _pair(name: str, certificate: Path, key: Path) -> Iterator[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        yield failed(
            name, f"{key}: does not belong to {certificate}",
            f"{error.reason or error}", "name the certificate and the key that were made together",
        )  # fmt: skip
    except OSError:
        return
