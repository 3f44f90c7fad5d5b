"""Settings of the sections ``[broker]`` and ``[delivery]``.

Layer: delivery; models only.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.contract.payloads import DeliveryMode
from edge.enums import StrEnum
from edge.model import PictureForm

if TYPE_CHECKING:
    from edge.contract.ids import DeviceName
    from edge.system.local_broker import LocalBroker


class Protocol(StrEnum):
    """Version of MQTT."""

    AUTO = "auto"
    """5, and 3.1.1 where the broker does not support it."""
    V5 = "5"
    V311 = "3.1.1"


def protocol_of(broker: LocalBroker) -> Protocol:
    """Setting ``protocol`` for a broker of `edge.system.local_broker`."""
    return Protocol.AUTO if broker.speaks_mqtt5 else Protocol.V311


class BrokerSettings(BaseModel):
    """The section ``[broker]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    host: str = Field(default="127.0.0.1", min_length=1, description="name or address")
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port; 8883 is usual with TLS")
    protocol: Protocol = Field(
        default=Protocol.AUTO,
        description="auto: MQTT 5, and 3.1.1 where the broker answers that it knows no 5",
    )
    client_id: str | None = Field(
        default=None,
        max_length=128,
        description="default: sharpedge-<site>-<room>-<device>; a changed one leaves an old will",
    )
    username: str | None = Field(default=None, description="user at the broker")
    password_file: Path | None = Field(default=None, description="its first line is the password")
    ca_file: Path | None = Field(default=None, description="turns TLS on")
    certificate_file: Path | None = Field(
        default=None, description="our own certificate, where the broker asks for one"
    )
    key_file: Path | None = Field(default=None, description="the certificate's private key")
    keepalive_s: int = Field(
        default=30,
        ge=5,
        le=3600,
        description="a silent connection is given up after 1.5 times this",
    )
    connect_s: float = Field(default=5.0, gt=0, description="limit for TCP, TLS and CONNACK each")

    def client_id_of(self, device: DeviceName) -> str:
        """Client id of an appliance: as it is set, else made of the words of its topics."""
        return self.client_id or f"sharpedge-{device.site}-{device.room}-{device.device}"

    @model_validator(mode="after")
    def _pairs(self) -> BrokerSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.certificate_file is not None and self.ca_file is None:
            raise ValueError("certificate_file needs ca_file")
        return self


class DeliverySettings(BaseModel):
    """The section ``[delivery]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mode: DeliveryMode = Field(
        default=DeliveryMode.RECEIPT,
        description="receipt: a result is delivered when a dashboard answers on the topic receipt; "
        "puback: when the broker has it, which is weaker: the topic state then says so",
    )
    receivers: tuple[str, ...] = Field(
        default=(), description="dashboards that must all answer; empty: any one"
    )
    resend_s: float = Field(default=30.0, gt=0, description="first repeat of what has no receipt")
    alert_s: float = Field(default=300.0, gt=0, description="an outbox row older than this alerts")
    historical_s: float = Field(default=300.0, gt=0, description="older results are so marked")
    health_s: float = Field(default=30.0, gt=0, description="pace of the topic health")
    study_wait_s: float = Field(default=1800.0, gt=0, description="then a study is incomplete")
    study_ttl_s: float = Field(default=7 * 86400.0, gt=0, description="life of a study's topic")
    images: bool = Field(default=True, description="send the labelled picture of each result")
    picture: PictureForm = Field(
        default=PictureForm.MASKED,
        description="masked: the limb alone, with equalised contrast; framed: in the film's own "
        "grey levels, with one isolated marker of at most two letters, all else black",
    )
    home_assistant: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="announce the appliance to Home Assistant below this topic (its own default "
        "is homeassistant); default: not",
    )
    file_names: bool = Field(
        default=False,
        description="send the scanner's file name, which often names the patient, in `file`",
    )
