"""What the pages show and do."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import time

import openpyxl
import pytest
from clinic import post
from rooms import AT_S, OTHER, ROOM, arrived, film, jpeg, result
from sqlalchemy import text as sql

from dashboard.intake.parse import Answered, parse
from dashboard.simulated import SimulatedFilm, hexadecimal, simulated_state
from dashboard.store.tables import CORRECTION, MESSAGE, ORDER
from dashboard.web.views.devices import CARDS
from edge.contract.examples import examples
from edge.contract.ids import DeviceName
from edge.contract.payloads import AnswerMessage, Presence
from edge.contract.vocabulary import Identifiers, Laterality, Limb, Reason


def order_of_films(text):
    """Keys of films in the order in which a page lists them."""
    body = text.partition("<tbody>")[2]
    return [int(it.partition('"')[0]) for it in body.split('href="/film/')[1:]]


def test_held_films_come_first_then_new_ones_the_latest_first(clinic):
    held = film(2).reject(Reason.SIDE_NOT_KNOWN)
    clinic.keep(*(arrived(result(number)) for number in (1, 3, 4)), arrived(held))
    client = clinic.client("reader")
    post(client, f"/film/{clinic.key(result(4))}/read")
    keys = [clinic.key(it) for it in (held, result(3), result(1), result(4))]
    assert order_of_films(client.get("/").text) == keys
    assert order_of_films(client.get("/?show=held").text) == keys[:1]
    assert order_of_films(client.get("/?show=new").text) == keys[1:3]


def test_pages_follow_one_another_without_gap_or_repeat(clinic):
    clinic.keep(*(arrived(result(number, at_s=AT_S + number % 7)) for number in range(1, 131)))
    client = clinic.client("reader")
    path, found = "/?q=hand", []
    while path:
        text = client.get(path).text
        found += order_of_films(text)
        more = text.partition('rel="next" href="')[2].partition('"')[0]
        path = more.replace("&amp;", "&")
    assert len(found) == 130
    assert sorted(found) == sorted(it.pk for it in clinic.rows(MESSAGE))


@pytest.mark.parametrize(
    ("words", "finds"),
    [("left", {1}), ("right foot", {2}), ("box2", {3}), ("side_not_known", {3}),
     ("neither", {3}), ("left right", set()), ("xray1 2", {2}), ("scored", {1, 2})],
)  # fmt: skip
def test_a_search_finds_side_limb_device_and_reason(clinic, words, finds):
    clinic.keep(
        arrived(result(1)),
        arrived(result(2, limb=Limb.FOOT, side=Laterality.RIGHT)),
        arrived(film(3, OTHER).reject(Reason.SIDE_NOT_KNOWN), OTHER),
    )
    client = clinic.client("reader")
    assert set(order_of_films(client.get("/", params={"q": words}).text)) == finds


def test_a_search_finds_the_beginning_of_a_pseudonym_or_id(clinic):
    clinic.keep(arrived(result(1)), arrived(result(2, study=hexadecimal("other"))))
    client = clinic.client("reader")
    assert order_of_films(client.get(f"/?q={hexadecimal('other')[:6]}").text) == [2]
    assert order_of_films(client.get(f"/?q={result(1).id[:13]}").text) == [1]


def test_a_film_shows_grades_expected_values_reasons_and_boxes_in_its_picture(clinic):
    made = result(1)
    clinic.keep(
        arrived(made), parse(ROOM.topic("image"), jpeg(made.id, "0.5 0 10 0 0.5 20"), None, 9999)
    )
    text = clinic.client("reader").get("/film/1").text
    joint = made.joints[1]
    assert f"{joint.erosion_expected:.2f}" in text
    assert "no such grade" in text
    assert "queued" in text
    # No size stands in this JPEG, so nothing is drawn over it.
    assert "No picture" in text


def test_a_picture_that_is_not_here_is_asked_for(clinic):
    clinic.keep(arrived(result(1)))
    client = clinic.client("reader")
    assert "Ask the device for it" in client.get("/film/1").text
    post(client, "/film/1/picture")
    assert clinic.orders.sent == [(ROOM, "picture", result(1).id)]
    assert "Asked for" in client.get("/film/1").text
    assert post(client, "/film/9/picture").status_code == 404


def test_a_held_film_is_released_by_command_with_its_answer_and_who_and_when(clinic):
    held = film(1).reject(Reason.SIDE_NOT_KNOWN)
    clinic.keep(arrived(held))
    client = clinic.client("operator")
    assert "Release and score" in client.get("/film/1").text
    post(client, "/film/1/order/release", side="R", limb="hand")
    (sent,) = clinic.orders.sent
    assert sent[0] == ROOM
    assert json.loads(sent[1].model_dump_json()) == {
        "command": "release", "id": held.id, "operator": "operator R", "limb": "hand", "side": "R",
    }  # fmt: skip
    assert "waiting for the device" in client.get("/film/1").text
    answer = AnswerMessage(command="release", done=True, detail="job 9")
    clinic.keep(Answered(ROOM, answer, sent[2]))
    text = client.get("/film/1").text
    assert "job 9" in text
    assert "released" in text
    assert "Release and score" not in text
    (order,) = clinic.rows(ORDER)
    assert (order.person, order.done, order.side) == ("operator R", True, "R")
    clinic.keep(arrived(result(2, supersedes=held.id)))
    assert "A later result replaces this one" in client.get("/film/1").text


def test_a_refused_decision_leaves_the_film_held(clinic):
    clinic.keep(arrived(film(1).reject(Reason.SIDE_NOT_KNOWN)))
    client = clinic.client("operator")
    post(client, "/film/1/order/dismiss")
    answer = AnswerMessage(command="dismiss", done=False, detail="is not held any more")
    # An answer without correlation data, as of MQTT 3.1.1.
    clinic.keep(Answered(ROOM, answer, None))
    text = client.get("/film/1").text
    assert "refused" in text
    assert "is not held any more" in text
    assert "Release and score" in text
    # It was decided at the device: a person takes it from the list.
    assert post(client, "/film/1/close").status_code == 303
    assert "decided at the device" in client.get("/film/1").text
    assert order_of_films(client.get("/?show=held").text) == []


def test_a_held_film_is_not_taken_from_the_list_unless_its_device_has_refused(clinic):
    clinic.keep(arrived(film(1).reject(Reason.SIDE_NOT_KNOWN)))
    client = clinic.client("operator")
    assert post(client, "/film/1/close").status_code == 404
    clinic.orders.is_connected = False
    post(client, "/film/1/order/dismiss")
    assert post(client, "/film/1/close").status_code == 404
    assert order_of_films(client.get("/?show=held").text) == [1]


def test_an_answer_of_another_device_ends_no_order(clinic):
    clinic.keep(arrived(film(1).reject(Reason.SIDE_NOT_KNOWN)))
    post(clinic.client("operator"), "/film/1/order/dismiss")
    answer = AnswerMessage(command="dismiss", done=True)
    clinic.keep(Answered(OTHER, answer, clinic.orders.sent[0][2]), Answered(OTHER, answer, None))
    assert clinic.rows(ORDER)[0].answered_s is None


def test_without_a_broker_nothing_is_sent_and_that_is_said(clinic):
    clinic.keep(arrived(film(1).reject(Reason.SIDE_NOT_KNOWN)))
    clinic.orders.is_connected = False
    client = clinic.client("operator")
    post(client, "/film/1/order/dismiss")
    text = client.get("/film/1").text
    assert "the broker cannot be reached" in text
    assert "The broker is not connected" in text
    assert clinic.rows(ORDER)[0].done is False


def test_grades_of_readers_stand_beside_the_machines(clinic):
    made = result(1)
    clinic.keep(arrived(made))
    client = clinic.client("reader")
    before = made.joints[1]
    other = (before.erosion or 0) + 1
    post(client, "/film/1/grades", **{"erosion-PIP2": str(other), "note": "margin"})
    (row,) = clinic.rows(CORRECTION)
    assert (row.joint, row.erosion, row.narrowing) == ("PIP2", other, before.narrowing)
    text = client.get("/film/1").text
    assert f"erosion {other}" in text
    assert "margin" in text
    # The machine's message is as it was.
    assert clinic.rows(MESSAGE)[0].erosion == made.subtotals.erosion.score
    post(client, "/film/1/grades", **{"erosion-PIP2": "none"})
    assert clinic.rows(CORRECTION)[-1].erosion is None
    post(client, "/film/1/grades", confirm="1")
    assert len(clinic.rows(CORRECTION)) == 2 + 10


def test_a_study_shows_the_result_that_counts_of_each_limb(clinic):
    first = result(1)
    second = result(2, supersedes=first.id)
    right = result(3, side=Laterality.RIGHT)
    clinic.keep(arrived(first), arrived(right), arrived(second))
    text = clinic.client("reader").get(f"/study/{first.study}").text
    articles = text.partition('<div class="sides">')[2].partition("All messages")[0]
    assert f"/film/{clinic.key(second)}" in articles
    assert f"/film/{clinic.key(first)}" not in articles
    assert f"/film/{clinic.key(right)}" in articles
    assert "replaced" in text


def test_what_a_device_says_of_a_study_is_shown(clinic):
    said = examples()["study"].model_copy(update={"study": result(1).study})
    clinic.keep(arrived(result(1)), arrived(said))
    text = clinic.client("reader").get(f"/study/{said.study}").text
    assert "calls this study <b>filling</b>; missing: right hand, left foot, right foot" in text


def test_a_database_that_is_away_is_said(clinic):
    client = clinic.client("reader")
    with clinic.database.writing() as connection:
        connection.execute(sql("ALTER TABLE session RENAME TO away"))
    done = client.get("/")
    assert (done.status_code, done.text) == (503, "the database does not answer: try again\n")


def visit(number, worst):
    """Both hands of a patient, some years apart."""
    study = hexadecimal("visit", number)
    for offset, side in enumerate(Laterality):
        at_s = AT_S + number * 4e7
        made = SimulatedFilm(ROOM, 2 * number + offset + 1, Limb.HAND, side, study,
                             hexadecimal("P"), at_s)  # fmt: skip
        yield arrived(made.result(random.Random(1), worst))


def test_a_change_under_the_detectable_one_is_never_called_more(clinic):
    clinic.keep(*visit(0, 0.4), *visit(1, 0.4), *visit(2, 1.0), now_s=AT_S + 1e9)
    client = clinic.client("reader")
    text = client.get(f"/patient/{hexadecimal('P')}").text
    assert "within the readers&#39; measurement error" in text
    assert "above the readers&#39; measurement error; a reader must compare" in text
    assert "progress" not in text.casefold()
    assert 'class="band"' in text


def test_tables_are_saved_as_they_are_shown_and_hold_no_formula(clinic):
    made = film(1).reject(Reason.SIDE_NOT_KNOWN)
    forged = made.model_copy(update={"reason": "=cmd|' /C calc'!A0"})
    clinic.keep(arrived(forged), arrived(result(2)))
    client = clinic.client("reader")
    rows = list(csv.reader(io.StringIO(client.get("/worklist.csv?show=held").text)))
    assert len(rows) == 3
    assert rows[1][4].startswith("'=cmd")
    assert rows[-1] == ["Research use only, not a medical device."]
    book = openpyxl.load_workbook(io.BytesIO(client.get("/worklist.xlsx").content))
    sheet = book.worksheets[0]
    assert sheet.max_row == 4
    assert {cell.data_type for cell in sheet[2]} <= {"s", "n"}
    for path in ("/worklist.pdf", "/devices.pdf", f"/patient/{made.patient}/films.pdf"):
        assert client.get(path).content.startswith(b"%PDF")


def test_a_silent_device_is_marked_whatever_it_said_last(clinic):
    from dashboard.simulated import simulated_state

    clinic.keep(arrived(simulated_state(ROOM, AT_S)), now_s=AT_S)
    client = clinic.client("reader")
    assert "silent" in client.get("/").text
    assert "silent" in client.get("/devices").text


def test_what_an_open_page_asks_by_itself_takes_no_sentence_away(clinic):
    clinic.keep(arrived(result(1)))
    client = clinic.client("reader")
    post(client, "/film/1/grades", **{"erosion-PIP2": "5"})
    assert "are kept" not in client.get("/film/1", headers={"x-live": "1"}).text
    assert "are kept" in client.get("/film/1").text
    assert "are kept" not in client.get("/film/1").text


def test_identifiers_are_shown_where_a_site_has_joined_them_and_nowhere_else(clinic):
    joined = Identifiers(patient_id="MRN <7>")
    made = result(1).model_copy(update={"identifiers": joined})
    clinic.keep(arrived(made), arrived(result(2, patient=None)))
    client = clinic.client("reader")
    for path in ("/", "/film/1", f"/patient/{made.patient}"):
        assert "patient id MRN &lt;7&gt;" in client.get(path).text, path
    assert order_of_films(client.get("/?q=mrn").text) == [1]
    assert "identifiers" not in client.get("/film/2").text


def test_the_second_film_of_a_patient_has_its_change_since_the_first(clinic):
    for number in range(2):
        made = result(number + 1, at_s=AT_S + number * 1e7, study=hexadecimal("visit", number))
        clinic.keep(arrived(made))
    page = clinic.client("reader").get(f"/patient/{result(1).patient}").text
    words = re.findall(r"<td>([^<]*over \d+ of \d+ grades[^<]*)</td>", page)
    assert len(words) == 2
    assert words[0] == words[1]


def test_devices_that_somebody_must_look_at_come_first_and_sixty_are_on_a_page(clinic):
    now_s = time.time()
    for number in range(CARDS + 5):
        name = DeviceName("clinic", f"room{number:03}", "box")
        clinic.keep(arrived(simulated_state(name, now_s), name))
    last = DeviceName("clinic", "room999", "box")
    clinic.keep(arrived(simulated_state(last, now_s, Presence.UNFIT), last))
    client = clinic.client("reader")
    first, second = client.get("/devices").text, client.get("/devices?page=2").text
    assert first.count("<article") == CARDS
    assert second.count("<article") == 6
    assert re.search(r'aria-label="([^"]+)"', first[first.index("<article") :])[1] == str(last)
    assert "page 1 of 2" in first
    for odd in ("0", "-1", "99999999999", "x", "\N{SUPERSCRIPT TWO}"):
        assert client.get("/devices", params={"page": odd}).status_code == 200
