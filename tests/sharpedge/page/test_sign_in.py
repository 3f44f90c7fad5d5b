"""The page's token and its sessions."""

from __future__ import annotations

import stat

import pytest

from edge.errors import ConfigError
from sharpedge.page.sign_in import SignIn, page_token, plain

TOKEN = "ABCD-EFGH-JKLM-NPQR-STUV"  # noqa: S105 - of this test


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def test_the_token_is_made_once_for_its_owner_alone(tmp_path):
    token = page_token(tmp_path / "page")
    assert page_token(tmp_path / "page") == token
    assert len(plain(token)) == 20
    assert stat.S_IMODE((tmp_path / "page" / "page.token").stat().st_mode) == 0o600
    assert page_token(tmp_path / "other") != token


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [(TOKEN, 0o644, "chmod 600"), ("short", 0o600, "too short"), ("", 0o600, "too short"),
     ("ü" * 30, 0o600, "not a token")],
)  # fmt: skip
def test_a_token_that_protects_nothing_is_refused(tmp_path, text, mode, says):
    path = tmp_path / "page.token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=says):
        page_token(tmp_path)


def test_a_session_ends_when_nobody_uses_it_and_lasts_while_somebody_does():
    clock = Clock()
    it = SignIn(TOKEN, clock)
    secret = it.begin("Anna", TOKEN)
    for _ in range(3):
        clock.now_s += 11 * 3600
        assert it.session(secret).name == "Anna"
    clock.now_s += 13 * 3600
    assert it.session(secret) is None
    assert it.session(None) is None


def test_each_session_has_secrets_of_its_own_and_the_oldest_makes_room():
    clock = Clock()
    it = SignIn(TOKEN, clock)
    secrets = []
    for _ in range(70):
        clock.now_s += 1
        secrets.append(it.begin("A", TOKEN))
    assert len(set(secrets)) == 70
    alive = [one for one in secrets if it.session(one)]
    assert alive == secrets[-64:]
    assert len({it.session(one).csrf for one in alive}) == 64


def test_failures_count_for_a_minute():
    clock = Clock()
    it = SignIn(TOKEN, clock)
    for _ in range(10):
        assert it.may_try()
        assert it.begin("A", "wrong") is None
    assert not it.may_try()
    clock.now_s += 61
    assert it.may_try()
