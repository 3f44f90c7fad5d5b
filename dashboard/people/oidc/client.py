"""HTTP to the provider: encrypted, to it alone, with an end to every answer.

Layer: dashboard; sends requests to the addresses that it is given.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client

from dashboard.errors import DashboardError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ANSWER_BYTES = 256 << 10
"""No answer of a provider is longer."""
_READ_S = 5.0


class AnswerError(Exception):
    """What came is no answer; the message is ours and holds nothing of it."""


class Client:
    """Makes connections; each has an end of its own in bytes, and its caller ends it in time."""

    def __init__(self, ca_file: Path | None) -> None:
        try:
            self._tls = ssl.create_default_context(cafile=ca_file)
        except (OSError, ValueError) as error:
            raise DashboardError(
                f"oidc.ca_file: {ca_file} cannot be read ({error}); fix: a PEM file that the "
                "dashboard's user may read"
            ) from None

    async def fetch(self, url: str) -> dict[str, Any]:
        """Fetch a JSON object. Raises `AnswerError` for anything else, and what httpx2 raises."""
        async with httpx2.AsyncClient(**self._bounds()) as client:
            answer = await client.get(url)
            answer.raise_for_status()
        try:
            found = json.loads(answer.content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise AnswerError("no JSON object")
        return found

    async def exchange(
        self, url: str, who: tuple[str, str, str], code: str, verifier: str, redirect_uri: str
    ) -> dict[str, Any]:
        """Exchange a code for tokens; ``who`` is client, secret, and how the secret is sent.

        Raises what authlib and httpx2 raise.
        """
        client_id, secret, method = who
        made = AsyncOAuth2Client(
            client_id, secret, token_endpoint_auth_method=method, redirect_uri=redirect_uri,
            **self._bounds(),
        )  # fmt: skip
        async with made as client:
            found: dict[str, Any] = await client.fetch_token(
                url, grant_type="authorization_code", code=code, code_verifier=verifier,
                redirect_uri=redirect_uri,
            )  # fmt: skip
        return found

    def _bounds(self) -> dict[str, Any]:
        return {
            # Proxies of the environment would go past the transport, and its bounds.
            "transport": _Bounded(self._tls), "trust_env": False, "follow_redirects": False,
            "timeout": _READ_S, "headers": {"accept-encoding": "identity"},
        }  # fmt: skip


class _Bounded(httpx2.AsyncBaseTransport):
    """Ends an answer that is longer than a provider's can be."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the answer may be read up to the bound."""
        answer = await self._inner.handle_async_request(request)
        # A compressed one could become longer than memory.
        if answer.headers.get("content-encoding", "identity") != "identity":
            await answer.aclose()
            raise AnswerError("compressed, which was not asked for")
        stream = answer.stream
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101 - of an asynchronous transport
        return httpx2.Response(
            answer.status_code, headers=answer.headers, stream=_Limited(stream),
            extensions=answer.extensions,
        )  # fmt: skip

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


class _Limited(httpx2.AsyncByteStream):
    """A stream with a longest length."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give pieces up to the bound."""
        read = 0
        async for piece in self._stream:
            read += len(piece)
            if read > ANSWER_BYTES:
                raise AnswerError(f"longer than {ANSWER_BYTES} bytes")
            yield piece

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()
