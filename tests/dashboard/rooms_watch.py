"""Watches a dashboard under load: its stream of events, its page, and what its processes spend."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import select

from dashboard.store.tables import MESSAGE

_TICKS = os.sysconf("SC_CLK_TCK")
_REST_S = 0.5
"""As in dashboard.js: the first of several changes shows at once, the others after this."""
_FIRST_S = 0.05


class Browser:
    """A person who is signed in: requests with the session's cookie."""

    def __init__(self, served):
        self._port = served.port
        self._cookies = {}
        who = {"name": "Root", "password": "correct horse battery"}
        for path, more in (("/setup", {"token": served.token}), ("/sign-in", {})):
            before = re.search(r'name="before" value="([^"]+)"', self.ask("GET", path))[1]
            self.ask("POST", path, {**who, **more, "before": before})
        assert "sign out" in self.ask("GET", "/").lower()

    def _begin(self, method, path, form=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers |= {"cookie": cookies, "origin": f"http://127.0.0.1:{self._port}"}
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, form and urlencode(form), headers)
        return connection, connection.getresponse()

    def ask(self, method, path, form=None, **headers):
        connection, answer = self._begin(method, path, form, **headers)
        with contextlib.closing(connection):
            text = answer.read().decode()
            assert answer.status in {200, 303}, (path, answer.status, text[:200])
            for it in answer.headers.get_all("set-cookie") or ():
                name, _, value = it.partition(";")[0].partition("=")
                self._cookies[name] = value
            return text

    def events(self):
        """The stream of events: one line after the other."""
        connection, answer = self._begin("GET", "/events")
        with contextlib.closing(connection):
            for line in answer:
                yield line.decode().strip()


class Watch:
    """An open worklist: when each result was told by the stream, and when the page showed it.

    ``told_s`` and ``shown_s`` are seconds since 1970 by the key of the message's row.
    """

    def __init__(self, browser, database):
        self._browser, self._database = browser, database
        self.told_s, self.shown_s, self.page_ms = {}, {}, []
        with database.reading() as connection:
            self._last = connection.execute(
                select(MESSAGE.c.pk).order_by(MESSAGE.c.pk.desc()).limit(1)
            ).scalar() or 0  # fmt: skip
        self._first = self._last
        self._stopped = False
        self._changed = threading.Event()
        self._threads = [
            threading.Thread(target=it, daemon=True) for it in (self._listen, self._look)
        ]
        for it in self._threads:
            it.start()

    def _listen(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            for line in self._browser.events():
                if self._stopped:
                    return
                if line == "event: change":
                    self._read(time.time())
                    self._changed.set()

    def _read(self, now_s):
        """What can be read now is what this event has told of."""
        with self._database.reading() as connection:
            new = select(MESSAGE.c.pk).where(MESSAGE.c.pk > self._last).order_by(MESSAGE.c.pk)
            for pk in connection.execute(new).scalars():
                self.told_s[pk] = now_s
                self._last = pk

    def _look(self):
        asked_s = 0.0
        while not self._stopped:
            if not self._changed.wait(0.5):
                continue
            time.sleep(max(_FIRST_S, asked_s + _REST_S - time.time()))
            self._changed.clear()
            asked_s = time.time()
            page = self._browser.ask("GET", "/", **{"x-live": "1"})
            now_s = time.time()
            self.page_ms.append((now_s - asked_s) * 1000)
            for found in re.finditer(r'href="/film/(\d+)"', page):
                pk = int(found[1])
                if pk > self._first:
                    self.shown_s.setdefault(pk, now_s)

    def stop(self):
        self._stopped = True
        self._threads[1].join(30)

    def latencies_ms(self):
        """From publishing to the stream, and to the page, of each result that came meanwhile."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(MESSAGE.c.pk, MESSAGE.c.film_s, MESSAGE.c.latency_ms)
                .where(MESSAGE.c.pk > self._first)
            ).all()  # fmt: skip
        sent_s = {it.pk: it.film_s + it.latency_ms / 1000 for it in rows}
        told = [(self.told_s[pk] - at_s) * 1000 for pk, at_s in sent_s.items() if pk in self.told_s]
        shown = [(at - sent_s[pk]) * 1000 for pk, at in self.shown_s.items() if pk in sent_s]
        return sorted(told), sorted(shown)


class Spending:
    """Processor time and memory of a process, children that it has now or had included."""

    def __init__(self, name, pid):
        self.name, self._pid = name, pid
        self._before_s = self.cpu_s()

    def _family(self):
        found = [self._pid]
        for it in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError):
                fields = it.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self._pid:
                    found.append(int(it.parent.name))
        return found

    def cpu_s(self):
        ticks = 0
        for pid in self._family():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:13]))
                ticks += sum(map(int, fields[13:15])) if pid == self._pid else 0
        return ticks / _TICKS

    def used_s(self):
        """Seconds of processor time since it was last asked."""
        now_s = self.cpu_s()
        used_s, self._before_s = now_s - self._before_s, now_s
        return used_s

    def mib(self):
        """Proportional memory of the whole family: shared pages count once."""
        total = 0
        for pid in self._family():
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(r"Pss:\s+(\d+)", text)[1])
        return total / 1024
