"""A PostgreSQL server of our own, on a Unix socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

_USER = "nobody"


class NoPostgresError(Exception):
    """There is none on this machine; the text says why."""


class Postgres:
    """Runs until `close`; as another user where the tests are root, because PostgreSQL asks so."""

    def __init__(self, *, durable=False):
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not folders:
            raise NoPostgresError("no PostgreSQL on this machine (Debian package postgresql)")
        self._bin = folders[-1].parent
        # A short path: a socket's name has a limit. Open to the other user.
        self._folder = Path(tempfile.mkdtemp(prefix="sharpedge-pg-"))
        self._numbers = count()
        if os.geteuid() == 0:
            shutil.chown(self._folder, _USER)
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-U", "sharpedge", "-A", "trust", "-N", "--locale=C.UTF-8")
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} "
        options += "" if durable else " -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-o", options, "-l", self._folder / "log", "start")

    def _run(self, program, *words):
        as_user = {"user": pwd.getpwnam(_USER).pw_uid, "extra_groups": []}
        done = subprocess.run(
            [self._bin / program, *map(str, words)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False, cwd=self._folder,
            **(as_user if os.geteuid() == 0 else {}),
        )  # fmt: skip
        if done.returncode:
            raise NoPostgresError(f"{program} failed here (status {done.returncode})")

    @property
    def pid(self):
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    @property
    def template(self):
        """URL of the database of which each new one is a copy."""
        return self._url("template1")

    def new_database(self, template="template1"):
        """URL of a new database, a copy of a template."""
        name = f"dashboard{next(self._numbers)}"
        self._run("createdb", "-h", self._folder, "-U", "sharpedge", "-T", template, name)
        return self._url(name)

    def _url(self, name):
        return f"postgresql+psycopg://sharpedge@/{name}?host={self._folder}"

    def close(self):
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)
