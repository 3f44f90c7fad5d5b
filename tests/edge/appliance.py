"""Real broker, real daemon process and a collecting subscriber, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema

from edge.contract.schemas import schema_of
from edge.contract.topics import CHANNELS
from edge.delivery.listen import Seen, listen
from edge.delivery.settings import BrokerSettings
from edge.journal.store import Store
from edge.system.device_key import derived_key

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {
    channel.topic.split("/")[0]: jsonschema.Draft202012Validator(schema_of(channel.model))
    for channel in CHANNELS
    if channel.model is not None
}
MOSQUITTO = shutil.which(
    "mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
)
_MAIN = """
import os, sys
from pathlib import Path
if "BREAK" in os.environ:
    import breaking
from edge.config import load
from edge.daemon.appliance import run
sys.exit(run(load(Path(sys.argv[1]))))
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def until(check, timeout_s=20.0, what="the condition"):
    """Wait for something to become true; returns what it gave."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = check()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {timeout_s} s")


class Broker:
    """A Mosquitto of our own on a free loopback port."""

    def __init__(self, folder, extra=""):
        self.port = free_port()
        self.config = folder / f"mosquitto-{self.port}.conf"
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"user {os.environ.get('USER', 'root')}\n{extra}"
        )
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._listens, what="the broker")
        return self

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    @property
    def settings(self):
        return BrokerSettings(port=self.port)


class Subscriber:
    """Collects every message; each must satisfy the JSON Schema of its topic."""

    def __init__(self, settings, receiver=None):
        self.messages = []
        self.seen = Seen()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(settings, receiver), daemon=True)
        self._thread.start()
        assert self._ready.wait(15)

    def _run(self, settings, receiver):
        for message in listen(
            settings,
            client_id=f"test-{id(self)}",
            receiver=receiver,
            seen=self.seen,
            stopped=self._stop.is_set,
            on_connected=lambda _protocol: self._ready.set(),
        ):
            self.messages.append(message)

    def close(self):
        self._stop.set()
        self._thread.join(10)

    def of(self, kind):
        """Models of one kind, in the order of arrival."""
        return [m.message for m in list(self.messages) if m.kind == kind and m.message is not None]

    def wait(self, kind, count, timeout_s=20.0):
        return until(
            lambda: self.of(kind) if len(self.of(kind)) >= count else None,
            timeout_s,
            f"{count} {kind}",
        )

    def check_contract(self):
        for message in self.messages:
            assert message.fault is None, message
            if message.kind in SCHEMAS and message.payload:
                SCHEMAS[message.kind].validate(json.loads(message.payload))


class Appliance:
    """A daemon process over its own folders, with the stand-in as scorer."""

    def __init__(self, folder, port, *, extra="", factory="stand_in:build"):
        self.drop, self.state = folder / "drop", folder / "state"
        self.drop.mkdir(exist_ok=True)
        self.log_path = folder / "daemon.log"
        self.config = folder / "sharpedge.toml"
        text = (
            f'[site]\nname = "clinic"\nroom = "xr1"\ndevice = "box1"\n'
            f'[folders]\nwatch = "{self.drop}"\nstate = "{self.state}"\nrescan_s = 2\n'
            "incomplete_s = 1\n"
            f"[broker]\nport = {port}\n"
        )
        if "[delivery]" not in extra:
            text += '[delivery]\nmode = "puback"\n'
        # The last section: what is extra may go on with its keys.
        text += f'[worker]\nfactory = "{factory}"\n'
        self.config.write_text(text + extra)
        self.process = None

    def extend(self, text):
        """Set keys of a section, before the start."""
        section, *lines = text.splitlines()
        head, _, rest = self.config.read_text().partition(section + "\n")
        own, bracket, others = rest.partition("\n[")
        for line in lines:
            own = re.sub(rf"^{line.split(' = ')[0]} = .*\n?", "", own, flags=re.MULTILINE)
        self.config.write_text(head + text + own + bracket + others)

    def start(self, *, ready=True, environment=None, wrapper=()):
        before = len(self.log())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-X", "dev", "-c", _MAIN, self.config],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/edge'}:{ROOT / 'tests/faults'}",
                    **(environment or {}),
                },
            )
        if ready:
            # Real engines on a machine that is busy with other things.
            until(lambda: "ready: session" in self.log()[before:], 120, what="ready")
        return self

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def put(self, name, data):
        """Copy a film in as a scanner does: write, close."""
        (self.drop / name).write_bytes(data)

    def states(self):
        """Job number to state, as the journal has it."""
        with sqlite3.connect(self.state / "journal.sqlite") as db:
            found = dict(db.execute("SELECT number, state FROM job").fetchall())
        db.close()
        return found

    def rss_mib(self):
        """Memory of the daemon, not of its worker."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def order(self, *words):
        """Run a command of the operator's on this appliance."""
        command = [sys.executable, "-m", "sharpedge.cli", *map(str, words), "--config", self.config]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    def audit(self, *, broker=False):
        """What an audit finds, as its JSON object.

        Without the finding that the appliance does not run: most tests have stopped it.
        """
        done = self.order("audit", "--json", "--broker" if broker else "--no-broker")
        report = json.loads(done.stdout)
        assert report["exit_status"] == done.returncode, done.stderr
        report["findings"] = [it for it in report["findings"] if it["fault"] != "stopped"]
        return report

    def terminate(self, timeout_s=20):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


def chain_holds(appliance):
    """Whether the chained log of a stopped or running appliance verifies."""
    key = derived_key((appliance.state / "device.key").read_bytes(), "journal")
    store = Store(appliance.state / "journal.sqlite", key)
    broken = store.verify()
    store.close()
    return broken is None
