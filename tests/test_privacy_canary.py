"""Patient data planted in films: nothing of it leaves, but for what a site has switched on."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import tarfile
from dataclasses import dataclass
from io import BytesIO

import pytest
from appliance import until
from documenting import dicom_film
from fixtures import broker, make_appliance, subscriber
from pacs_peers import Pacs
from pydicom.uid import JPEGBaseline8Bit
from receiving import Process, close_connections, film_object, films, send
from stand_in import film_bytes
from typer.testing import CliRunner

from edge.contract.pseudonyms import pseudonym
from edge.operator.client import ask
from edge.operator.protocol import Ask, Request
from edge.outputs.whois import FILE as WHOIS
from sharpedge.backup import back_up
from sharpedge.cli import app
from sharpedge.support import contents

# The films are not valid, and the library says so when they are made.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
__all__ = ["broker", "make_appliance", "subscriber"]

NAME, PATIENT, ACCESSION, FILE = "CANARYNAME", "CANARYPID1", "CANARYACC1", "CANARYFILE"
STUDY, SERIES, INSTANCE = "2.25.777700017777", "2.25.777700027777", "2.25.777700037777"
BORN = "19170307"
VALUES = {"accession_number": ACCESSION, "study_instance_uid": STUDY, "patient_id": PATIENT}
IN_TAGS = (NAME, PATIENT, ACCESSION, STUDY, SERIES, INSTANCE, BORN)
PLANTED = (*IN_TAGS, FILE)
ROTATED = [tuple(list(VALUES)[n:] + list(VALUES)[:n]) for n in range(len(VALUES))]
"""Identifier for results, for studies, and for tables."""


def an_object(uid, words):
    return film_object(
        uid, words, PatientName=f"{NAME}^Erika", PatientID=PATIENT, PatientBirthDate=BORN,
        AccessionNumber=ACCESSION, StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES,
        PatientComments=NAME, ReferringPhysicianName=NAME, InstitutionName=NAME,
        # Values that pydicom complains about, and quotes.
        StudyDate=NAME, PatientAge=NAME, ImageLaterality=f"{NAME}-{NAME}-{NAME}",
    )  # fmt: skip


def a_file(uid, words):
    it = an_object(uid, words)
    it.file_meta.MediaStorageSOPClassUID = it.SOPClassUID
    it.file_meta.MediaStorageSOPInstanceUID = it.SOPInstanceUID
    it.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    buffer = BytesIO()
    it.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@dataclass
class Said:
    """What an appliance said and kept, by where; ``journal`` is that of its backup."""

    mqtt: str
    logs: str
    metrics: str
    status: str
    bundle: str
    results: str
    backup: dict[str, bytes]


def planted_in(text, among=PLANTED):
    """What stands in a text; a birth date and UIDs as whole numbers only."""
    return [one for one in among if re.search(rf"(?<![0-9]){re.escape(one)}", text)]


@pytest.fixture
def run(broker, subscriber, make_appliance, tmp_path):
    """Run an appliance with a receiver over films with canaries, under further settings."""
    started = []

    def start(joining=""):
        it = make_appliance(broker.port, factory="receiving:build_reading_tags")
        textfile = tmp_path / "metrics.prom"
        it.receiver = Process(it)
        started.append(it.receiver)
        with it.config.open("a") as file:
            file.write(f'[metrics]\ntextfile = "{textfile}"\nevery_s = 0.2\n{joining}')
        it.start()
        it.receiver.start()
        by_store = [
            an_object(f"{INSTANCE}1", "limb=LH"),
            an_object(f"{INSTANCE}2", "reason=side_not_known"),
            an_object(f"{INSTANCE}1", "limb=RH"),
        ]
        assert send(it.receiver.port, *by_store) == [0, 0, 0]
        it.put(f"{FILE}-a.dcm", a_file(f"{INSTANCE}3", "limb=RH"))
        it.put(f"{FILE}-b.dcm", a_file(f"{INSTANCE}4", "reason=side_not_known"))
        it.put(f"{FILE}-c.dcm", a_file(f"{INSTANCE}5", "raise=it"))
        it.put(f"{FILE}-LF.jpg", film_bytes("limb=LF"))
        it.put(f"{FILE}.jpg", b"no film")
        subscriber.wait("result", 3, 40)
        subscriber.wait("reject", 5, 40)
        subscriber.wait("study", 2, 20)
        until(lambda: len(films(it.receiver.inbox)) == 2, what="the inbox without ended films")
        return it, said_by(it, subscriber, textfile, tmp_path)

    yield start
    for receiver in started:
        receiver.kill()
    close_connections()


def command(it, *words):
    return CliRunner().invoke(app, [*words, "--config", str(it.config)])


def said_by(it, subscriber, textfile, folder):
    mqtt = "".join(f"{m.topic} {m.payload!r}\n" for m in list(subscriber.messages))
    status = ask(it.state / "operator.sock", Request(ask=Ask.STATUS)).answer.model_dump_json()
    bundle = "".join(f"{name}\n{text}" for name, text in contents(it.config).items())
    assert back_up(it.config, folder / "b.tar", archive=False) == 0
    with tarfile.open(folder / "b.tar") as tar:
        backup = {name: tar.extractfile(name).read() for name in tar.getnames()}
    receiver = getattr(it, "receiver", None)
    logs = it.log() + ("" if receiver is None else receiver.log())
    return Said(
        mqtt, logs, textfile.read_text(), status,
        bundle, command(it, "results").stdout, backup,
    )  # fmt: skip


def in_journal(backup, folder, *, but=()):
    """What of the patients stands in the rows of a backup's journal, but for some columns."""
    path = folder / "journal-of-the-backup.sqlite"
    path.write_bytes(backup["journal.sqlite"])
    with sqlite3.connect(path) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        found = set()
        for table in tables:
            cursor = db.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own tables
            columns = [it[0] for it in cursor.description]
            for row in cursor:
                for column, cell in zip(columns, row, strict=True):
                    if (table, column) not in but:
                        found |= set(planted_in(str(cell)))
    db.close()
    return found


def test_by_default_nothing_of_a_patient_leaves(run, tmp_path):
    it, said = run()
    for where in ("mqtt", "logs", "metrics", "bundle", "results"):
        assert planted_in(getattr(said, where)) == [], where
    # Operators see the scanner's file names (docs/operate.md), and nothing else.
    assert planted_in(said.status) == [FILE]
    body = json.loads(said.status)["status"]
    for one in (*body["held"], *body["results"], *body["rejected"]):
        one.pop("file")
        one.pop("copy_path", None)
    assert planted_in(json.dumps(body)) == []
    # The journal has the paths of the drop folder; copies of held films are films.
    assert in_journal(said.backup, tmp_path, but={("job", "path")}) == set()
    for name, data in said.backup.items():
        if name != "journal.sqlite" and not name.startswith(("quarantine/", "inbox/")):
            assert planted_in(name + data.decode("latin-1")) == [], name
    assert not (it.state / WHOIS).exists()


@pytest.mark.parametrize(("in_result", "in_study", "in_table"), ROTATED)
def test_what_is_switched_on_for_one_output_stands_in_that_output_alone(
    run, tmp_path, in_result, in_study, in_table
):
    it, said = run(
        f'[joining]\nmqtt_result = ["{in_result}"]\nmqtt_study = ["{in_study}"]\n'
        f'results_csv = ["{in_table}"]\nwhois_days = 1\n'
    )
    for where in ("logs", "metrics", "bundle"):
        assert planted_in(getattr(said, where)) == [], where
    assert planted_in(said.status) == [FILE]
    by_kind = {"result": in_result, "reject": in_result, "study": in_study}
    for line in said.mqtt.splitlines():
        topic, payload = line.split(" ", 1)
        kind = topic.split("/")[4]
        allowed = [VALUES[by_kind[kind]]] if kind in by_kind else []
        assert planted_in(topic) == []
        assert set(planted_in(payload)) <= set(allowed), topic
    for kind, one in by_kind.items():
        assert VALUES[one] in "".join(
            line for line in said.mqtt.splitlines() if f"/{kind}" in line.split(" ")[0]
        )
    rows = list(csv.DictReader(io.StringIO(said.results)))
    assert {row[in_table] for row in rows} == {VALUES[in_table], ""}
    assert planted_in(said.results) == [VALUES[in_table]]
    # As docs/joining.md says: rows of results, rows of studies.
    columns = {("outbox", "payload"): {in_result, in_table}, ("study", "body"): {in_study}}
    assert in_journal(said.backup, tmp_path, but={("job", "path"), *columns}) == set()
    found = in_journal(said.backup, tmp_path, but={("job", "path")})
    assert found <= {VALUES[one] for some in columns.values() for one in some}
    # What pseudonyms stand for is known on the box, and in no backup.
    assert WHOIS not in said.backup
    key = (it.state / "device.key").read_bytes()
    done = command(it, "whois", pseudonym(key, "patient", PATIENT), "--json")
    assert json.loads(done.stdout)["known"]["stands_for"] == PATIENT
    assert planted_in(it.log()) == []


def test_documents_that_wait_for_a_pacs_name_the_patient_in_their_own_folder_alone(
    broker, subscriber, make_appliance, tmp_path
):
    pacs = Pacs()
    pacs.answer = lambda _number, _uid: 0xA700
    it = make_appliance(broker.port, factory="documenting:build")
    textfile = tmp_path / "metrics.prom"
    with it.config.open("a") as file:
        file.write(
            f'[metrics]\ntextfile = "{textfile}"\nevery_s = 0.2\n'
            f'[pacs]\nenabled = true\nport = {pacs.port}\ncalled_ae_title = "TESTPACS"\n'
        )
    it.start()
    film = dicom_film(
        "limb=LH", uid=f"{INSTANCE}1", PatientName=f"{NAME}^Erika", PatientID=PATIENT,
        AccessionNumber=ACCESSION, StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES,
        PatientBirthDate=BORN,
    )  # fmt: skip
    it.put(f"{FILE}.dcm", film)
    subscriber.wait("result", 1, 40)
    folder = it.state / "pacs"
    until(lambda: len(list(folder.glob("*.dcm"))) == 2, 40, what="both documents")
    until(lambda: "pacs" in textfile.read_text(), what="the alert")
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.glob("*.dcm"):
        assert path.stat().st_mode & 0o777 == 0o600
        # They are the patient's, as everything in a PACS is.
        found = planted_in(path.read_bytes().decode("latin-1"), IN_TAGS)
        assert {NAME, PATIENT, ACCESSION, STUDY} <= set(found)
    said = said_by(it, subscriber, textfile, tmp_path)
    for where in ("mqtt", "logs", "metrics", "bundle", "results"):
        assert planted_in(getattr(said, where)) == [], where
    assert planted_in(said.status) == [FILE]
    assert in_journal(said.backup, tmp_path, but={("job", "path")}) == set()
    assert not [name for name in said.backup if name.startswith("pacs/")]
    for name, data in said.backup.items():
        assert name == "journal.sqlite" or planted_in(data.decode("latin-1")) == [], name
    pacs.stop()
