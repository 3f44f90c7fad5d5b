"""What is stored of what arrives: once, under the topic's device, superseded ones kept."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import AT_S, OTHER, ROOM, arrived, film, jpeg, result
from sqlalchemy import select

from dashboard.intake.arrivals import save
from dashboard.intake.parse import Answered, Bad, parse
from dashboard.simulated import simulated_state
from dashboard.store.database import open_database
from dashboard.store.rows import Attention
from dashboard.store.tables import DEVICE, MESSAGE, METADATA, NOTE, PICTURE, PROBLEM, STUDY
from edge.contract.examples import examples
from edge.contract.ids import DeviceName
from edge.contract.payloads import AnswerMessage, Presence
from edge.contract.vocabulary import Reason


def keep(database, *items, now_s=AT_S + 1000, pictures=100):
    with database.writing() as connection:
        return save(connection, items, now_s, pictures)


def rows(database, table=MESSAGE):
    with database.reading() as connection:
        return connection.execute(select(table).order_by(*table.primary_key)).all()


def test_a_message_is_stored_once_and_answered_each_time(any_database):
    first = arrived(result())
    again = arrived(result().model_copy(update={"sending": 2, "historical": True}))
    saved = keep(any_database, first, again)
    saved_later = keep(any_database, again)
    assert (saved.new, saved.repeats, saved_later.new) == (1, 1, 0)
    answered = ("sharpedge/clinic/xray1/box1/receipt", result().id)
    assert saved.receipts == [answered, answered]
    assert saved_later.receipts == [answered]
    (row,) = rows(any_database)
    assert (row.status, row.limb, row.side, row.sequence) == ("scored", "hand", "L", 1)
    assert row.attention == Attention.NEW
    assert rows(any_database, PROBLEM) == []


def test_the_first_contents_of_an_id_stay_and_others_are_a_problem(any_database):
    first = result()
    keep(any_database, arrived(first))
    forged = first.model_copy(update={"n_scored": 3})
    saved = keep(any_database, arrived(forged))
    assert (saved.repeats, saved.bad) == (1, 1)
    (row,) = rows(any_database)
    assert row.n_scored == first.n_scored
    (problem,) = rows(any_database, PROBLEM)
    assert "the first ones are kept" in problem.what


def test_two_devices_may_send_one_id_and_neither_hides_the_other(any_database):
    mine = arrived(result())
    theirs = result().model_copy(update={"room": "xray2", "device": "box2"})
    saved = keep(any_database, arrived(theirs, OTHER), mine)
    assert saved.new == 2
    assert {it.name for it in rows(any_database, DEVICE)} == {str(OTHER), str(ROOM)}


@given(order=st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_arrival_changes_nothing(tmp_path_factory, order):
    """A chain of four results each replacing the one before, and one that stands alone."""
    chain = [result(1)]
    for number in range(2, 5):
        chain.append(result(number, supersedes=chain[-1].id))
    chain.append(result(9))
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('d') / 'd.sqlite'}")
    keep(database, *(arrived(chain[index]) for index in order))
    found = {it.sequence: it for it in rows(database)}
    by = [found[number].superseded_by for number in (1, 2, 3, 4, 9)]
    assert by == [chain[1].id, chain[2].id, chain[3].id, None, None]
    attention = [found[number].attention for number in (1, 2, 3, 4, 9)]
    assert attention == [Attention.SEEN] * 3 + [Attention.NEW] * 2
    database.close()


def test_a_device_cannot_replace_the_result_of_another(any_database):
    keep(any_database, arrived(result()))
    forged = result(2, OTHER, supersedes=result().id)
    keep(any_database, arrived(forged, OTHER))
    assert [it.superseded_by for it in rows(any_database)] == [None, None]


def test_a_held_film_asks_for_a_person_until_its_release_comes_back(any_database):
    held = film(1).reject(Reason.SIDE_NOT_KNOWN)
    keep(any_database, arrived(held))
    assert rows(any_database)[0].attention == Attention.HELD
    keep(any_database, arrived(result(2, supersedes=held.id)))
    assert rows(any_database)[0].attention == Attention.SEEN


def test_pictures_may_come_first_and_the_oldest_go(any_database):
    for number in range(5):
        found = parse(ROOM.topic("image"), jpeg(result(number + 1).id, "1 0 2.5 0 1 -3"), None, 999)
        keep(any_database, found, found, pictures=3)
    kept = rows(any_database, PICTURE)
    assert [it.id for it in kept] == [result(number).id for number in (3, 4, 5)]
    assert {it.placed for it in kept} == {"1 0 2.5 0 1 -3"}


def test_the_latest_state_and_study_count(any_database):
    device = DeviceName("clinic", "xray1", "box1")
    study = examples()["study"]
    older = study.model_copy(update={"changed": study.changed - 5, "missing": ()})
    keep(
        any_database,
        arrived(simulated_state(device, AT_S)),
        arrived(simulated_state(device, AT_S, Presence.OFFLINE)),
        arrived(study),
        arrived(older),
    )
    assert '"offline"' in rows(any_database, DEVICE)[0].state
    assert rows(any_database, STUDY)[0].changed_s == study.changed


def test_a_retained_message_does_not_say_that_its_device_was_heard_now(any_database):
    payload = simulated_state(ROOM, AT_S).model_dump_json().encode()
    kept = parse(ROOM.topic("state"), payload, None, 1, retained=True)
    keep(any_database, kept)
    assert rows(any_database, DEVICE)[0].seen_s == 0
    keep(any_database, arrived(result()), now_s=AT_S)
    keep(any_database, kept, now_s=AT_S + 50)
    assert rows(any_database, DEVICE)[0].seen_s == AT_S
    keep(any_database, kept, arrived(result(2)), now_s=AT_S + 60)
    assert rows(any_database, DEVICE)[0].seen_s == AT_S + 60


def test_a_film_that_was_tried_again_and_is_held_as_before_is_held_here_too(any_database):
    held = arrived(film(1).reject(Reason.SIDE_NOT_KNOWN))
    keep(any_database, held)
    seen = {"decided": "retry", "attention": Attention.SEEN}
    with any_database.writing() as connection:
        connection.execute(MESSAGE.update().values(seen))
    keep(any_database, held)
    assert (rows(any_database)[0].decided, rows(any_database)[0].attention) == (None, 2)
    with any_database.writing() as connection:
        connection.execute(MESSAGE.update().values(seen | {"decided": "dismiss"}))
    keep(any_database, held)
    assert rows(any_database)[0].attention == Attention.SEEN


def test_an_answer_without_an_order_changes_nothing(any_database):
    answer = AnswerMessage(command="release", done=True)
    keep(any_database, Answered(ROOM, answer, None), Answered(ROOM, answer, "forged"))
    assert rows(any_database) == []


def test_what_is_not_understood_is_counted_and_the_list_has_an_end(any_database, monkeypatch):
    monkeypatch.setattr("dashboard.intake.arrivals.PROBLEMS_KEPT", 20)
    for _ in range(2):
        keep(any_database, *(Bad("t\x00\x1b", "w", n) for n in range(20)))
    found = rows(any_database, PROBLEM)
    assert len(found) == 20
    assert rows(any_database, NOTE) == [("messages_bad", "40")]
    assert found[0].topic == "t" + 2 * "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("closed", [0.0, AT_S + 1e8])
def test_a_time_that_cannot_be_comes_not_before_all_others(any_database, closed):
    made = result()
    ledger = made.ledger.model_copy(update={"closed": closed})
    keep(any_database, arrived(made.model_copy(update={"ledger": ledger})), now_s=AT_S)
    assert rows(any_database)[0].film_s <= AT_S


def test_every_table_of_the_code_is_made_by_the_migrations(any_database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with any_database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, METADATA) == []


def test_simulated_grades_satisfy_the_contract():
    for number in range(20):
        made = film(number + 1).result(random.Random(number), worst=1.0)
        assert type(made).model_validate_json(made.model_dump_json()) == made
