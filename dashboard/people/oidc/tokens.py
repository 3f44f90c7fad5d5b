"""Checks of an ID token: signature, algorithm, who made it, for whom, when, for which sign-in.

Layer: dashboard; joserfc and authlib over bytes and keys that were fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
)  # fmt: skip
"""Those of key pairs: with ``none`` anybody could sign, with ``HS256`` who knows a public key."""
LEEWAY_S = 60
"""So far may the clocks of the provider and of this machine differ."""
_KEYS = 100
_KINDS: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey}


def keys_of(found: Mapping[str, Any]) -> KeySet:
    """Keys of a JSON Web Key Set that may sign; others, and what is none, are left out."""
    listed = found.get("keys")
    keys: list[Any] = []
    for one in listed[:_KEYS] if isinstance(listed, list) else ():
        if not isinstance(one, dict) or one.get("use", "sig") != "sig":
            continue
        kind = _KINDS.get(str(one.get("kty")))
        if kind is None:
            continue
        try:
            keys.append(kind.import_key(one))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return KeySet(keys)


def claims_of(
    token: str, keys: KeySet, issuer: str, client_id: str, nonce: str, access_token: object,
    now_s: float,
) -> dict[str, Any]:  # fmt: skip
    """Claims of an ID token that is good.

    Raises
    ------
    JoseError
        Where it is not; ``error`` is the code of the cause.

    References
    ----------
    OpenID Connect Core 1.0, section 3.1.3.7.
    """
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    read = jwt.decode(token, keys, registry=registry)
    wanted = {"iss": {"essential": True, "value": issuer},
              "aud": {"essential": True, "value": client_id}}  # fmt: skip
    given = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    claims = CodeIDToken(read.claims, read.header, wanted, given)
    claims.validate(now=int(now_s), leeway=LEEWAY_S)
    return dict(claims)
