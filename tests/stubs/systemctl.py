#!/usr/bin/env python3
"""systemctl for a root without systemd: starts, stops and shows units as their files describe.

It honours ``ExecStartPre``, ``ExecStart``, ``User``, ``Group``, ``SupplementaryGroups``, ``UMask``,
``Environment``, ``StateDirectory``, ``RuntimeDirectory`` and ``Type=notify``; it confines nothing.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
RUN = Path("/run/systemctl")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The system's own program, where it was moved out of the way: it works on files alone.
REAL = "/usr/bin/systemctl.distrib"
START_S = 240
STOP_S = 60


def settings_of(name: str) -> dict[str, list[str]]:
    """The lines of a unit by their key; exits where there is no such unit."""
    for folder in UNITS:
        path = folder / f"{name}.service"
        if path.is_file():
            break
    else:
        sys.exit(f"Unit {name}.service could not be found.")
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def folders(unit: dict[str, list[str]]) -> dict[str, str]:
    """Make the unit's folders as its user's; returns their variables."""
    variables = {}
    for key, parent in (("State", "/var/lib"), ("Runtime", "/run")):
        for name in unit.get(f"{key}Directory", []):
            place = Path(parent) / name
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(int(unit.get(f"{key}DirectoryMode", ["0755"])[-1], 8))
            owner = unit.get("User", ["root"])[-1]
            subprocess.run(["chown", "-R", f"{owner}:", str(place)], check=True)
            variables[f"{key.upper()}_DIRECTORY"] = str(place)
    return variables


def supervise(
    name: str, unit: dict[str, list[str]], notices: socket.socket, variables: dict[str, str]
) -> None:
    """Run the unit's program and keep what it reports, until it ends."""
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "NOTIFY_SOCKET": notices.getsockname()}
    environment |= variables
    for line in unit.get("Environment", []):
        environment |= dict(word.split("=", 1) for word in shlex.split(line))
    notices.settimeout(0.1)
    with (RUN / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [word for word in shlex.split(unit["ExecStart"][-1]) if not word.startswith("$")],
            env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            user=unit.get("User", ["root"])[-1], group=unit.get("Group", ["root"])[-1],
            extra_groups=" ".join(unit.get("SupplementaryGroups", [])).split(),
            umask=int(unit.get("UMask", ["0022"])[-1], 8),
        )  # fmt: skip
    (RUN / f"{name}.pid").write_text(str(process.pid))
    if unit.get("Type") != ["notify"]:
        (RUN / f"{name}.ready").touch()
    while process.poll() is None:
        with contextlib.suppress(TimeoutError):
            for line in notices.recv(4096).decode().splitlines():
                if line == "READY=1":
                    (RUN / f"{name}.ready").touch()
                elif line.startswith("STATUS="):
                    (RUN / f"{name}.status").write_text(line.removeprefix("STATUS="))
    (RUN / f"{name}.pid").unlink()


def start(name: str) -> None:
    """Start a unit and wait until it is ready."""
    unit = settings_of(name)
    if runs(name):
        return
    RUN.mkdir(exist_ok=True)
    RUN.chmod(0o755)
    for kind in ("ready", "ended", "notify", "status"):
        (RUN / f"{name}.{kind}").unlink(missing_ok=True)
    variables = folders(unit)
    for line in unit.get("ExecStartPre", []):
        # +: as root; -: it may fail.
        command = line.lstrip("+-")
        subprocess.run(shlex.split(command), check="-" not in line[: len(line) - len(command)])
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(RUN / f"{name}.notify"))
    (RUN / f"{name}.notify").chmod(0o777)
    if os.fork() == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        try:
            supervise(name, unit, notices, variables)
        except OSError as error:
            (RUN / f"{name}.log").write_text(f"{error}\n")
        (RUN / f"{name}.ended").touch()
        os._exit(0)
    end_s = time.monotonic() + START_S
    while not (RUN / f"{name}.ready").exists():
        ended = (RUN / f"{name}.ended").exists()
        if ended or time.monotonic() > end_s:
            sys.stderr.write((RUN / f"{name}.log").read_text())
            sys.exit(f"Job for {name}.service failed.")
        time.sleep(0.05)


def stop(name: str) -> None:
    """End a unit, if it runs, and wait for it."""
    settings_of(name)
    pid = RUN / f"{name}.pid"
    if not pid.exists():
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGTERM)
    end_s = time.monotonic() + STOP_S
    while pid.exists():
        if time.monotonic() > end_s:
            sys.exit(f"{name}.service does not stop.")
        time.sleep(0.05)


def status(name: str) -> None:
    """Print what a unit is doing; status 3 where it does not run."""
    settings_of(name)
    active = runs(name)
    print(f"Active: {'active (running)' if active else 'inactive (dead)'}")  # noqa: T201
    text = RUN / f"{name}.status"
    if text.exists():
        print(f'Status: "{text.read_text()}"')  # noqa: T201
    if not active:
        sys.exit(3)


def is_enabled(name: str) -> bool:
    """Whether a target wants the unit."""
    return any(UNITS[0].glob(f"*.wants/{name}.service"))


def runs(name: str) -> bool:
    """Whether the unit's program runs."""
    return (RUN / f"{name}.pid").exists()


def try_restart(pattern: str) -> None:
    """Restart the units of a name with wildcards that run."""
    for path in sorted(RUN.glob(f"{pattern}.pid")):
        restart(path.stem)


def restart(name: str) -> None:
    """Stop a unit, if it runs, and start it."""
    stop(name)
    start(name)


def main() -> None:
    """Do what the command line asks; options that say how to print, or which manager, are none."""
    if any(word.startswith("--root=") for word in sys.argv):
        os.execv(REAL, sys.argv)  # noqa: S606
    words = [word for word in sys.argv[1:] if word not in ("--quiet", "--system", "--")]
    command, *names = [word.removesuffix(".service") for word in words]
    actions = {"start": start, "stop": stop, "restart": restart, "try-restart": try_restart}
    match command, names:
        case "daemon-reload", []:
            pass
        case "enable", ["--now", name]:
            if "WantedBy" not in settings_of(name):
                sys.exit(f"{name}.service has no section [Install].")
            start(name)
        case "status", [name]:
            status(name)
        case "is-enabled", [name]:
            print("enabled" if is_enabled(name) else "disabled")  # noqa: T201
            sys.exit(not is_enabled(name))
        case "is-active", [name]:
            print("active" if runs(name) else "inactive")  # noqa: T201
            sys.exit(0 if runs(name) else 3)
        case _ if command in actions and names:
            for name in names:
                actions[command](name)
        case _:
            sys.exit(f"not known here: systemctl {' '.join(sys.argv[1:])}")


if __name__ == "__main__":
    main()
