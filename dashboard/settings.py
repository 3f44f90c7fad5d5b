"""The dashboard's configuration: one TOML file, every key with a default.

Layer: dashboard; reads one file.
"""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dashboard.addresses import as_name, is_loopback, is_private
from dashboard.errors import DashboardError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BrokerSettings(_Section):
    """The section ``[broker]``."""

    host: str = Field(default="127.0.0.1", min_length=1, description="name or address")
    port: int = Field(default=1883, ge=1, le=65535, description="8883 is usual with TLS")
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="auto: MQTT 5, and 3.1.1 where the broker knows no 5"
    )
    receiver: str = Field(
        default="dashboard-1", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="name in receipts, as delivery.receivers of the appliances has it",
    )  # fmt: skip
    account: str = Field(
        default="operator-1", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="topic operator/<account> for decisions; the broker must allow it to this user",
    )  # fmt: skip
    group: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="dashboards of one group share what arrives, over one database; needs MQTT 5",
    )  # fmt: skip
    member: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="name in the group; no two members have the same",
    )  # fmt: skip
    username: str | None = Field(default=None, description="user at the broker")
    password_file: Path | None = Field(default=None, description="its first line is the password")
    ca_file: Path | None = Field(default=None, description="turns TLS on")
    certificate_file: Path | None = Field(default=None, description="our own certificate")
    key_file: Path | None = Field(default=None, description="the certificate's private key")

    @model_validator(mode="after")
    def _pairs(self) -> BrokerSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.certificate_file is not None and self.ca_file is None:
            raise ValueError("certificate_file needs ca_file")
        if (self.group is None) != (self.member is None):
            raise ValueError("group and member go together")
        if self.group is not None and self.protocol == "3.1.1":
            raise ValueError("group needs MQTT 5")
        return self

    @property
    def client_id(self) -> str:
        """Name of the connection, which no other client of the broker has."""
        if self.group is None:
            return f"{self.receiver}-dashboard"
        return f"{self.receiver}-{self.group}-{self.member}"


class DatabaseSettings(_Section):
    """The section ``[database]``."""

    url: str | None = Field(
        default=None,
        description="postgresql+psycopg://user@host/name; default: SQLite in the state folder",
    )
    pictures: int = Field(
        default=20_000, ge=1, description="pictures kept; the oldest go, results stay"
    )
    picture_mib: int = Field(default=8, ge=1, le=64, description="longest picture that is kept")


class WebSettings(_Section):
    """The section ``[web]``."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(default=8490, ge=1, le=65535, description="its port")
    public_url: str | None = Field(
        default=None, description="address in browsers behind a proxy, as https://dash.clinic"
    )
    names: tuple[str, ...] = Field(default=(), description="further names in browsers' addresses")
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="addresses whose X-Forwarded-For and -Proto are believed"
    )
    certificate_file: Path | None = Field(default=None, description="serve TLS with this PEM file")
    key_file: Path | None = Field(default=None, description="the certificate's private key")
    stale_s: float = Field(
        default=120.0, gt=0, description="a device that was silent for longer is marked"
    )
    idle_s: float = Field(
        default=8 * 3600.0, gt=0, description="a session that nobody used for longer ends"
    )

    @model_validator(mode="after")
    def _fits(self) -> WebSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.public_url is not None and urlsplit(self.public_url).scheme not in {
            "http", "https",
        }:  # fmt: skip
            raise ValueError("public_url starts with https:// or http://")
        for proxy in self.trusted_proxies:
            ipaddress.ip_network(proxy)
        return self

    @property
    def address(self) -> str:
        """Where browsers open the dashboard, without a slash at the end."""
        scheme = "https" if self.certificate_file else "http"
        return (self.public_url or f"{scheme}://{as_name(self.host)}:{self.port}").rstrip("/")

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by TLS, so that cookies are for TLS alone."""
        public = self.public_url or ""
        return self.certificate_file is not None or public.startswith("https://")


class OidcSettings(_Section):
    """The section ``[oidc]``: nobody signs in by it unless ``issuer`` is set."""

    issuer: str | None = Field(
        default=None, description="the provider's name, an https address; turns it on"
    )
    client_id: str | None = Field(default=None, description="the dashboard's name there")
    client_secret_file: Path | None = Field(default=None, description="its first line")
    ca_file: Path | None = Field(
        default=None, description="trusted for the provider alone, instead of the system's"
    )
    label: str = Field(
        default="OpenID Connect", min_length=1, max_length=40, description="name on the button"
    )
    scope: str = Field(default="openid profile", description="what is asked for; openid at least")
    name_claim: str = Field(default="name", min_length=1, description="becomes the person's name")
    roles_claim: str = Field(
        default="groups", min_length=1, description="claim with roles; dots lead into objects"
    )
    roles: dict[str, Literal["reader", "operator", "admin"]] = Field(
        default={}, description="which value of it gives which role; others give none"
    )
    only: bool = Field(default=False, description="with passwords only admins sign in")

    @model_validator(mode="after")
    def _whole(self) -> OidcSettings:
        if self.issuer is None:
            if self.model_fields_set:
                raise ValueError("issuer is missing")
            return self
        if not is_private(self.issuer) or "?" in self.issuer:
            raise ValueError("issuer is an https address, or http on this machine")
        for key in ("client_id", "client_secret_file", "roles"):
            if not getattr(self, key):
                raise ValueError(f"issuer needs {key}")
        if "openid" not in self.scope.split():
            raise ValueError("scope holds openid")
        return self


class MetricsSettings(_Section):
    """The section ``[metrics]``."""

    port: int = Field(default=0, ge=0, le=65535, description="HTTP port for Prometheus; 0: none")
    host: str = Field(
        default="127.0.0.1", min_length=1,
        description="address to listen on; nobody is asked who reads, no figure names a patient",
    )  # fmt: skip


class Settings(_Section):
    """The whole configuration."""

    state: Path | None = Field(
        default=None, description="folder of database and token; default: this user's or service's"
    )
    broker: BrokerSettings = BrokerSettings()
    database: DatabaseSettings = DatabaseSettings()
    web: WebSettings = WebSettings()
    oidc: OidcSettings = OidcSettings()
    metrics: MetricsSettings = MetricsSettings()

    @model_validator(mode="after")
    def _reached(self) -> Settings:
        known = self.web.public_url is not None or is_loopback(self.web.host)
        if self.oidc.issuer is not None and not (known and is_private(self.web.address)):
            raise ValueError("oidc needs web.public_url with https, where its provider leads back")
        return self

    def database_url(self, home: Path) -> str:
        """Give the database's URL, which is a file of the state folder unless it is set."""
        return self.database.url or f"sqlite:///{self.folder(home) / 'dashboard.sqlite'}"

    def folder(self, home: Path) -> Path:
        """Give the state folder; ``home`` is where it lies unless it is set."""
        return self.state or home / "dashboard"


def load(path: Path | None) -> Settings:
    """Read the configuration; without a file every key has its default.

    Raises `DashboardError` with file, key and cause.
    """
    if path is None:
        return Settings()
    try:
        found: Mapping[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Settings.model_validate(found)
    except OSError as error:
        raise DashboardError(f"{path}: cannot be read ({error.strerror}); fix: --config") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise DashboardError(f"{path}: {key}: {first['msg']}; fix: correct the key") from None
    except ValueError as error:
        raise DashboardError(f"{path}: no TOML ({error}); fix: correct the line") from None
