"""The error of a sign-in by OpenID Connect.

Layer: dashboard; imports nothing of ours.
"""

from __future__ import annotations


class SignInError(Exception):
    """Nobody is signed in; the message, for the person, names the thing, the cause and the fix.

    ``code`` is the status of the page; ``why`` stands in the audit log.
    """

    def __init__(self, text: str, code: int, why: str) -> None:
        super().__init__(text)
        self.code = code
        self.why = why
