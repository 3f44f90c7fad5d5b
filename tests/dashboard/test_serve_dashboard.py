"""The dashboard as a process: addresses, TLS behind a proxy, its end."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import pytest
from served import Served

from dashboard.errors import DashboardError
from dashboard.serve import serve
from dashboard.settings import Settings, WebSettings


@pytest.fixture
def served(broker, tmp_path):
    it = Served(
        tmp_path, broker.port,
        "public_url = 'https://dash.example'\ntrusted_proxies = ['127.0.0.1']\n",
    ).start()  # fmt: skip
    yield it
    it.kill()


def ask(served, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def test_it_serves_loopback_alone_and_ends_with_status_0(served):
    found = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [it.split()[1] for it in found if it.split()[3] == "0A"]
    # 127.0.0.1 as the kernel writes it.
    mine = [it for it in listening if it.endswith(f":{served.port:04X}")]
    assert mine == [f"0100007F:{served.port:04X}"]
    answer = ask(served, "GET", "/setup")
    assert answer.status == 200
    assert answer.getheader("server") is None
    assert "First set-up" in answer.text
    assert served.stop() == 0
    assert "research use only" in served.log.read_text()
    assert "Warning" not in served.log.read_text()


def test_behind_a_proxy_the_browsers_address_is_noted_and_cookies_are_for_tls(served):
    page = ask(served, "GET", "/setup", host="dash.example")
    cookie = page.getheader("set-cookie").partition(";")[0]
    assert "Secure" in page.getheader("set-cookie")
    before = re.search(r'name="before" value="([^"]+)"', page.text)[1]
    form = f"token={served.token}&name=Root&password=correct+horse+battery&before={before}"
    headers = {
        "host": "dash.example", "origin": "https://dash.example", "cookie": cookie,
        "x-forwarded-for": "192.0.2.77", "x-forwarded-proto": "https",
        "content-type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    assert ask(served, "POST", "/setup", form, **headers).status == 303
    from sqlalchemy import select

    from dashboard.store.database import open_database
    from dashboard.store.tables import AUDIT

    database = open_database(f"sqlite:///{served.folder / 'state' / 'dashboard.sqlite'}")
    with database.reading() as connection:
        assert [it.address for it in connection.execute(select(AUDIT))] == ["192.0.2.77"]
    database.close()
    assert ask(served, "GET", "/sign-in", host="other.example").status == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "box.example"])  # noqa: S104
def test_a_network_address_without_tls_is_refused(tmp_path, host):
    settings = Settings(state=tmp_path, web=WebSettings(host=host))
    with pytest.raises(DashboardError, match="in the clear; fix:"):
        serve(settings, tmp_path, lambda _text: None)
