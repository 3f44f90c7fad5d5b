"""What the provider answers: good tokens are believed, every other kind is refused."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import socket
import ssl
import threading
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
from appliance import until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from oidc_clinic import oidc_settings
from oidc_provider import CLIENT, KEY, TestProvider

from dashboard.errors import DashboardError
from dashboard.people.oidc import provider as module
from dashboard.people.oidc.client import ANSWER_BYTES
from dashboard.people.oidc.errors import SignInError
from dashboard.people.oidc.provider import Provider

BASE = "https://dash.clinic"
OTHER, CURVE = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def provider(sso, tmp_path):
    return Provider(oidc_settings(tmp_path, sso.issuer), BASE)


def signed_in(provider, sso):
    """Claims after a whole sign-in."""
    url, attempt = provider.begin()
    return provider.finish(parse_qs(urlsplit(sso.log_in(url)).query)["code"][0], attempt)


def refusal(provider, sso, code=502):
    with pytest.raises(SignInError, match="fix:") as error:
        signed_in(provider, sso)
    assert error.value.code == code
    assert "<" not in str(error.value)
    return str(error.value)


def test_nothing_is_asked_before_somebody_signs_in(provider, sso):
    assert sso.asked == []
    assert signed_in(provider, sso)["sub"] == "s-1"
    assert sso.asked == [DISCOVERY, "/token", "/jwks"]
    signed_in(provider, sso)
    assert sso.asked[3:] == ["/token"]


def test_the_address_of_its_sign_in_binds_the_answer(provider):
    url, attempt = provider.begin()
    words = {key: value[0] for key, value in parse_qs(urlsplit(url).query).items()}
    assert words.pop("redirect_uri") == f"{BASE}/sign-in/oidc/done"
    assert words.pop("code_challenge_method") == "S256"
    assert attempt.verifier not in url
    assert len({words.pop("state"), words.pop("nonce"), words.pop("code_challenge")}) == 3
    assert words == {"response_type": "code", "client_id": CLIENT, "scope": "openid profile"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"iss": "https://evil.example"}, "invalid_claim iss"), ({"iss": None}, "missing_claim iss"),
     ({"aud": "other"}, "invalid_claim aud"), ({"aud": ["other"]}, "invalid_claim aud"),
     ({"aud": None}, "missing_claim aud"), ({"aud": 7}, "invalid_claim aud"),
     ({"aud": [CLIENT, "other"]}, "missing_claim azp"),
     ({"aud": [CLIENT, "other"], "azp": "other"}, "invalid_claim azp"),
     ({"azp": "other"}, "invalid_claim azp"), ({"azp": [CLIENT]}, "invalid_claim azp"),
     ({"exp": int(time.time()) - 90}, "expired_token"), ({"exp": None}, "missing_claim exp"),
     ({"exp": "never"}, "invalid_claim exp"), ({"exp": True}, " exp"),
     ({"iat": int(time.time()) + 600}, "invalid_claim iat"), ({"iat": None}, "missing_claim iat"),
     ({"nbf": int(time.time()) + 600}, "invalid_claim nbf"),
     ({"nonce": "of another"}, "invalid_claim nonce"), ({"nonce": None}, "missing_claim nonce"),
     ({"nonce": ["x"]}, "invalid_claim nonce"), ({"at_hash": "wrong"}, "invalid_claim at_hash"),
     ({"sub": None}, "missing_claim sub"), ({"sub": 7}, "invalid_claim sub")],
)  # fmt: skip
def test_a_token_with_a_wrong_claim_is_refused(provider, sso, changes, says):
    sso.changes = changes
    assert says in refusal(provider, sso)


def test_clocks_may_differ_by_less_than_a_minute_and_there_may_be_several_audiences(provider, sso):
    now_s = int(time.time())
    sso.changes = {"exp": now_s - 40, "iat": now_s + 40, "aud": [CLIENT, "other"], "azp": CLIENT}
    assert signed_in(provider, sso)["sub"] == "s-1"


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def by_public_key(_header, claims):
    """The mix-up: the public key, which everybody knows, as a shared secret."""
    signed = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims)}"
    digest = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def unsigned(header, claims):
    return f"{encoded(header)}.{encoded(claims)}."


@pytest.mark.parametrize(
    ("sign", "says"),
    [(lambda _, claims: unsigned({"alg": "none"}, claims), "unsupported_algorithm"),
     (lambda _, claims: unsigned({"alg": "none", "kid": "one"}, claims), "unsupported_algorithm"),
     (lambda _, claims: unsigned({"alg": "RS256", "kid": "one", "crit": ["x"], "x": 1}, claims),
      "not accepted"),
     (by_public_key, "unsupported_algorithm"),
     (lambda header, claims: jwt.encode(header, claims, KEY, ["RS256"])[:-8] + "AAAAAAAA",
      "bad_signature"),
     (lambda header, claims: jwt.encode(header, claims, OTHER, ["RS256"]), "bad_signature"),
     (lambda header, claims: jwt.encode({**header, "kid": "none"}, claims, KEY, ["RS256"]),
      "invalid_key_id"),
     (lambda _, claims: jwt.encode({"alg": "ES256", "kid": "one"}, claims, CURVE, ["ES256"]),
      "not accepted"),
     (lambda *_: "no token", "not accepted"), (lambda *_: "a.b.c.d.e", "not accepted"),
     (lambda *_: "", "not accepted"), (lambda *_: None, "no ID token"),
     (lambda *_: {"a": 1}, "no ID token"),
     (lambda header, _: jwt.encode(header, {"a": 1}, KEY, ["RS256"]), "missing_claim"),
     (lambda header, _: unsigned(header, "A" * 200_000), "not accepted")],
)  # fmt: skip
def test_a_token_that_the_provider_did_not_sign_is_refused(provider, sso, sign, says):
    sso.sign = sign
    assert says in refusal(provider, sso)


def test_a_key_that_is_new_is_fetched_and_one_that_is_gone_is_not_believed(provider, sso):
    signed_in(provider, sso)
    sso.key = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
    sso.published, sso.header = [sso.key], {"alg": "ES256", "kid": "two"}
    assert signed_in(provider, sso)["sub"] == "s-1"
    assert sso.asked.count("/jwks") == 2
    sso.key, sso.header = KEY, {"alg": "RS256", "kid": "one"}
    assert "invalid_key_id" in refusal(provider, sso)


def test_a_key_that_changes_under_its_name_is_fetched(provider, sso):
    signed_in(provider, sso)
    sso.key = RSAKey.import_key(OTHER.as_dict(private=True), {"kid": "one"})
    sso.published = [sso.key]
    assert signed_in(provider, sso)["sub"] == "s-1"


def test_keys_that_cannot_be_used_are_passed_over(provider, sso):
    good = KEY.as_dict(private=False)
    shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "one"}
    odd = [shared, {**good, "use": "enc"}, {**good, "n": "!"}, {"kty": "EC", "crv": "P-0"}, {},
           {"kty": ["RSA"]}, "RSA", None]  # fmt: skip
    sso.answers["/jwks"] = (200, json.dumps({"keys": [*odd, good]}).encode(), {})
    assert signed_in(provider, sso)["sub"] == "s-1"
    sso.answers["/jwks"] = (200, json.dumps({"keys": odd}).encode(), {})
    again = Provider(provider.settings, BASE)
    assert "invalid_key_id" in refusal(again, sso)


@pytest.mark.parametrize("path", [DISCOVERY, "/token", "/jwks"])
@pytest.mark.parametrize(
    "answer",
    [(500, b"<h1>no</h1>", {}), (404, b"", {}), (200, b"", {}), (200, b"\xff\x00<html>", {}),
     (200, b"[]", {}), (200, b"null", {}), (200, b"[" * 100_000, {}), (200, b'{"keys": 7}', {}),
     (200, b"{}", {"content-encoding": "gzip"}), (200, b" " * (ANSWER_BYTES + 1), {}),
     (302, b"", {"location": "http://127.0.0.1:1/"}), (200, b"{}", {"content-length": "99"}),
     (200, b'{"error": {"a": 1}}', {}), (200, b'{"expires_in": "x", "id_token": []}', {})],
)  # fmt: skip
def test_nonsense_is_said_and_ends_nothing(provider, sso, path, answer):
    status, body, headers = answer
    sso.answers[path] = (status, body, {**headers, "connection": "close"})
    refusal(provider, sso)
    sso.answers.clear()
    assert signed_in(provider, sso)["sub"] == "s-1"


@pytest.mark.parametrize(
    ("offers", "says"),
    [({"issuer": "https://evil.example"}, "another name"), ({"issuer": 7}, "issuer"),
     ({"token_endpoint": "http://evil.example/token"}, "token_endpoint"),
     ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
     ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"), ({"jwks_uri": None}, "jwks_uri"),
     ({"authorization_endpoint": 'https://a.x/"><script>'}, "authorization_endpoint"),
     ({"end_session_endpoint": "http://evil.example/"}, "end_session_endpoint")],
)  # fmt: skip
def test_a_document_that_leads_elsewhere_is_refused(provider, sso, offers, says):
    sso.offers = offers
    assert says in refusal(provider, sso)


def test_a_code_is_good_once_and_with_its_own_verifier(provider, sso):
    url, attempt = provider.begin()
    code = parse_qs(urlsplit(sso.log_in(url)).query)["code"][0]
    _, other = provider.begin()
    with pytest.raises(SignInError, match="invalid_grant") as error:
        provider.finish(code, other)
    assert error.value.code == 403
    for used in (code, "", "x" * 5000):
        with pytest.raises(SignInError, match="invalid_grant"):
            provider.finish(used, attempt)


@pytest.mark.parametrize("methods", [["client_secret_post"], ["client_secret_basic"], []])
def test_the_secret_is_sent_as_the_provider_takes_it(provider, sso, methods):
    sso.offers = {"token_endpoint_auth_methods_supported": methods}
    assert signed_in(provider, sso)["sub"] == "s-1"


def test_a_wrong_secret_is_named(sso, tmp_path):
    settings = oidc_settings(tmp_path, sso.issuer)
    (tmp_path / "client.secret").write_text("wrong\n")
    assert "invalid_client" in refusal(Provider(settings, BASE), sso)


def test_a_provider_that_is_gone_is_named(provider, sso):
    sso.close()
    with pytest.raises(SignInError, match=r"does not answer.*fix:.*oidc\.issuer") as error:
        provider.begin()
    assert error.value.code == 502
    assert provider.sign_out_url() is None


def test_a_provider_that_is_slow_has_a_deadline_and_takes_no_more_than_four_pages(
    provider, sso, monkeypatch
):
    monkeypatch.setattr(module, "DEADLINE_S", 0.6)
    monkeypatch.setattr(module, "_QUEUE_S", 0.1)
    held = threading.Event()
    found = sso.answer

    def slow(*words):
        held.wait(20)
        return found(*words)

    sso.answer = slow
    codes = []

    def come():
        with pytest.raises(SignInError, match="fix:") as error:
            provider.begin()
        codes.append(error.value.code)

    threads = [threading.Thread(target=come) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    held.set()
    assert sorted(codes) == [502] * 4 + [503] * 2


def test_no_more_pages_than_a_few_wait_for_their_turn(provider, sso, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE_S", 5.0)
    held, codes = threading.Event(), []
    found = sso.answer

    def slow(*words):
        held.wait(20)
        return found(*words)

    sso.answer = slow
    monkeypatch.setattr(module, "_QUEUE_S", 30.0)

    def come():
        try:
            provider.begin()
        except SignInError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=come) for _ in range(15)]
    for one in threads:
        one.start()
    until(lambda: len(codes) == 3)
    assert codes == [503] * 3
    held.set()
    for one in threads:
        one.join()
    assert codes == [503] * 3


def test_a_name_server_that_does_not_answer_holds_no_page(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE_S", 0.3)
    held, ended = threading.Event(), []

    def look_up(*_words, **_more):
        ended.append(held.wait(30))
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    provider = Provider(oidc_settings(tmp_path, "https://sso.clinic"), BASE)
    with pytest.raises(SignInError, match="nothing within"):
        provider.begin()
    assert ended == []
    held.set()


def test_where_it_signs_out_is_its_own_address_and_is_not_asked_for(provider, sso):
    assert provider.sign_out_url() is None
    assert sso.asked == []
    provider.begin()
    assert provider.sign_out_url() == (
        f"{sso.issuer}/log-out?client_id={CLIENT}&post_logout_redirect_uri="
        "https%3A%2F%2Fdash.clinic%2Fsign-in"
    )
    sso.offers = {"end_session_endpoint": None}
    other = Provider(provider.settings, BASE)
    other.begin()
    assert other.sign_out_url() is None


def test_files_that_cannot_be_read_are_named(sso, tmp_path):
    for text in ("", "\n\n", "pass\xe4"):
        settings = oidc_settings(tmp_path, sso.issuer)
        (tmp_path / "client.secret").write_text(text, encoding="latin-1")
        with pytest.raises(DashboardError, match=r"client_secret_file.*fix:"):
            Provider(settings, BASE)
    settings = oidc_settings(tmp_path, sso.issuer, client_secret_file=tmp_path / "none")
    with pytest.raises(DashboardError, match=r"client_secret_file.*none.*fix:"):
        Provider(settings, BASE)
    for path in (tmp_path / "none", tmp_path / "client.secret"):
        with pytest.raises(DashboardError, match=r"ca_file.*fix:"):
            Provider(oidc_settings(tmp_path, sso.issuer, ca_file=path), BASE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1, signed by itself, and the context that serves it."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider of this test")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        .public_key(key.public_key()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = path.with_name("both.pem")
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(path.read_bytes() + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return path, context


def test_a_certificate_is_trusted_by_the_file_that_is_set_alone(certificate, tmp_path):
    path, context = certificate
    sso = TestProvider(context)
    try:
        trusting = Provider(oidc_settings(tmp_path, sso.issuer, ca_file=path), BASE)
        assert signed_in(trusting, sso)["sub"] == "s-1"
        provider = Provider(oidc_settings(tmp_path, sso.issuer), BASE)
        assert "its certificate is not trusted" in refusal(provider, sso)
    finally:
        sso.close()
