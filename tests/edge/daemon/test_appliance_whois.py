"""The table behind ``whois`` in a running appliance: its time limit, and switching it off."""

from __future__ import annotations

import json

from appliance import until
from stand_in import film_bytes

from edge.outputs.whois import FILE

ON = "[joining]\nwhois_days = 1\n"


def asked(it, pseudonym):
    return it.order("whois", pseudonym, "--json")


def test_a_question_is_answered_recorded_and_no_finding_of_an_audit(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, extra=ON).start()
    it.put("P1-LH.jpg", film_bytes("study=s1 patient=p1"))
    (result,) = subscriber.wait("result", 1)
    known = json.loads(asked(it, result.patient).stdout)["known"]
    assert (known["kind"], known["stands_for"]) == ("patient", "p1")
    assert asked(it, "0" * 32).returncode == 1
    questions = json.loads(it.order("whois", "--asked", "--json").stdout)["questions"]
    assert [one["known"] for one in questions] == [True, False]
    until(lambda: it.states() == {1: "acked"})
    assert it.audit()["findings"] == []
    assert (it.state / FILE).stat().st_mode & 0o777 == 0o600


def test_after_a_kill_it_is_still_known_and_switched_off_it_is_gone(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, extra=ON).start()
    it.put("P1-LH.jpg", film_bytes("study=s1 patient=p1"))
    (result,) = subscriber.wait("result", 1)
    it.kill()
    it.start()
    assert asked(it, result.study).returncode == 0
    assert it.terminate() == 0
    it.config.write_text(it.config.read_text().replace("whois_days = 1", "whois_days = 0"))
    it.start()
    until(lambda: not (it.state / FILE).exists(), what="the deleted table")
    done = asked(it, result.study)
    assert done.returncode == 1
    assert "fix: set joining.whois_days" in done.stderr


def test_a_table_that_cannot_be_written_costs_no_result_and_is_an_alert(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, extra=ON)
    it.state.mkdir()
    (it.state / FILE).mkdir()
    it.start()
    it.put("P1-LH.jpg", film_bytes("study=s1 patient=p1"))
    (result,) = subscriber.wait("result", 1)
    until(
        lambda: any(one.code == "whois" for it in subscriber.of("state") for one in it.alerts),
        what="the alert",
    )
    (it.state / FILE).rmdir()
    it.put("P2-LH.jpg", film_bytes("study=s2 patient=p2"))
    subscriber.wait("result", 2)
    # What was owed is written with the next film.
    assert asked(it, result.study).returncode == 0
