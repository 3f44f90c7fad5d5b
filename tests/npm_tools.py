"""Programs from npm that judge documents of ours: installed once, in an ignored folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "tests" / "npm"
FOLDER = ROOT / "build" / "npm"
PACKAGES = ("@asyncapi/parser@3.6.6", "ajv@8.20.0", "ajv-formats@3.0.1", "mqtt@5.16.0")
OLDEST_NODE = 18
_INSTALL_S = 240


class NoNpmToolsError(Exception):
    """They cannot be had on this machine; the text says why."""


class NpmTools:
    """The scripts of ``tests/npm`` with packages that they import, in a folder of their own.

    Raises `NoNpmToolsError` where node or npm is missing or the packages cannot be installed.
    """

    def __init__(self, folder=FOLDER, packages=PACKAGES):
        self._folder, self._packages = folder, packages
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                raise NoNpmToolsError(
                    f"{program} is not installed (Debian packages nodejs and npm)"
                )
        version = subprocess.run(
            ["node", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
            raise NoNpmToolsError(f"node is {version}; needs {OLDEST_NODE} or newer")
        done = folder / "installed.json"
        if not done.is_file() or json.loads(done.read_text()) != list(packages):
            self._install()
            done.write_text(json.dumps(packages))
        for script in SCRIPTS.glob("*.mjs"):
            # Imports are looked up from where a script lies.
            shutil.copy(script, folder)

    def _install(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
        command = ["npm", "install", *options, "--prefix", str(self._folder), *self._packages]
        try:
            done = subprocess.run(
                command, cwd=self._folder, capture_output=True, text=True, check=False,
                timeout=_INSTALL_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise NoNpmToolsError(f"npm took more than {_INSTALL_S} s") from error
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise NoNpmToolsError(f"npm cannot install {', '.join(self._packages)}: {lines[0]}")

    def package(self, name):
        """Folder of an installed package."""
        return self._folder / "node_modules" / name

    def place(self, script):
        """Put a script where its imports are found; returns the copy's path."""
        return Path(shutil.copy(script, self._folder))

    def run(self, script, *arguments):
        """Run a script of ``tests/npm``; returns what it prints, a JSON object a line."""
        command = ["node", script, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
