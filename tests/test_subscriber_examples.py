"""The example subscribers, run against a real appliance and broker."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from appliance import until
from fixtures import broker, make_appliance
from stand_in import film_bytes

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "subscriber"
__all__ = ["broker", "make_appliance"]


@pytest.fixture
def run():
    running = []

    def start(*command, **options):
        running.append(subprocess.Popen([*map(str, command)], **options))
        return running[-1]

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


def receipts_are_here(it):
    return sorted(it.states().values()) == ["held", "receipted", "receipted"]


def three_films(it):
    it.put("a.jpg", film_bytes("limb=LH"))
    it.put("b.jpg", film_bytes("limb=RH"))
    it.put("c.jpg", film_bytes("reason=side_not_known"))


def receipt_mode(make_appliance, broker):
    it = make_appliance(broker.port, extra='[delivery]\nmode = "receipt"\nresend_s = 1\n')
    return it.start()


def test_the_python_subscriber_stores_results_pictures_and_answers(
    run, broker, make_appliance, tmp_path
):
    database = tmp_path / "results.sqlite"
    run(sys.executable, EXAMPLES / "subscriber.py", database, "--port", broker.port)
    it = receipt_mode(make_appliance, broker)
    three_films(it)
    until(lambda: receipts_are_here(it), 60, "receipts")

    def count(kind):
        with sqlite3.connect(database) as db:
            found = db.execute("SELECT COUNT(*) FROM message WHERE kind = ?", (kind,)).fetchone()
        db.close()
        return found[0]

    until(lambda: count("image") >= 2, 30, "pictures")
    assert (count("result"), count("reject")) == (2, 1)
    assert it.order("release", "3", "--side", "L", "--limb", "hand").returncode == 0
    until(lambda: count("result") == 3, 30, "the released film")
    sys.path.insert(0, str(EXAMPLES))
    try:
        from subscriber import latest
    finally:
        sys.path.remove(str(EXAMPLES))
    with sqlite3.connect(database) as db:
        bodies = latest(db)
    db.close()
    assert [body["sequence"] for body in bodies] == sorted(body["sequence"] for body in bodies)
    assert len(bodies) == 3


def test_the_javascript_subscriber_stores_results_and_answers(
    run, npm_tools, broker, make_appliance, tmp_path
):
    script = npm_tools.place(EXAMPLES / "subscriber.mjs")
    table = tmp_path / "results.jsonl"
    run("node", script, table, f"mqtt://127.0.0.1:{broker.port}", "dashboard-2")
    it = receipt_mode(make_appliance, broker)
    three_films(it)
    until(lambda: receipts_are_here(it), 60, "receipts")
    until(lambda: len(table.read_text().splitlines()) == 3, what="the reject")
    bodies = [json.loads(line) for line in table.read_text().splitlines()]
    assert len({body["id"] for body in bodies}) == len(bodies) == 3


def test_the_examples_import_nothing_of_ours():
    for path in EXAMPLES.iterdir():
        text = path.read_text("utf-8") if path.is_file() else ""
        assert "import edge" not in text
        assert "from edge" not in text
        assert "from sharpedge" not in text


def test_the_node_red_flow_is_wired_to_itself_and_stores_before_it_answers():
    nodes = {it["id"]: it for it in json.loads((ROOT / "examples/node-red-flow.json").read_text())}
    for node in nodes.values():
        targets = [target for wires in node.get("wires", []) for target in wires]
        assert set(targets) <= nodes.keys()
        assert node.get("broker") in {None, "sh_broker", "localhost"}
    before = [
        it["id"] for it in nodes.values() if any("sh_receipt" in w for w in it.get("wires", []))
    ]
    assert before == ["sh_file"]
