import json

from sharpedge.doctor.finding import (
    as_json,
    as_table,
    exit_status,
    failed,
    ok,
    skipped,
    warning,
)

ALL = [
    ok("disk", "9 MiB free"),
    warning("clock", "not synchronised", "no time server", "timedatectl set-ntp true"),
    failed("broker, port", "refused", "nobody listens", "systemctl start mosquitto"),
    skipped("unit", "systemd does not run here"),
]


def test_the_exit_status_is_that_of_the_worst_finding():
    assert [exit_status(ALL[:n]) for n in (1, 2, 3)] == [0, 3, 1]
    assert exit_status([ALL[0], ALL[3]]) == 0


def test_the_table_gives_cause_and_fix_below_each_fault():
    lines = as_table(ALL).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("FAILED"))
    assert lines[at].split() == ["FAILED", "broker,", "port", "refused"]
    assert lines[at + 1].strip() == "cause: nobody listens"
    assert lines[at + 2].strip() == "fix: systemctl start mosquitto"
    assert lines[-1] == (
        "1 failed, 1 warning, 1 ok, 1 skipped. Research use only, not a medical device."
    )


def test_no_line_of_the_table_is_wider_than_a_hundred_columns():
    long = failed("engines", "word " * 60, "because " * 40, "do " * 90)
    assert max(map(len, as_table([long]).splitlines())) <= 100


def test_json_holds_every_finding_and_the_exit_status():
    told = json.loads(as_json(ALL))
    assert [row["level"] for row in told["findings"]] == ["ok", "warning", "failed", "skipped"]
    assert told["exit_status"] == 1
    assert told["notice"] == "research use only, not a medical device"
