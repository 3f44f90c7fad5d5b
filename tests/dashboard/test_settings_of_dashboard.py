"""The dashboard's configuration: what is wrong is named with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.errors import DashboardError
from dashboard.settings import Settings, load


def test_without_a_file_everything_has_a_default(tmp_path):
    settings = load(None)
    assert settings == Settings()
    assert settings.database_url(tmp_path) == f"sqlite:///{tmp_path}/dashboard/dashboard.sqlite"


@pytest.mark.parametrize(
    ("text", "says"),
    [("[broker]\nprot = 1\n", "broker.prot"), ("[web]\nport = 0\n", "web.port"), ("x = ", "TOML"),
     ("[broker]\nkey_file = 'k'\n", "go together"), ("[broker]\nreceiver = 'a b'\n", "receiver"),
     ("[web]\npublic_url = 'javascript:x'\n", "https"), ("\xff", "TOML"),
     ("[web]\ntrusted_proxies = ['proxy']\n", "trusted_proxies|proxy")],
)  # fmt: skip
def test_a_wrong_key_is_named_with_the_file(tmp_path, text, says):
    path = tmp_path / "dashboard.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DashboardError, match=says) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "fix:" in str(error.value)


OIDC = "[oidc]\nissuer = 'https://sso.clinic/realms/a'\nclient_id = 'd'\nclient_secret_file = 's'\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [("[oidc]\nonly = true\n", "issuer is missing"), (OIDC, "needs roles"),
     (OIDC + "roles = { a = 'owner' }\n", "oidc.roles"), (OIDC.replace("https", "http"), "https"),
     (OIDC.replace("sso.clinic", "u@sso.clinic"), "https"),
     (OIDC + "roles = { a = 'reader' }\nscope = 'profile'\n", "openid"),
     (OIDC + "roles = { a = 'reader' }\n[web]\nhost = '192.0.2.1'\n", "public_url"),
     (OIDC + "roles = { a = 'reader' }\n[web]\npublic_url = 'http://dash.clinic'\n", "public_url"),
     (OIDC.replace("client_id", "client"), "oidc.client")],
)  # fmt: skip
def test_a_provider_that_could_not_be_trusted_is_refused(tmp_path, text, says):
    path = tmp_path / "dashboard.toml"
    path.write_text(text)
    with pytest.raises(DashboardError, match=says):
        load(path)


def test_a_provider_is_off_unless_it_is_named(tmp_path):
    assert load(None).oidc.issuer is None
    path = tmp_path / "dashboard.toml"
    path.write_text(OIDC + "roles = { a = 'reader' }\n")
    assert load(path).web.address == "http://127.0.0.1:8490"


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(DashboardError, match=r"none\.toml"):
        load(tmp_path / "none.toml")


def test_the_shipped_example_states_the_defaults():
    path = Path(__file__).resolve().parents[2] / "systemd" / "dashboard.toml"
    assert load(path) == Settings()


def test_the_page_and_the_example_name_every_key():
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "dashboard.md").read_text()
    example = (root / "systemd" / "dashboard.toml").read_text()
    for section in ("broker", "database", "web", "oidc", "metrics"):
        for key in Settings.model_fields[section].annotation.model_fields:
            assert f"`{section}.{key}`" in page or f"`{key}`" in page, key
            assert f"# {key} = " in example, (section, key)
