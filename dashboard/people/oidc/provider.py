"""The provider: what it offers, the way to its sign-in, and what it says of who comes back.

Layer: dashboard; asks the provider over HTTPS, when somebody signs in and never before.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from dashboard.addresses import is_private
from dashboard.errors import DashboardError
from dashboard.people.oidc.client import AnswerError, Client
from dashboard.people.oidc.errors import SignInError
from dashboard.people.oidc.tokens import claims_of, keys_of
from dashboard.people.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from joserfc.jwk import KeySet

    from dashboard.settings import OidcSettings

log = logging.getLogger(__name__)

DEADLINE_S = 10.0
"""Longest time that a page waits for the provider, however many requests it takes."""
_KNOWN_S = 600.0
"""So long what the provider offers is not asked again."""
_AT_ONCE, _IN_QUEUE, _QUEUE_S = 4, 8, 1.0
"""Pages that may wait for it, and for their turn; more would leave the dashboard no threads."""
_BEGUN_A_MINUTE = 30
"""Sign-ins that one address may begin: each leaves a row for ten minutes."""
RETURN_PATH = "/sign-in/oidc/done"

_Found = TypeVar("_Found")


class Offer(BaseModel):
    """The provider's discovery document, as far as it is used."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)

    @field_validator("authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint")
    @classmethod
    def _private(cls, url: str | None) -> str | None:
        if url is not None and not is_private(url):
            raise ValueError("is no https address")
        return url


@dataclass(frozen=True)
class Attempt:
    """One sign-in that was begun: what the provider must repeat, and what proves it ours."""

    state: str
    nonce: str
    verifier: str


class Provider:
    """One provider; ``address`` is the dashboard's own, ``clock`` gives seconds since 1970.

    Raises `DashboardError` where a file of its settings cannot be read.
    """

    def __init__(
        self, settings: OidcSettings, address: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self._redirect_uri = address + RETURN_PATH
        self._after = address + "/sign-in"
        self._clock = clock
        self._secret = _secret_of(settings)
        self._client = Client(settings.ca_file)
        self.begun = Pace(most=_BEGUN_A_MINUTE)
        self._at_once = threading.BoundedSemaphore(_AT_ONCE)
        self._present = threading.BoundedSemaphore(_AT_ONCE + _IN_QUEUE)
        self._offer: tuple[float, Offer] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def begin(self) -> tuple[str, Attempt]:
        """Give the address of its sign-in, and what to remember. Raises `SignInError`."""
        offer = self._run(self._offered())
        attempt = Attempt(*(secrets.token_urlsafe(32) for _ in range(3)))
        url: str = prepare_grant_uri(
            offer.authorization_endpoint, self.settings.client_id, "code", self._redirect_uri,
            self.settings.scope, attempt.state, nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )  # fmt: skip
        return url, attempt

    def finish(self, code: str, attempt: Attempt) -> dict[str, Any]:
        """Give the claims about who has come back with a code. Raises `SignInError`."""
        return self._run(self._finished(code, attempt))

    def sign_out_url(self) -> str | None:
        """Address of its own sign-out; None where it has none, or nothing is known of it yet.

        It is not asked: whoever signs out would wait for it, and anybody may open that page.
        """
        end = None if self._offer is None else self._offer[1].end_session_endpoint
        if end is None:
            return None
        words = {
            "client_id": self.settings.client_id, "post_logout_redirect_uri": self._after,
        }  # fmt: skip
        return f"{end}{'&' if '?' in end else '?'}{urlencode(words)}"

    async def _offered(self) -> Offer:
        known, now_s = self._offer, self._clock()
        if known is not None and 0 <= now_s - known[0] < _KNOWN_S:
            return known[1]
        issuer = self.settings.issuer or ""
        found = await self._client.fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        offer = Offer.model_validate(found)
        if offer.issuer != issuer:
            log.error("oidc.issuer: the provider calls itself %r", offer.issuer[:200])
            raise self._refused("it has another name than oidc.issuer", "issuer")
        self._offer = (now_s, offer)
        return offer

    async def _signing(self, offer: Offer, *, again: bool = False) -> KeySet:
        known, now_s = self._keys, self._clock()
        if known is not None and 0 <= now_s - known[0] < _KNOWN_S and not again:
            return known[1]
        keys = keys_of(await self._client.fetch(offer.jwks_uri))
        self._keys = (now_s, keys)
        return keys

    async def _finished(self, code: str, attempt: Attempt) -> dict[str, Any]:
        offer, client_id = await self._offered(), self.settings.client_id or ""
        # Sent in the body it needs no quoting, which providers do in different ways.
        posted = "client_secret_post" in offer.token_endpoint_auth_methods_supported
        who = (client_id, self._secret, f"client_secret_{'post' if posted else 'basic'}")
        tokens = await self._client.exchange(
            offer.token_endpoint, who, code, attempt.verifier, self._redirect_uri
        )
        token = tokens.get("id_token")
        if not isinstance(token, str):
            raise self._refused("its answer holds no ID token", "no ID token")

        def checked(keys: KeySet) -> dict[str, Any]:
            return claims_of(token, keys, offer.issuer, client_id, attempt.nonce,
                             tokens.get("access_token"), self._clock())  # fmt: skip

        try:
            return checked(await self._signing(offer))
        except (InvalidKeyIdError, BadSignatureError):
            # It may have changed its keys since.
            return checked(await self._signing(offer, again=True))

    def _run(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        """Wait for the provider, up to the deadline. Raises `SignInError` whatever it answers."""
        if not self._present.acquire(blocking=False):
            work.close()
            raise self.busy()
        try:
            return self._in_turn(work)
        finally:
            self._present.release()

    def busy(self) -> SignInError:
        """Say that too many people sign in."""
        label = self.settings.label
        return SignInError(
            f"{label}: too many people wait for it; fix: try again in a minute", 503, "busy"
        )

    def _in_turn(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        if not self._at_once.acquire(timeout=_QUEUE_S):
            work.close()
            raise self.busy()
        try:
            return _waited(work)
        except SignInError:
            raise
        except JoseError as error:
            claim = getattr(error, "claim", None)
            cause = f"{error.error} {claim}" if isinstance(claim, str) else error.error
            raise self._refused(f"its ID token is not accepted ({cause})", cause) from None
        except OAuthError as error:
            cause = _code_of(error)
            # The code is used or too old, or somebody made it up.
            status = 403 if cause == "invalid_grant" else 502
            raise self._refused(f"it refused the code ({cause})", cause, status) from None
        except (httpx2.TransportError, OSError, asyncio.TimeoutError) as error:
            raise self._away(_words(error)) from None
        except Exception as error:  # noqa: BLE001 - a provider may answer anything
            cause = _words(error)
            raise self._refused(f"its answer is not accepted ({cause})", cause) from None
        finally:
            self._at_once.release()

    def _away(self, cause: str) -> SignInError:
        log.warning("oidc: the provider does not answer: %s", cause)
        return SignInError(
            f"{self.settings.label}: does not answer ({cause}); fix: try again in a minute; "
            "if it stays so, an admin checks oidc.issuer, oidc.ca_file and the network",
            502, f"does not answer: {cause}",
        )  # fmt: skip

    def _refused(self, cause: str, why: str, status: int = 502) -> SignInError:
        log.warning("oidc: %s", cause)
        return SignInError(
            f"{self.settings.label}: {cause}; fix: sign in again; if it stays so, an admin checks "
            "the section [oidc], the client at the provider and both clocks",
            status, why,
        )  # fmt: skip


def _waited(work: Coroutine[Any, Any, _Found]) -> _Found:
    """Do it within the deadline; `asyncio.run` would wait for a name server beyond that."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(work, DEADLINE_S))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _words(error: BaseException) -> str:
    """A cause in a few words, without what a peer could have written into it."""
    if isinstance(error, asyncio.TimeoutError):
        return f"nothing within {DEADLINE_S:.0f} s"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(error, AnswerError):
        return str(error)
    if isinstance(error, httpx2.HTTPStatusError):
        return f"status {error.response.status_code}"
    if isinstance(error, ValidationError):
        return f"discovery: {error.errors(include_url=False)[0]['loc'][0]}"
    return type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _code_of(error: OAuthError) -> str:
    """The provider's code of an error, where it is one."""
    code = error.error
    known = isinstance(code, str) and code.isascii() and code.replace("_", "").isalpha()
    return str(code)[:40] if known else "error"


def _secret_of(settings: OidcSettings) -> str:
    path = settings.client_secret_file
    try:
        lines = path.read_text(encoding="ascii").splitlines() if path is not None else []
    except (OSError, ValueError) as error:
        raise DashboardError(
            f"oidc.client_secret_file: {path} cannot be read ({error}); fix: a file with one line "
            "that the dashboard's user may read"
        ) from None
    if not lines or not lines[0].strip():
        raise DashboardError(
            f"oidc.client_secret_file: {path} is empty; fix: write the client's secret into it"
        )
    return lines[0].strip()
