"""All checks, in the order of a film's way: configuration, folder, engines, broker, dashboard.

Layer: sharpedge; runs the checks, each protected from the faults of the others.
"""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

from edge import config
from edge.errors import ConfigError
from sharpedge.doctor.box import Box, box_of
from sharpedge.doctor.certificates import check_certificates
from sharpedge.doctor.finding import Finding, failed, ok
from sharpedge.doctor.folder import check_folder
from sharpedge.doctor.ledger import check_ledger
from sharpedge.doctor.machine import check_machine
from sharpedge.doctor.pacs import check_pacs
from sharpedge.doctor.reach import check_reach
from sharpedge.doctor.receiver import check_receiver
from sharpedge.doctor.rights import check_name, check_rights
from sharpedge.doctor.serving import check_engines, check_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONFIGURATION = "configuration"


def examine(config_path: Path | None) -> Iterator[Finding]:
    """Run every check of the appliance of a configuration."""
    try:
        loaded = config.load(config_path)
    except ConfigError as error:
        for line in str(error).splitlines():
            yield failed(CONFIGURATION, line, "the service does not start with it",
                         "correct it; docs/configuration.md lists every key")  # fmt: skip
        return
    box = box_of(loaded, config_path)
    yield ok(
        CONFIGURATION,
        f"{config_path or 'environment'}: {loaded.device.topic()}, "
        f"service account {box.service.name}",
    )
    for check in (check_folder, check_machine, check_engines, check_certificates, _check_broker,
                  check_pacs, check_receiver, check_ledger, check_unit):  # fmt: skip
        yield from _guarded(check, box)


def _guarded(check: Callable[[Box], Iterator[Finding]], box: Box) -> Iterator[Finding]:
    try:
        yield from check(box)
    except OSError as error:
        name = check.__name__.removeprefix("_").removeprefix("check_")
        yield failed(
            name, f"{error.filename or name}: cannot be checked",
            error.strerror or str(error), _who(box),
        )  # fmt: skip


def _who(box: Box) -> str:
    user = getpass.getuser() if os.environ.get("USER") else f"uid {os.geteuid()}"
    return f"run this as root or {box.service.name} (now: {user})"


def _check_broker(box: Box) -> Iterator[Finding]:
    it = box.config
    client_id = it.broker.client_id_of(it.device)
    protocol = yield from check_reach(it.broker, f"{client_id}-doctor")
    if protocol is not None:
        yield from check_name(box, client_id, protocol)
        yield from check_rights(box, client_id, protocol)
