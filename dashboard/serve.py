"""Serves the dashboard: database, subscriber and pages in one process.

Layer: dashboard; listens on one address, connects to the broker.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn

from dashboard.addresses import as_name, is_loopback
from dashboard.errors import DashboardError
from dashboard.intake.subscriber import Subscriber
from dashboard.intake.writer import Writer
from dashboard.metrics import serve_metrics
from dashboard.people.accounts import Accounts
from dashboard.people.oidc.provider import Provider
from dashboard.people.pace import Pace
from dashboard.people.sessions import Sessions
from dashboard.store.announcements import Announcements
from dashboard.store.database import open_database
from dashboard.web.app import application
from dashboard.web.changes import Changes
from dashboard.web.guard import LOCAL_NAMES
from dashboard.web.site import Site
from edge.contract.vocabulary import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from dashboard.settings import Settings, WebSettings

_CONNECTIONS = 512
_HEADER_BYTES = 16 << 10
_KEEP_ALIVE_S = 10
_STOP_S = 5


class _Server(uvicorn.Server):
    """Ends the streams of open pages before it waits for them."""

    def __init__(self, config: uvicorn.Config, changes: Changes) -> None:
        super().__init__(config)
        self._changes = changes

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal."""
        self._changes.close()
        super().handle_exit(sig, frame)


def serve(settings: Settings, home: Path, say: Callable[[str], None]) -> int:
    """Serve until a signal; 0 where it was served.

    Raises
    ------
    DashboardError
        Where database, broker's certificates or address cannot be used.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    web = settings.web
    _refuse_open(web)
    with _site(settings, home) as site:
        token = site.accounts.setup_token()
        say(f"dashboard: {web.address}/ ({DISCLAIMER})")
        if token is not None:
            say(f"first set-up: open {web.address}/setup and give the token {token}")
        return _run(site)


def _run(site: Site) -> int:
    web = site.settings.web
    names = {*LOCAL_NAMES, as_name(web.host), *web.names}
    if web.public_url is not None:
        names.add(urlsplit(web.public_url).hostname or "")
    config = uvicorn.Config(
        application(site, names), host=web.host, port=web.port,
        ssl_certfile=None if web.certificate_file is None else str(web.certificate_file),
        ssl_keyfile=None if web.key_file is None else str(web.key_file),
        log_level="warning", access_log=False, server_header=False,
        proxy_headers=bool(web.trusted_proxies), forwarded_allow_ips=list(web.trusted_proxies),
        limit_concurrency=_CONNECTIONS, timeout_keep_alive=_KEEP_ALIVE_S,
        h11_max_incomplete_event_size=_HEADER_BYTES, timeout_graceful_shutdown=_STOP_S,
        lifespan="off", ws="none", http="h11",
    )  # fmt: skip
    server = _Server(config, site.changes)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops at either, and then raises it again: a stop that is asked for is no failure.
        signal.signal(number, lambda *_: None)
    server.run()
    return 0 if server.started else 1


@contextlib.contextmanager
def _site(settings: Settings, home: Path) -> Iterator[Site]:
    """The store and the running subscriber; both are stopped at the end."""
    provider = None
    if settings.oidc.issuer is not None:
        provider = Provider(settings.oidc, settings.web.address)
    database = open_database(settings.database_url(home))
    changes = Changes()
    writer = Writer(database, settings.database, changes.tell)
    subscriber = Subscriber(settings.broker, writer)
    announcements = Announcements(database, changes.tell)
    metrics = None
    try:
        announcements.start()
        subscriber.start()
        writer.start()
        site = Site(
            database, settings, Accounts(database), Sessions(database, settings.web.idle_s),
            Pace(), changes, subscriber, provider,
        )  # fmt: skip
        metrics = serve_metrics(site, writer)
        yield site
    finally:
        if metrics is not None:
            metrics.shutdown()
            metrics.server_close()
        subscriber.stop()
        writer.stop()
        announcements.stop()
        database.close()


def _refuse_open(web: WebSettings) -> None:
    """Refuse to send passwords over a network in the clear."""
    if web.certificate_file is None and not is_loopback(web.host):
        raise DashboardError(
            f"web.host {web.host}: reaches the network in the clear; fix: give certificate_file "
            "and key_file, or serve on loopback behind a proxy with TLS and set public_url"
        )
