"""Sign-in by OpenID Connect: the way to the provider, the way back, and after signing out.

Layer: dashboard; views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.people import audit
from dashboard.people.oidc import attempts
from dashboard.people.oidc.admission import admit
from dashboard.people.oidc.errors import SignInError
from dashboard.people.oidc.identity import identity_of
from dashboard.web.site import redirect
from dashboard.web.views.sign_in import STALE, TOO_MANY, form, is_own, is_secure, with_session

if TYPE_CHECKING:
    from starlette.responses import Response

    from dashboard.people.oidc.identity import Identity
    from dashboard.people.oidc.provider import Attempt, Provider
    from dashboard.web.site import Asked

_COOKIE = "sharpedge_dashboard_oidc"
_PATH = "/sign-in/oidc"
_OFF = "Sign-in by OpenID Connect is not set up."


def begin(it: Asked) -> Response:
    """Lead to the provider.

    By a page and not by a redirect: the policy for content lets a form lead to this dashboard only.
    """
    provider = it.site.provider
    if provider is None:
        return it.missing(_OFF)
    if it.site.accounts.is_fresh():
        return redirect("/setup")
    if not is_own(it):
        return _again(it, STALE, 400)
    whose = f"address {it.address}"
    if not (it.site.pace.allows(whose) and provider.begun.allows(whose)):
        return _again(it, TOO_MANY, 429)
    provider.begun.note(whose)
    try:
        url, attempt = provider.begin()
    except SignInError as error:
        return _again(it, str(error), error.code)
    secret = attempts.keep(it.site.database, attempt)
    if secret is None:
        return _again(it, str(provider.busy()), 503)
    answer = it.render("lead.html", title=f"To {provider.settings.label}", to=url)
    # Strict, as the other cookies are, it would not come back from the provider's page.
    answer.set_cookie(
        _COOKIE, secret, max_age=attempts.LASTS_S, path=_PATH, httponly=True, samesite="lax",
        secure=is_secure(it),
    )  # fmt: skip
    return answer


def finish(it: Asked) -> Response:
    """Sign in whoever comes back from the provider."""
    provider = it.site.provider
    if provider is None:
        return it.missing(_OFF)
    whose = f"address {it.address}"
    if not it.site.pace.allows(whose):
        return _again(it, TOO_MANY, 429)
    secret, state = it.request.cookies.get(_COOKIE, ""), it.request.query_params.get("state", "")
    attempt = attempts.take(it.site.database, secret, state)
    if attempt is None:
        # Neither counted nor audited: nothing can be guessed here, and any page of the web can
        # send a browser of the clinic to this address.
        return _without_cookie(it, _again(it, _unknown(it, provider), 400))
    try:
        person_pk = _person_of(it, provider, attempt)
    except SignInError as error:
        if error.code < 500:
            it.site.pace.note(whose)
        return _without_cookie(it, _again(it, str(error), error.code))
    # A page and not a redirect: after one, a browser would leave out the session's strict cookie.
    answer = it.render("lead.html", title="Signed in", to="/")
    return _without_cookie(it, with_session(it, answer, person_pk))


def out(it: Asked) -> Response:
    """Say that somebody is signed out here, and lead to the provider's own sign-out."""
    provider = it.site.provider
    if provider is None:
        return it.missing(_OFF)
    if it.session is not None:
        return redirect("/")
    return it.render("signed_out.html", label=provider.settings.label, to=provider.sign_out_url())


def _unknown(it: Asked, provider: Provider) -> str:
    return (
        f"{provider.settings.label}: this sign-in was not begun in this browser, is too old or was "
        f"used before; fix: open {it.site.settings.web.address} and sign in again"
    )


def _person_of(it: Asked, provider: Provider, attempt: Attempt) -> int:
    """Key of the account of whoever comes back. Raises `SignInError`."""
    try:
        who = _identity(it, provider, attempt)
    except SignInError as error:
        with it.site.database.writing() as connection:
            why = f"{error.why}; OpenID Connect"
            audit.note(connection, "-", "sign-in refused", why, it.address)
        raise
    return admit(it.site.database, who, provider.settings, it.address)


def _identity(it: Asked, provider: Provider, attempt: Attempt) -> Identity:
    """Who comes back, as the provider says. Raises `SignInError`."""
    settings, words = provider.settings, it.request.query_params
    # RFC 9207: a provider that states its name must state its own.
    if "error" in words or words.get("iss", settings.issuer) != settings.issuer:
        raise SignInError(
            f"{settings.label}: it did not sign you in; fix: sign in again, or ask its admins",
            403, f"not signed in by the provider: {words.get('error', 'iss')[:40]}",
        )  # fmt: skip
    return identity_of(provider.finish(words.get("code", ""), attempt), settings)


def _again(it: Asked, fault: str, code: int) -> Response:
    only = it.site.settings.oidc.only
    return form(it, "sign_in.html", code, fault=fault, passwords=not only)


def _without_cookie(it: Asked, answer: Response) -> Response:
    answer.delete_cookie(_COOKIE, path=_PATH, httponly=True, samesite="lax", secure=is_secure(it))
    return answer
