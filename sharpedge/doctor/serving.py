"""Checks of the engines and the unit: passports, back end, GPU, service, exposure.

Layer: sharpedge; reads the engines' folder, asks systemd.
"""

from __future__ import annotations

import grp
import ipaddress
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.anatomy import Limb
from edge.daemon.state_folder import appliance_runs
from edge.delivery.pacs.settings import Transport
from edge.engine.backend_table import BACKENDS, is_installed
from edge.engine.installed import not_serving, scan
from edge.engine.passport import Role, open_engine
from edge.errors import EngineError
from edge.operator.settings import likely_sockets
from edge.system.device_key import LENGTH
from edge.system.device_key import NAME as KEY_NAME
from edge.system.paths import built_engines, data_root
from sharpedge.doctor.account import owner_of
from sharpedge.doctor.finding import Finding, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.delivery.pacs.settings import PacsSettings
    from edge.engine.installed import Installed
    from sharpedge.doctor.box import Box

ENGINES = "engines"
BACKEND = "back end"
GPU = "GPU"
UNIT = "unit"
OPERATORS = "operator socket"
NETWORK = "unit, network"
EXPOSURE = "unit, exposure"
SERVICE = "sharpedge.service"
RUNNING_SYSTEMD = Path("/run/systemd/system")
GPU_NODES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu")
LARGEST_EXPOSURE = 1.6
_LIMIT_S = 15.0


def check_engines(box: Box) -> Iterator[Finding]:
    """Check every passport of the folder, the back end that is asked for, and the GPU."""
    folder = engines_folder(box)
    who = box.service.name
    export = f"runuser -u {who} -- env SHARPEDGE_HOME={box.state} sharpedge export"
    if not folder.is_dir():
        yield failed(ENGINES, f"{folder}: does not exist", "no engine was exported", export)
        return
    if box.service.may(folder, "rx") is False:
        yield failed(ENGINES, f"{folder}: {who} may not read it", owner_of(folder),
                     f"chown -R {who}: {folder}")  # fmt: skip
        return
    yield from _passports(box, folder, export)
    yield from _backend(box, folder)


def engines_folder(box: Box) -> Path:
    """Folder that the worker loads engines from."""
    if box.config.worker.engines is not None:
        return box.config.worker.engines
    below = box.state / "engines" / "built"
    return below if below.is_dir() or not built_engines().is_dir() else built_engines()


def _passports(box: Box, folder: Path, export: str) -> Iterator[Finding]:
    key = _device_key(box, folder)
    if key is None:
        yield skipped(ENGINES, "the device key cannot be read; fix: run this as root")
        return
    refused = 0
    found: set[tuple[Role, Limb]] = set()
    for item in scan(folder):
        fault = _fault(item, key)
        if fault is None:
            assert item.passport is not None  # noqa: S101 - else there is a fault
            found.add((item.passport.role, item.passport.limb))
            continue
        refused += 1
        why, fix = fault
        if fix.startswith("sharpedge ") and not box.service.is_ours:
            # As another user it would write into that user's folder.
            fix = f"runuser -u {box.service.name} -- env SHARPEDGE_HOME={box.state} {fix}"
        yield failed(ENGINES, f"{item.stem}: does not serve", why, fix)
    missing = [f"{limb}-{role}" for limb in Limb for role in Role if (role, limb) not in found]
    if missing and not refused:
        yield failed(
            ENGINES, f"{folder}: {', '.join(missing)} missing",
            "without a detector a limb is not found, without a scorer it gets no grade", export,
        )  # fmt: skip
    elif not refused:
        yield ok(ENGINES, f"{folder}: each passport is this device's, each file is whole")


def _fault(item: Installed, key: bytes) -> tuple[str, str] | None:
    if item.refusal is not None:
        return item.refusal.why, item.refusal.fix
    try:
        opened = open_engine(item.path, key)
    except EngineError as error:
        return str(error).removesuffix(f" (fix: {error.fix})"), error.fix
    why = not_serving(opened.passport)
    return None if why is None else (why, opened.passport.fix)


def _device_key(box: Box, folder: Path) -> bytes | None:
    """Key of the service: in the state folder, or in the data folder of who built the engines."""
    home = box.state if folder.is_relative_to(box.state) else data_root()
    try:
        return (home / KEY_NAME).read_bytes()[:LENGTH]
    except OSError:
        return None


def _backend(box: Box, folder: Path) -> Iterator[Finding]:
    installed = [name for name in BACKENDS if is_installed(name)]
    wanted = box.config.worker.backend
    if wanted is not None and wanted not in installed:
        extra = BACKENDS[wanted].extra
        yield failed(
            BACKEND, f"{wanted}: is not installed, and worker.backend asks for it",
            f"installed: {', '.join(installed)}",
            f"pip install 'sharpedge[{extra}]', or remove worker.backend",
        )  # fmt: skip
    elif wanted is not None and not any(_is_for(item, wanted) for item in scan(folder)):
        yield failed(
            BACKEND, f"{wanted}: no engine in {folder} is for it, and worker.backend asks for it",
            "engines were not built for it", f"sharpedge build --backend {wanted}",
        )  # fmt: skip
    else:
        yield ok(BACKEND, f"{wanted or 'the fastest'}; installed: {', '.join(installed)}")
    gpu = [node for node in GPU_NODES if Path(node).exists()]
    if gpu and not any(BACKENDS[name].needs_gpu for name in installed):
        yield warning(
            GPU, f"{gpu[0]} is there, and no back end uses it", "TensorRT is not installed",
            "Jetson: docs/jetson.md; else: pip install 'sharpedge[rtx]', then sharpedge build",
        )  # fmt: skip
    else:
        yield ok(GPU, gpu[0] if gpu else "none; the CPU serves")


def _is_for(item: Installed, backend: str) -> bool:
    return item.passport is not None and item.passport.backend == backend


def check_unit(box: Box) -> Iterator[Finding]:
    """Check the service: enabled, active, allowed to reach the broker, exposure."""
    running = appliance_runs(box.state)
    if running:
        yield _operator_socket(box)
    if not RUNNING_SYSTEMD.is_dir():
        yield skipped(UNIT, "systemd does not run here")
        if running:
            yield ok(UNIT, "an appliance runs with this state folder")
        return
    names = ("LoadState", "UnitFileState", "ActiveState", "IPAddressAllow", "IPAddressDeny")
    found = _properties(names)
    if found.get("LoadState") != "loaded":
        yield failed(UNIT, f"{SERVICE}: is not installed", "systemd knows no unit of this name",
                     "install the package, or follow systemd/README.md")  # fmt: skip
        return
    active, enabled = found.get("ActiveState"), found.get("UnitFileState")
    if active != "active":
        yield failed(
            UNIT, f"{SERVICE}: {active}", "it is not running",
            f"systemctl start {SERVICE}; journalctl -u {SERVICE} -n 20 gives the cause",
        )  # fmt: skip
    elif enabled != "enabled":
        yield warning(UNIT, f"{SERVICE}: active, {enabled}", "it does not start with the machine",
                      f"systemctl enable {SERVICE}")  # fmt: skip
    else:
        yield ok(UNIT, f"{SERVICE}: active, enabled")
    yield _network(found, box.config.broker.host)
    if box.config.pacs.enabled:
        yield _network(found, _host_of(box.config.pacs))
    yield _exposure()


def _operator_socket(box: Box) -> Finding:
    """Whether technicians can ask the running appliance."""
    it = box.config.operator
    found = next((p for p in likely_sockets(it, box.state) if p.is_socket()), None)
    if found is None:
        return failed(
            OPERATORS, "the running appliance has no operator socket",
            "operator.socket names a folder that the service may not write, or an older release "
            "runs", f"correct operator.socket, then: systemctl restart {SERVICE}",
        )  # fmt: skip
    try:
        members = grp.getgrnam(it.group).gr_mem
    except KeyError:
        return warning(
            OPERATORS, f"{found}: for {box.service.name} and root alone",
            f"there is no group {it.group}", f"groupadd --system {it.group}, then restart",
        )  # fmt: skip
    who = ", ".join(members) or f"nobody yet: usermod -aG {it.group} NAME"
    return ok(OPERATORS, f"{found}: group {it.group} ({who})")


def _properties(names: tuple[str, ...]) -> dict[str, str]:
    done = subprocess.run(
        ["systemctl", "show", SERVICE, f"--property={','.join(names)}"],
        capture_output=True, text=True, check=False, timeout=_LIMIT_S,
    )  # fmt: skip
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _host_of(it: PacsSettings) -> str:
    return it.host if it.transport is Transport.DICOM else str(urlsplit(str(it.url)).hostname)


def _network(found: dict[str, str], host: str) -> Finding:
    """Whether the unit's list of addresses lets it reach a host."""
    allowed = found.get("IPAddressAllow", "").split()
    if not found.get("IPAddressDeny") or _is_loopback(host) or _covers(allowed, host):
        return ok(NETWORK, f"the unit may reach {host}")
    return failed(
        NETWORK, f"{host}: the unit may not reach it",
        f"IPAddressAllow holds {', '.join(allowed) or 'nothing'}",
        f"systemctl edit {SERVICE}: IPAddressAllow={host if _is_address(host) else 'ADDRESS'}"
        + ("" if _is_address(host) else ", and one line for each name server"),
    )  # fmt: skip


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _covers(allowed: list[str], host: str) -> bool:
    networks = [ipaddress.ip_network(it, strict=False) for it in allowed if "/" in it]
    if not _is_address(host):
        # A name: whether one of its addresses is meant is for the person to judge.
        return any(not network.is_loopback for network in networks)
    return any(ipaddress.ip_address(host) in network for network in networks)


def _exposure() -> Finding:
    if shutil.which("systemd-analyze") is None:
        return skipped(EXPOSURE, "systemd-analyze is not installed")
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", SERVICE],
        capture_output=True, text=True, check=False, timeout=_LIMIT_S,
    )  # fmt: skip
    match = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    if match is None:
        return skipped(EXPOSURE, "systemd-analyze gives no figure")
    level = float(match.group(1))
    if level > LARGEST_EXPOSURE:
        return warning(
            EXPOSURE, f"{level} of 10", "a drop-in takes restrictions of the unit back",
            f"systemctl cat {SERVICE} shows it; keep what a GPU or the drop folder needs",
        )  # fmt: skip
    return ok(EXPOSURE, f"{level} of 10 (lower is better)")
