"""Identifiers of a film in messages and studies: those that the site switched on, there alone."""

from __future__ import annotations

import json
import time

import pytest
from recorded_films import DEVICE, RecordedFilms
from stand_in import StandIn, film_bytes

from edge.delivery.studies import Studies
from edge.journal.rows import row_of
from edge.model import Identifier, Identifiers
from edge.outputs.packet import Sending, packet_of
from edge.outputs.settings import JoiningSettings
from edge.outputs.study import StudyBody, with_identifiers

ALL = tuple(Identifier)
WHOLE = Identifiers(accession_number="A-4711", study_instance_uid="1.2.3", patient_id="P-77")
VALUES = {"accession_number": "A-4711", "study_instance_uid": "1.2.3", "patient_id": "P-77"}


@pytest.fixture
def recorded(tmp_path):
    """Record one film under settings; gives what is sent for it, and what the journal holds."""
    made = []

    def record(joining, sent=None, identifiers=WHOLE):
        films = RecordedFilms(tmp_path, joining)
        made.append(films)
        result = StandIn().score(film_bytes("limb=LH"), "film.jpg").limbs[0].result
        films.add(result, time.time(), patient="P-77", study="1.2.3", identifiers=identifiers)
        sent = sent or joining
        row = row_of(films.store, films.store.db.execute("SELECT * FROM outbox").fetchone())
        sending = Sending(lambda _name: DEVICE, tmp_path, 60.0, sent.mqtt_result)
        study = Studies(films.store).next(1e9, sent.mqtt_study).message
        body = films.store.db.execute("SELECT body FROM study").fetchone()[0]
        packet = packet_of(row, sending)
        return json.loads(packet.payload), study.identifiers, row.payload.decode() + body

    yield record
    for films in made:
        films.close()


def test_by_default_nothing_is_stored_or_sent(recorded):
    message, study, journal = recorded(JoiningSettings())
    assert "identifiers" not in message
    assert study is None
    assert "identifiers" not in journal
    assert not any(value in journal for value in VALUES.values())


@pytest.mark.parametrize("one", ALL)
def test_what_is_switched_on_for_results_is_in_results_alone(recorded, one):
    message, study, journal = recorded(JoiningSettings(mqtt_result=(one,)))
    assert {k: v for k, v in message["identifiers"].items() if v} == {one: VALUES[one]}
    assert study is None
    assert [value in journal for value in VALUES.values()] == [one == key for key in VALUES]


@pytest.mark.parametrize("one", ALL)
def test_what_is_switched_on_for_studies_is_in_studies_alone(recorded, one):
    message, study, _ = recorded(JoiningSettings(mqtt_study=(one,)))
    assert study == WHOLE.only([one])
    assert "identifiers" not in message


def test_what_is_switched_on_for_tables_is_stored_and_not_sent(recorded):
    message, study, journal = recorded(JoiningSettings(results_csv=(Identifier.PATIENT_ID,)))
    assert "identifiers" not in message
    assert study is None
    assert "P-77" in journal
    assert "A-4711" not in journal


def test_what_was_switched_off_since_is_not_sent_any_more(recorded):
    message, study, _ = recorded(
        JoiningSettings(mqtt_result=ALL, mqtt_study=ALL), sent=JoiningSettings()
    )
    assert "identifiers" not in message
    assert study is None


def test_a_film_that_states_none_is_sent_as_ever(recorded):
    message, study, _ = recorded(JoiningSettings(mqtt_result=ALL, mqtt_study=ALL), identifiers=None)
    assert "identifiers" not in message
    assert study is None


def test_a_study_keeps_what_a_later_film_does_not_state():
    body = with_identifiers(StudyBody(), Identifiers(accession_number="A", patient_id="p"))
    body = with_identifiers(body, Identifiers(accession_number="B"))
    assert with_identifiers(body, None).identifiers == Identifiers(
        accession_number="B", patient_id="p"
    )
