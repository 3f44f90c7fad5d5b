"""Which addresses a secret may be sent to."""

from __future__ import annotations

import pytest

from dashboard.addresses import is_private


@pytest.mark.parametrize(
    ("url", "private"),
    [("https://sso.clinic", True), ("https://sso.clinic:8443/realms/a?b=c", True),
     ("http://127.0.0.1:80/x", True), ("http://localhost", True), ("http://[::1]:8080/", True),
     ("http://sso.clinic", False), ("http://127.0.0.1.evil.example", False), ("https://", False),
     ("https://user@sso.clinic", False), ("https://sso.clinic\\@evil.example", False),
     ("https://sso.clinic/#x", False), ("https://sso.clinic/\n", False), ("//sso.clinic", False),
     ("javascript:alert(1)", False), ("https://a:b", False), ("https://[", False), ("", False),
     ('https://sso.clinic/"', False), ("https://sso.clinic/ x", False)],
)  # fmt: skip
def test_a_secret_goes_by_tls_or_stays_on_this_machine(url, private):
    assert is_private(url) is private
