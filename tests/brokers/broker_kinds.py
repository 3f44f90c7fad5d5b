"""Mosquitto, RabbitMQ and NATS of our own, each on free loopback ports, until they are closed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from appliance import MOSQUITTO, free_port, until

_NATS = shutil.which("nats-server") or "/usr/sbin/nats-server"
_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_EPMD = shutil.which("epmd")
_SALT = b"salt"
_STOP_S = 20
_CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04here"


class NoBrokerError(Exception):
    """There is none on this machine; the text says why."""


class Kind:
    """One broker. ``denied`` is the last word of the topics below a device that it refuses."""

    name = ""
    package = ""
    version_command: tuple[str, ...] = ()

    def __init__(self, folder):
        if not self.is_here():
            raise NoBrokerError(f"no {self.name} on this machine (Debian package {self.package})")
        self.folder = folder
        self.port = free_port()
        self.denied = ""
        self._process = None

    @staticmethod
    def is_here():
        raise NotImplementedError

    def start(self):
        self._write()
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, **self._environment()}, start_new_session=True,
            )  # fmt: skip
        until(self._listens, 300, f"{self.name}; {self.folder / 'broker.log'}")
        return self

    def _listens(self):
        """Whether it answers a client: RabbitMQ opens its port some seconds before."""
        place = ("127.0.0.1", self.port)
        with contextlib.suppress(OSError), socket.create_connection(place, 5) as it:
            it.sendall(_CONNECT)
            return it.recv(4) == b"\x20\x02\x00\x00"
        return False

    def kill(self):
        """End it at once, as a power cut does."""
        if self._process is not None:
            # The whole group: RabbitMQ's command is a script that started Erlang.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_S)
            self._process = None

    def close(self):
        self.kill()

    def _environment(self):
        return {}

    def _write(self):
        raise NotImplementedError

    def _command(self):
        raise NotImplementedError


class Mosquitto(Kind):
    name, package = "Mosquitto", "mosquitto"
    version_command = (str(MOSQUITTO), "-h")

    @staticmethod
    def is_here():
        return MOSQUITTO is not None

    def _write(self):
        acl = self.folder / "acl"
        denied = f"topic deny sharpedge/+/+/+/{self.denied}\n" if self.denied else ""
        acl.write_text(f"topic readwrite #\n{denied}")
        (self.folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nacl_file {acl}\n"
            f"user {os.environ.get('USER', 'root')}\npersistence true\n"
            f"persistence_location {self.folder}/\nautosave_interval 1\n"
            "autosave_on_changes true\n"
        )

    def _command(self):
        return [MOSQUITTO, "-c", self.folder / "mosquitto.conf"]


class Nats(Kind):
    name, package = "NATS", "nats-server"
    version_command = (_NATS, "--version")

    @staticmethod
    def is_here():
        return Path(_NATS).is_file()

    def _write(self):
        denied = f'deny: ["sharpedge.*.*.*.{self.denied}"]' if self.denied else 'allow: [">"]'
        (self.folder / "nats.conf").write_text(
            f"listen: 127.0.0.1:{free_port()}\nserver_name: one\n"
            f'jetstream {{ store_dir: "{self.folder}/jetstream" }}\n'
            "authorization { users: [{ user: site, password: site, "
            f"permissions: {{ publish: {{ {denied} }}, subscribe: {{ allow: ['>'] }} }} }}] }}\n"
            f"mqtt {{ host: 127.0.0.1, port: {self.port}, no_auth_user: site }}\n"
        )

    def _command(self):
        return [_NATS, "-c", self.folder / "nats.conf"]


class RabbitMq(Kind):
    name, package = "RabbitMQ", "rabbitmq-server"
    version_command = ("dpkg-query", "--show", "--showformat=${Version}", "rabbitmq-server")

    def __init__(self, folder):
        super().__init__(folder)
        self._epmd_port, self._node_port = free_port(), free_port()
        # Its port mapper would else be started for the whole machine, and stay.
        self._epmd = subprocess.Popen(
            [_EPMD, "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @staticmethod
    def is_here():
        return _RABBIT.is_file() and _EPMD is not None

    def _write(self):
        hashed = _SALT + hashlib.sha256(_SALT + b"guest").digest()
        kinds = [it for it in ("state", "result", "reject", "image", "study", "health", "answer",
                               "receipt", "command", "operator") if it != self.denied]  # fmt: skip
        write = rf"^sharpedge\..+\.({'|'.join(kinds)})(\..*)?$"
        definitions = {
            "users": [{"name": "guest", "password_hash": base64.b64encode(hashed).decode(),
                       "hashing_algorithm": "rabbit_password_hashing_sha256",
                       "tags": "administrator"}],
            "vhosts": [{"name": "/"}],
            "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*",
                             "read": ".*"}],
            "topic_permissions": [{"user": "guest", "vhost": "/", "exchange": "amq.topic",
                                   "write": write, "read": ".*"}],
        }  # fmt: skip
        (self.folder / "definitions.json").write_text(json.dumps(definitions))
        (self.folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "mqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n"
            f"load_definitions = {self.folder}/definitions.json\n"
        )

    def _environment(self):
        return {
            "HOME": str(self.folder), "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "ERL_EPMD_ADDRESS": "127.0.0.1",
        }  # fmt: skip

    def _command(self):
        return [_RABBIT]

    def close(self):
        super().close()
        self._epmd.kill()
        self._epmd.wait()


KINDS = {it.name.lower(): it for it in (Mosquitto, RabbitMq, Nats)}
