"""Experiments with the broker: what we may publish, who listens, whether sessions are kept.

Layer: sharpedge; publishes empty messages, which subscribers pass over.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.contract.payloads import Presence, StateMessage
from edge.contract.topics import CHANNELS
from edge.daemon.state_folder import appliance_runs
from edge.delivery.settings import Protocol
from sharpedge.doctor.client import NO_SUBSCRIBER, Probe, ProbeError, probe_id
from sharpedge.doctor.finding import Finding, failed, ok, skipped, warning
from sharpedge.doctor.reach import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharpedge.doctor.box import Box

RIGHTS = "broker, rights"
SESSION = "broker, sessions"
SUBSCRIBER = "dashboard, subscribed"
NAME_IN_USE = "broker, our name"
_REFUSED = 0x80


def check_rights(box: Box, client_id: str, protocol: Protocol) -> Iterator[Finding]:
    """Publish an empty message to each topic of ours, and connect twice with one session."""
    if protocol is not Protocol.V5:
        why = "a broker of MQTT 3.1.1 acknowledges what it refuses"
        yield skipped(RIGHTS, f"{why}; read its access list against systemd/mosquitto.acl")
        yield skipped(SUBSCRIBER, why)
    else:
        yield from _publish(box, client_id)
    yield _session(box, client_id, v5=protocol is Protocol.V5)


def _publish(box: Box, client_id: str) -> Iterator[Finding]:
    it = box.config
    running = appliance_runs(box.state)
    refused: list[str] = []
    unheard: list[str] = []
    try:
        with Probe(it.broker, probe_id(client_id), v5=True) as probe:
            for channel in CHANNELS:
                # Without a running appliance dashboards know from its will that it is away.
                if not channel.sent_by_device or (channel.topic == "state" and running):
                    continue
                topic = it.device.topic(channel.topic.replace("{study}", "doctor"))
                code = probe.publish(topic)
                if code >= _REFUSED:
                    refused.append(channel.topic)
                elif code == NO_SUBSCRIBER:
                    unheard.append(channel.topic)
    except (OSError, ProbeError) as error:
        yield failed(RIGHTS, f"{place(it.broker)}: the experiment ended early", str(error),
                     "read the broker's log: journalctl -u mosquitto")  # fmt: skip
        return
    if refused:
        yield failed(
            RIGHTS, f"{place(it.broker)}: does not let us publish {', '.join(refused)}",
            f"the broker's access list lacks them below {it.device.topic()} for "
            f"{it.broker.username or 'this user'}",
            "take the block of the appliance from systemd/mosquitto.acl; its user is the word "
            f"site.device ({it.site.device})",
        )  # fmt: skip
    else:
        yield ok(RIGHTS, f"all topics below {it.device.topic()} may be published")
    if "result" in unheard:
        yield failed(
            SUBSCRIBER, "no client subscribes to our results", "no dashboard is connected, or its "
            "access list does not let it read them; results wait in the outbox",
            "start the dashboard; to try: sharpedge listen --receipt try",
        )  # fmt: skip
    elif "result" not in refused:
        yield ok(SUBSCRIBER, "at least one client subscribes to our results")


def check_name(box: Box, client_id: str, protocol: Protocol) -> Iterator[Finding]:
    """Look whether another box publishes under our name: two from one disk image."""
    it = box.config
    try:
        with Probe(it.broker, probe_id(client_id), v5=protocol is Protocol.V5) as probe:
            refused = probe.subscribe(it.device.topic("state")) >= _REFUSED
            payload = None if refused else probe.message()
    except (OSError, ProbeError) as error:
        yield skipped(NAME_IN_USE, str(error))
        return
    try:
        state = StateMessage.model_validate_json(payload or b"")
    except ValidationError:
        state = None
    if state is None or state.state is Presence.OFFLINE or appliance_runs(box.state):
        rivals = [] if state is None else [a for a in state.alerts if a.code == "client_id"]
        if not rivals:
            yield ok(NAME_IN_USE, f"{it.device}: no other box uses it")
            return
    yield failed(
        NAME_IN_USE, f"{it.device}: another box publishes under this name",
        "two boxes were made from one disk image, backup or configuration",
        "give this one its own site.device, and an empty state folder for a device key of its own",
    )  # fmt: skip


def _session(box: Box, client_id: str, *, v5: bool) -> Finding:
    """Leave, have a message sent meanwhile, come back, and look for session and message."""
    it = box.config
    name = probe_id(client_id)
    topic = it.device.topic("doctor", secrets.token_hex(4))
    what = f"{place(it.broker)}: sessions"
    fix = "Mosquitto: persistence true, max_queued_messages 100000 (see systemd/mosquitto.conf)"
    try:
        with Probe(it.broker, name, v5=v5, clean=False) as probe:
            heard = probe.subscribe(topic) < _REFUSED
        with Probe(it.broker, probe_id(client_id), v5=v5) as other:
            heard = heard and other.publish(topic, b"doctor") < _REFUSED
        with Probe(it.broker, name, v5=v5, clean=False) as probe:
            kept = probe.session_present
            got = probe.message() if heard and kept else None
        with Probe(it.broker, name, v5=v5):
            pass
    except (OSError, ProbeError) as error:
        return failed(SESSION, f"{what} cannot be tried", str(error), fix)
    if not kept:
        return failed(SESSION, f"{what} are not kept", "a client that comes back is a new one: "
                      "what was sent meanwhile is lost", fix)  # fmt: skip
    if not heard:
        return ok(SESSION, "kept (their messages not tried: the access list allows no topic for "
                  "it)")  # fmt: skip
    if got is None:
        return warning(
            SESSION, f"{what} are kept without their messages",
            "the broker queues no messages, or its access list refuses the topic of this "
            "experiment without saying so", fix,
        )  # fmt: skip
    return ok(SESSION, "kept, with the messages sent meanwhile")
