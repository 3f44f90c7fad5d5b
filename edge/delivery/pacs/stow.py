"""The way to the PACS by STOW-RS: one document a request; the response is the receipt.

Layer: delivery; opens a connection to the DICOMweb service, reads the site's certificates and
password file.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers

from edge.delivery.pacs.answers import DUPLICATE_INSTANCE, Answer, Verdict, answer_of
from edge.delivery.pacs.carrier import Failure, PacsError
from edge.receive.bounds import cut
from edge.system.lookup import NameLookupError
from edge.system.lookup import connect as connect_to

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection
    from pathlib import Path

    from edge.delivery.pacs.commitments import Reference
    from edge.delivery.pacs.settings import PacsSettings
    from edge.outputs.document import StoredDocument

_LONGEST_ANSWER = 1 << 20
_FAILED, _REFERENCED = "00081198", "00081199"
_INSTANCE, _FAILURE_REASON, _WARNING_REASON = "00081155", "00081197", "00081196"
_LISTED = frozenset({200, 202, 409})
"""Status codes whose body says what became of the instance."""
_LATER = frozenset({408, 425, 429})
_NOT_HERE = frozenset({401, 403, 404, 405, 407})
"""Status codes that say nothing of the document."""


class _Plain(HTTPConnection):
    """Connects within ``timeout``, also where the lookup of the name hangs."""

    def _new_conn(self) -> socket.socket:
        return connect_to(self.host, int(self.port or 80), float(self.timeout or 0))


class _Secure(HTTPSConnection):
    """The same with TLS."""

    def _new_conn(self) -> socket.socket:
        return connect_to(self.host, int(self.port or 443), float(self.timeout or 0))


class StowCarrier:
    """The way by HTTP; documents are not committed to, the response closes them."""

    commits = False

    def __init__(self, settings: PacsSettings) -> None:
        self._settings = settings
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        """Of the connection, which forgets it where the service ends it after its answer."""

    def listen(self) -> None:
        """Nothing is reported."""

    def open(self, classes: Collection[str]) -> None:
        """Connect. Raises `PacsError`."""
        del classes
        it = self._settings
        parts = urlsplit(str(it.url))
        host = str(parts.hostname)
        connection: HTTPConnection
        if parts.scheme == "https":
            connection = _Secure(
                host, parts.port or 443, timeout=it.connect_s, ssl_context=_context(it)
            )
        else:
            connection = _Plain(host, parts.port or 80, timeout=it.connect_s)
        self._connection = connection
        self._connect(connection)

    def _connect(self, connection: HTTPConnection) -> socket.socket:
        """Connect; the TLS handshake as a whole has the limit of the socket. Raises `PacsError`."""
        try:
            connection.connect()
        except NameLookupError as error:
            self.close()
            raise PacsError(Failure.UNRESOLVED, error.strerror or "unknown name") from error
        except TimeoutError as error:
            # The socket is there before the TLS handshake.
            what = "it does not answer" if connection.sock is None else "its TLS does not answer"
            self.close()
            raise PacsError(Failure.UNREACHABLE, f"{what} within pacs.connect_s") from error
        except (HTTPError, http.client.HTTPException, OSError) as error:
            self.close()
            raise PacsError(Failure.UNREACHABLE, _cause(error)) from error
        self._socket = connection.sock
        return connection.sock

    def store(self, document: StoredDocument, path: Path) -> Answer:
        """Store one document. Raises `PacsError`, and `OSError` where its file cannot be read."""
        data = path.read_bytes()
        boundary = secrets.token_hex(16)
        headers = self._headers(boundary)
        body = b"".join((
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            data,
            f"\r\n--{boundary}--\r\n".encode(),
        ))  # fmt: skip
        status, answer = self._post(body, headers)
        if status in _NOT_HERE or 300 <= status < 400:
            raise PacsError(Failure.REJECTED, f"it answers with HTTP status {status}")
        if status in _LATER or status >= 500:
            return Answer(Verdict.BUSY, f"http_{status}")
        if status in _LISTED:
            return read_answer(answer, document.sop_instance)
        return Answer(Verdict.REFUSED, f"http_{status}")

    def probe(self) -> int:
        """Send a request without a document, which stores nothing; returns the HTTP status.

        Raises `PacsError`.
        """
        boundary = secrets.token_hex(16)
        return self._post(f"--{boundary}--\r\n".encode(), self._headers(boundary))[0]

    def _headers(self, boundary: str) -> dict[str, str]:
        return {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
            **self._authorisation(),
        }

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection, it = self._connection, self._settings
        if connection is None:
            raise PacsError(Failure.ENDED, "there is no connection")
        found = connection.sock or self._connect(connection)
        limit = _Limit(found, it.answer_s)
        try:
            with limit:
                found.settimeout(it.answer_s)
                connection.request(
                    "POST", f"{urlsplit(str(it.url)).path}/studies", body, headers,
                    preload_content=False,
                )  # fmt: skip
                response = connection.getresponse()
                answer = response.read(_LONGEST_ANSWER)
        except TimeoutError as error:
            raise PacsError(Failure.SILENT, "no answer within pacs.answer_s") from error
        except (HTTPError, http.client.HTTPException, OSError) as error:
            if limit.was_reached:
                raise PacsError(Failure.SILENT, "no answer within pacs.answer_s") from error
            raise PacsError(Failure.ENDED, _cause(error)) from error
        if limit.was_reached:
            # Where no length was announced, a cut looks like the end.
            raise PacsError(Failure.SILENT, "no answer within pacs.answer_s")
        return int(response.status), answer

    def _authorisation(self) -> dict[str, str]:
        it = self._settings
        if it.username is None:
            return {}
        password = ""
        if it.password_file is not None:
            try:
                lines = it.password_file.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError) as error:
                raise PacsError(Failure.SECRETS, f"password file: {error}") from error
            password = lines[0] if lines else ""
        return dict(make_headers(basic_auth=f"{it.username}:{password}"))

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        self._socket = None
        if connection is not None:
            connection.close()

    def may_ask(self) -> bool:
        """STOW-RS has no commitment."""
        return False

    def ask(self, transaction: str, references: list[Reference]) -> None:
        """STOW-RS has no commitment. Raises `PacsError`."""
        del transaction, references
        raise PacsError(Failure.NOT_OFFERED, "STOW-RS has no commitment")

    def reported(self, transaction: str) -> None:
        """Nothing is reported."""

    def tidy(self) -> None:
        """Nothing waits."""

    def cut(self) -> None:
        """End everything at once; any thread."""
        found = self._socket
        if found is not None:
            cut(found)

    def stop(self) -> None:
        """End everything."""
        self.close()


class _Limit:
    """Cuts a connection where the block takes longer than so many seconds."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.was_reached = False
        self._connection = connection
        self._timer = threading.Timer(seconds, self._reach)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _reach(self) -> None:
        self.was_reached = True
        cut(self._connection)


def read_answer(body: bytes, instance: str) -> Answer:
    """Read the response to a request that stored one instance (PS3.18, 10.5.3).

    An instance that the service does not name as stored is not taken to be.
    """
    try:
        found = json.loads(body)
        listed = found[0] if isinstance(found, list) else found
        for item in _items(listed, _FAILED):
            if _value(item, _INSTANCE) == instance:
                reason = int(_value(item, _FAILURE_REASON) or 0)
                answer = answer_of(reason)
                # Some services list an instance that they have already as failed.
                failed = answer.verdict in {Verdict.BUSY, Verdict.REFUSED}
                if failed or reason == DUPLICATE_INSTANCE:
                    return answer
                return Answer(Verdict.REFUSED, answer.why or "failed")
        for item in _items(listed, _REFERENCED):
            if _value(item, _INSTANCE) == instance:
                warning = _value(item, _WARNING_REASON)
                if warning:
                    return Answer(Verdict.WARNED, f"status_{int(warning):04x}")
                return Answer(Verdict.STORED)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return Answer(Verdict.REFUSED, "unreadable_answer")
    return Answer(Verdict.REFUSED, "not_listed")


def _items(listed: Any, tag: str) -> list[Any]:
    return list(listed.get(tag, {}).get("Value", ()))


def _value(item: Any, tag: str) -> Any:
    values = item.get(tag, {}).get("Value", ())
    return values[0] if values else None


def _context(settings: PacsSettings) -> ssl.SSLContext:
    try:
        ca_file = None if settings.ca_file is None else str(settings.ca_file)
        context = ssl.create_default_context(cafile=ca_file)
        if settings.certificate_file is not None and settings.key_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except (OSError, ValueError) as error:
        raise PacsError(Failure.SECRETS, f"key or certificate: {error}") from error
    return context


def _cause(error: Exception) -> str:
    """Cause of a failed connection; the service's own words are left out."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    if isinstance(inner, ssl.SSLError):
        return inner.reason or "TLS failed"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(inner).__name__
