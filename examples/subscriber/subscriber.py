"""A dashboard's subscriber in one file: stores each result once, then answers its receipt.

Research use only, not a medical device. Written from docs/contract/asyncapi.json; needs paho-mqtt
alone (pip install paho-mqtt).

    python subscriber.py results.sqlite --host broker.clinic --port 8883 --ca ca.pem

Rules of the contract that it keeps:

- Store first, answer then: without a receipt the appliance sends the message again.
- A message that arrives twice has the same id: keep the first.
- Order by ``sequence`` per device, not by arrival.
- A picture belongs to the result whose id its JPEG comment names.
- A result that ``supersedes`` another replaces it.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

COMMENT = b"sharpedge result "
SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id TEXT, kind TEXT, device TEXT, sequence INTEGER, supersedes TEXT, payload BLOB,
    PRIMARY KEY (id, kind)
)
"""
KINDS = ("result", "reject", "image")


def store(db: sqlite3.Connection, topic: str, payload: bytes) -> str | None:
    """Store a message for good; returns its id, None for what is none of ours."""
    _, site, room, device, kind = topic.split("/")
    if kind == "image":
        at = payload.find(COMMENT)
        if at < 0:
            return None
        ident = payload[at + len(COMMENT) :][:36].decode("ascii", "replace")
        row = (ident, kind, f"{site}/{room}/{device}", None, None, payload)
    else:
        try:
            body = json.loads(payload)
            ident = body["id"]
            row = (ident, kind, f"{site}/{room}/{device}", body["sequence"], body["supersedes"],
                   payload)  # fmt: skip
        except (ValueError, KeyError, TypeError):
            return None
    with db:
        db.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?)", row)
    return str(ident)


def latest(db: sqlite3.Connection) -> list[dict[str, object]]:
    """Results that no other one replaces, in the order in which each device made them."""
    rows = db.execute(
        "SELECT payload FROM message WHERE kind = 'result' AND id NOT IN "
        "(SELECT supersedes FROM message WHERE supersedes IS NOT NULL) ORDER BY device, sequence"
    )
    return [json.loads(row[0]) for row in rows]


def main() -> None:
    """Subscribe until Ctrl-C."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("database")
    words.add_argument("--host", default="127.0.0.1")
    words.add_argument("--port", type=int, default=1883)
    words.add_argument("--name", default="dashboard-1", help="as delivery.receivers names it")
    words.add_argument("--ca", help="the authority's certificate: turns TLS on")
    words.add_argument("--certificate")
    words.add_argument("--key")
    it = words.parse_args()
    db = sqlite3.connect(it.database, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    db.execute(SCHEMA)

    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=f"{it.name}-subscriber", protocol=mqtt.MQTTv5
    )
    if it.ca:
        client.tls_set(it.ca, it.certificate, it.key)

    def on_connect(client: mqtt.Client, *_: object) -> None:
        for kind in KINDS:
            client.subscribe(f"sharpedge/+/+/+/{kind}", qos=1)

    def on_message(client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        ident = store(db, message.topic, message.payload)
        kind = message.topic.rpartition("/")[2]
        print(json.dumps({"kind": kind, "id": ident}), flush=True)
        if ident is not None and kind != "image":
            receipt = json.dumps({"id": ident, "receiver": it.name})
            client.publish(f"{message.topic.rpartition('/')[0]}/receipt", receipt, qos=1)

    client.on_connect, client.on_message = on_connect, on_message
    # The broker keeps what is sent while we are away.
    week = Properties(PacketTypes.CONNECT)
    week.SessionExpiryInterval = 7 * 86400
    client.connect(it.host, it.port, clean_start=False, properties=week)
    try:
        client.loop_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
