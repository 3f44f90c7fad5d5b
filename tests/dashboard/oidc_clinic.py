"""The pages with sign-in by OpenID Connect, and the steps of a browser."""

from __future__ import annotations

import html
import re
from urllib.parse import urlsplit

from clinic import BASE, Clinic
from oidc_provider import CLIENT, SECRET

from dashboard.people.oidc.provider import Provider
from dashboard.settings import OidcSettings, Settings, WebSettings

ROLES = {"readers": "reader", "deciders": "operator", "it": "admin"}


def oidc_settings(folder, issuer, **changes):
    """The section [oidc] for a provider of these tests."""
    secret = folder / "client.secret"
    secret.write_text(f"{SECRET}\n")
    values = {"issuer": issuer, "client_id": CLIENT, "client_secret_file": secret, "roles": ROLES,
              "label": "Clinic SSO"}  # fmt: skip
    return OidcSettings(**{**values, **changes})


def oidc_clinic(database, oidc):
    """Pages at http://localhost:8490 where people may sign in at the provider."""
    settings = Settings(web=WebSettings(public_url=BASE), oidc=oidc)
    return Clinic(database, settings, Provider(oidc, BASE))


def begin(client):
    """Press the button; gives the answer."""
    before = re.search(r'name="before" value="([^"]+)"', client.get("/sign-in").text)[1]
    return client.post("/sign-in/oidc", data={"before": before})


def lead(answer):
    """Where a page leads to by itself."""
    return html.unescape(re.search(r'content="0;url=([^"]+)"', answer.text)[1])


def way_back(client, provider):
    """Begin, log in at the provider; gives the path and query to which that leads back."""
    url = lead(begin(client))
    assert url.startswith(f"{provider.issuer}/authorize?")
    parts = urlsplit(provider.log_in(url))
    assert f"{parts.scheme}://{parts.netloc}" == BASE
    return f"{parts.path}?{parts.query}"


def come_back(client, provider):
    """Sign in at the provider; gives the answer to the way back."""
    return client.get(way_back(client, provider))


def fault_of(answer):
    """The sentence about what is wrong on a page."""
    found = re.search(r'class="fault" role="alert">([^<]*)<', answer.text)
    return html.unescape(found[1]) if found else ""
