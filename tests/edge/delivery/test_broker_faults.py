from __future__ import annotations

import pytest

from edge.delivery.broker_faults import broker_fault
from edge.delivery.link import Failure, LinkError
from edge.delivery.settings import BrokerSettings

BROKER = BrokerSettings(host="mq.clinic", port=8883)


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_names_place_cause_and_fix(failure):
    text = broker_fault(BROKER, LinkError(failure, "the cause"))
    assert text.startswith("mq.clinic:8883: ")
    assert "the cause; fix: " in text


def test_the_number_of_a_system_error_is_left_out():
    text = broker_fault(BROKER, LinkError(Failure.UNREACHABLE, "[Errno 111] Connection refused"))
    assert text == (
        "mq.clinic:8883: unreachable: Connection refused; "
        "fix: start the broker, or correct broker.host and broker.port"
    )


def test_a_plain_client_at_a_port_with_tls_is_told_of_the_authority_file():
    text = broker_fault(BROKER, LinkError(Failure.ENDED, "before CONNACK (Unspecified error)"))
    assert "broker.ca_file" in text
