from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.system import logs
from edge.system.logs import (
    JournalHandler,
    JsonFormatter,
    LogFormat,
    PrefixFormatter,
    TextFormatter,
    datagram,
    priority,
    set_up_logs,
)


def record(message, level=logging.WARNING):
    return logging.LogRecord("edge.daemon.films", level, __file__, 1, message, (), None)


def fields_of(data):
    """Read the journal's native protocol as systemd does."""
    found, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        line, at = data[at:end], end + 1
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(data[at : at + 8], "little")
            value = data[at + 8 : at + 8 + length]
            at += 8 + length + 1
        found[name.decode()] = value.decode()
    return found


def test_a_text_line_has_time_level_and_film():
    line = TextFormatter().format(record("job 12: held"))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING edge\.daemon\.films: job 12: held", line
    )


def test_a_message_of_several_lines_stays_one_line_of_text():
    assert "\n" not in TextFormatter().format(record("a\nb"))
    assert "\n" not in PrefixFormatter().format(record("a\nb"))


@pytest.mark.parametrize(
    ("level", "number"),
    [("CRITICAL", 2), ("ERROR", 3), ("WARNING", 4), ("INFO", 6), ("DEBUG", 7)],
)
def test_systemd_reads_the_priority_from_the_prefix(level, number):
    line = PrefixFormatter().format(record("job 3: x", getattr(logging, level)))
    assert line.startswith(f"<{number}>edge.daemon.films: job 3")
    assert priority(getattr(logging, level)) == number


def test_a_json_line_has_the_film_as_a_number():
    found = json.loads(JsonFormatter().format(record("the result of job 7 is kept: ä")))
    assert found["film"] == 7
    assert (found["level"], found["logger"]) == ("warning", "edge.daemon.films")
    assert "film" not in json.loads(JsonFormatter().format(record("folder reached again")))


@given(st.text())
def test_the_journal_reads_any_message_back(text):
    found = fields_of(datagram(record(text)))
    assert found["MESSAGE"] == text.encode("utf-8", "replace").decode()
    assert found["PRIORITY"] == "4"
    assert found["SYSLOG_IDENTIFIER"] == "sharpedge"


def test_the_journal_receives_priority_and_film(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        journal.settimeout(2)
        handler = JournalHandler(tmp_path / "journal")
        handler.emit(record("job 5: held (side_not_known)"))
        handler.close()
        found = fields_of(journal.recv(65536))
    assert found["FILM"] == "5"
    assert found["PRIORITY"] == "4"


def test_without_a_journal_the_line_goes_to_standard_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    handler = JournalHandler(tmp_path / "none")
    handler.emit(record("job 5: held"))
    handler.close()
    assert sys.stderr.getvalue() == "<4>edge.daemon.films: job 5: held\n"


def test_a_journal_that_takes_nothing_does_not_stop_the_service(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        handler = JournalHandler(tmp_path / "journal")
        for number in range(600):
            handler.emit(record(f"job {number}: x"))
            if sys.stderr.getvalue():
                break
        handler.close()
    assert sys.stderr.getvalue().startswith("<4>")


def lines_of(style, environment=None):
    code = (
        "import logging\nfrom edge.system.logs import *\n"
        f"set_up_logs(LogFormat('{style}'))\nset_up_logs(LogFormat('{style}'))\n"
        "logging.getLogger('edge.x').info('job 1: once')\nlogging.getLogger('y').debug('no')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    return done.stderr.splitlines()


def test_each_format_writes_each_line_once():
    (text,) = lines_of("auto")
    assert text.endswith("INFO edge.x: job 1: once")
    (line,) = lines_of("json")
    assert json.loads(line)["film"] == 1
    assert lines_of("journal") == ["<6>edge.x: job 1: once"] or logs.JOURNAL_SOCKET.exists()


def test_standard_error_is_the_journals_only_where_systemd_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    assert not logs.under_journal()
    with (tmp_path / "stream").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert logs.under_journal()


def test_setting_up_again_keeps_anothers_handler():
    root = logging.getLogger()
    other, level = logging.NullHandler(), root.level
    root.addHandler(other)
    try:
        set_up_logs(LogFormat.TEXT)
        set_up_logs(LogFormat.JSON)
        ours = [it for it in root.handlers if isinstance(it.formatter, JsonFormatter)]
        assert len(ours) == 1
        assert other in root.handlers
    finally:
        root.removeHandler(other)
        for it in ours:
            root.removeHandler(it)
        root.setLevel(level)


def test_libraries_that_quote_films_and_peers_write_no_line():
    code = (
        "import logging\nfrom edge.system.logs import *\n"
        "set_up_logs(LogFormat.TEXT, LogLevel.DEBUG)\n"
        "for name in ('pydicom', 'highdicom.base', 'pynetdicom.acse', 'edge.x'):\n"
        "    logging.getLogger(name).error('a line of %s', name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.endswith("a line of edge.x")
