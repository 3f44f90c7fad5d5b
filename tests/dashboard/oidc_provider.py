"""A small OpenID Connect provider on loopback: real signatures, and wrong tokens on purpose."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "dashboard", "a secret of this test"
# Made once: to make one takes a while.
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
_PAGE = """<!DOCTYPE html><title>Provider</title><form method="post" action="/log-in?{}">
<button id="log-in">Log in</button></form>"""


class TestProvider:
    """Serves until `close`.

    ``says`` are claims of who signs in; ``changes`` are claims that a token has otherwise, None for
    none. ``sign`` makes the token of header and claims. ``answers`` gives a path another status,
    body and headers; ``asked`` is what was asked. ``tls`` has it serve https.
    """

    __test__ = False

    def __init__(self, tls=None):
        self.says = {"sub": "s-1", "name": "Anna Roth", "groups": ["readers"]}
        self.changes = {}
        self.offers = {}
        self.key, self.published = KEY, [KEY]
        self.header = {"alg": "RS256", "kid": "one"}
        self.sign = lambda header, claims: jwt.encode(header, claims, self.key, [header["alg"]])
        self.answers = {}
        self.asked = []
        self._codes = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.issuer = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def log_in(self, url):
        """What a person does on its page; returns where the browser is led back to."""
        words = dict(parse_qsl(urlsplit(url).query))
        assert words["response_type"] == "code"
        assert words["client_id"] == CLIENT
        assert words["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = words | {"claims": dict(self.says)}
        back = {"code": code, "state": words["state"]}
        return f"{words['redirect_uri']}?{urlencode(back)}"

    def answer(self, path, query, form, credentials):
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            places = {"authorization_endpoint": "authorize", "token_endpoint": "token",
                      "jwks_uri": "jwks", "end_session_endpoint": "log-out"}  # fmt: skip
            found = {key: f"{self.issuer}/{place}" for key, place in places.items()}
            return {"issuer": self.issuer, **found, **self.offers}
        if path == "/jwks":
            return KeySet(self.published).as_dict(private=False)
        if path == "/token":
            return self._token(form, credentials)
        return None if path not in {"/authorize", "/log-out"} else _PAGE.format(query)

    def _token(self, form, credentials):
        known = self._codes.pop(form.get("code"), None)
        if credentials != (CLIENT, SECRET):
            return {"error": "invalid_client"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if known is None or known["code_challenge"] != challenge or (
            known["redirect_uri"] != form["redirect_uri"]
        ):  # fmt: skip
            return {"error": "invalid_grant", "error_description": "<script>alert(1)</script>"}
        now_s = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now_s, "exp": now_s + 60,
                  "nonce": known["nonce"], **known["claims"], **self.changes}  # fmt: skip
        claims = {key: value for key, value in claims.items() if value is not None}
        token = self.sign(dict(self.header), claims)
        return {"access_token": "x", "token_type": "Bearer", "id_token": token}


def _handler(provider):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer({})

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._answer(dict(parse_qsl(body)))

        def _answer(self, form):
            parts = urlsplit(self.path)
            if parts.path == "/log-in":
                self.send_response(302)
                self.send_header("location", provider.log_in(self.path))
                self.send_header("content-length", "0")
                self.end_headers()
                return
            given = provider.answers.get(parts.path)
            if given is not None:
                provider.asked.append(parts.path)
                status, body, headers = given
                self._send(status, body, headers)
                return
            found = provider.answer(parts.path, parts.query, form, self._credentials(form))
            status = 400 if isinstance(found, dict) and "error" in found else 200 if found else 404
            text = found if isinstance(found, str) else json.dumps(found)
            kind = "text/html" if isinstance(found, str) else "application/json"
            self._send(status, text.encode(), {"content-type": kind})

        def _send(self, status, body, headers):
            self.send_response(status)
            for key, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                # Who asked has had enough.
                self.close_connection = True

        def _credentials(self, form):
            basic = self.headers.get("authorization", "")
            if basic.startswith("Basic "):
                return tuple(base64.b64decode(basic[6:]).decode().split(":", 1))
            return form.get("client_id"), form.get("client_secret")

        def log_message(self, *_words):
            pass

    return Handler


def words_of(url):
    """Words of a URL's query."""
    return {key: value[0] for key, value in parse_qs(urlsplit(url).query).items()}
