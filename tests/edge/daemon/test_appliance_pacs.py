"""Documents on their way to a real PACS: the daemon as a process, Mosquitto and Orthanc."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from datetime import datetime, timezone
from io import BytesIO

import numpy as np
import pytest
from appliance import ROOT, until
from dicom_films import STUDY, raw_value
from documenting import dicom_film
from orthanc import HAS_DICOMWEB, ORTHANC, WHY_NOT, Orthanc
from pydicom import dcmread

FACTORY = "documenting:build"
TABLE = ROOT / "benchmarks/results/dicom_out.md"
FULL = os.environ.pop("SHARPEDGE_PACS", "") == "full"
full = pytest.mark.skipif(not FULL, reason="takes longer; run by make dicom-test")
SR_3D, SR_2D = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
PACS_STEPS = (
    "document-written", "document-queued", "document-stored", "document-waiting",
    "document-reported", "document-closed",
)  # fmt: skip
"""Of tests/faults/breaking.py."""
COPIED = ("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
          "StudyInstanceUID", "StudyDate", "AccessionNumber", "IssuerOfPatientID")  # fmt: skip


@pytest.fixture
def orthanc(tmp_path):
    if ORTHANC is None or not HAS_DICOMWEB:
        pytest.skip(WHY_NOT)
    it = Orthanc(tmp_path)
    yield it
    it.stop()


def rows(it, *columns):
    """Rows of documents, in their order."""
    wanted = ", ".join(columns or ("kind", "state"))
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        found = db.execute(f"SELECT {wanted} FROM outbox WHERE destination = 'pacs' ORDER BY row")  # noqa: S608
        found = found.fetchall()
    db.close()
    return found


def states(it):
    return [state for _, state in rows(it)]


def documents(it):
    """Names of the files that wait."""
    return sorted(path.name for path in (it.state / "pacs").glob("[!.]*"))


def read(data):
    return dcmread(BytesIO(data))


def dataset(data):
    """A file's bytes without its header, which each PACS writes anew."""
    found = read(data)
    length = found.file_meta.FileMetaInformationGroupLength
    return data[132 + 12 + length :]


@pytest.mark.parametrize("name", ["japanese", pytest.param("korean", marks=full)])
def test_a_pacs_that_was_away_gets_everything_in_order_and_byte_for_byte(
    orthanc, broker, subscriber, make_appliance, name
):
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.section).start()
    films = [dicom_film(f"limb={limb}", name=name) for limb in ("LH", "RF")]
    for number, film in enumerate(films):
        it.put(f"{number}.dcm", film)
        # The other destination goes on.
        subscriber.wait("result", number + 1)
    until(lambda: states(it) == ["queued"] * 4, 40)
    made = {path.stem: path.read_bytes() for path in (it.state / "pacs").glob("[!.]*")}
    assert {(it.state / "pacs" / file).stat().st_mode & 0o777 for file in documents(it)} == {0o600}
    until(lambda: any(a.code == "pacs" for a in subscriber.of("state")[-1].alerts))
    assert it.states() == {1: "sent", 2: "sent"}
    orthanc.start()
    until(lambda: states(it) == ["closed"] * 4, 40)
    until(lambda: it.states() == {1: "acked", 2: "acked"})
    ordered = [made[row_id] for (row_id,) in rows(it, "id")]
    stored = [orthanc.wado(read(one)) for one in ordered]
    assert [dataset(one) for one in stored] == [dataset(one) for one in ordered]
    assert [read(one).SOPInstanceUID for one in orthanc.files()] == [
        read(one).SOPInstanceUID for one in ordered
    ]
    for document, film in zip(stored, [films[0]] * 2 + [films[1]] * 2, strict=True):
        assert [raw_value(document, key) for key in COPIED] == [
            raw_value(film, key) for key in COPIED
        ]
    sent, back = read(ordered[1]), read(stored[1])
    assert np.array_equal(sent.pixel_array, back.pixel_array)
    assert back.pixel_array.std() > 5
    until(lambda: documents(it) == [])
    assert it.audit()["findings"] == []
    until(lambda: subscriber.of("state")[-1].alerts == ())
    assert it.terminate() == 0
    # No result waits for a document.
    assert it.log().index("job 1: result sent") < it.log().index("job 1: dicom_sr written")
    # Nothing of the patient is in log or journal.
    kept = it.log().encode() + (it.state / "journal.sqlite").read_bytes()
    told = [raw_value(films[0], key) for key in ("PatientName", "PatientID", "AccessionNumber")]
    told += [raw_value(one, "SOPInstanceUID") for one in films] + [STUDY.encode()]
    assert not [one for one in told if one.strip(b"\0 ") in kept]


def test_a_kill_at_each_step_leaves_one_instance_a_document(orthanc, broker, make_appliance):
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.start().section)
    it.put("a.dcm", dicom_film("limb=LH"))
    for step in PACS_STEPS if FULL else PACS_STEPS[1:4:2]:
        it.start(ready=False, environment={"BREAK": f"{step}:1"})
        until(lambda: it.process.poll() is not None, 60, what=f"the kill at {step}")
        assert it.process.poll() == -9
    it.start()
    until(lambda: states(it) == ["closed", "closed"], 40)
    until(lambda: it.states() == {1: "acked"})
    until(lambda: documents(it) == [])
    assert orthanc.count() == 2
    assert it.audit()["findings"] == []
    assert it.terminate() == 0


@full
def test_a_broker_that_is_away_does_not_delay_the_pacs(orthanc, make_broker, make_appliance):
    broker = make_broker()
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.start().section).start()
    broker.kill()
    it.put("a.dcm", dicom_film("limb=LH"))
    until(lambda: states(it) == ["closed", "closed"], 40)
    assert orthanc.count() == 2
    assert it.states() == {1: "queued"}
    broker.start()
    until(lambda: it.states() == {1: "acked"})
    assert it.terminate() == 0


def test_a_released_film_names_the_report_that_it_replaces_by_the_class_it_was_sent_as(
    orthanc, broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.start().section).start()
    it.put("a.dcm", dicom_film("limb=LH reason=side_not_known"))
    # Nothing can be drawn of a film that is held without a limb.
    until(lambda: states(it) == ["closed", "closed"], 40)
    assert rows(it, "why") == [(None,), ("no_picture",)]
    assert it.terminate() == 0
    it.config.write_text(f'{it.config.read_text()}sr_class = "2d"\n')
    it.start()
    assert it.order("release", "1", "--side", "L").returncode == 0
    subscriber.wait("result", 1)
    until(lambda: states(it) == ["closed"] * 4, 40)
    held, released, picture = (read(one) for one in orthanc.files())
    assert (held.SOPClassUID, released.SOPClassUID) == (SR_3D, SR_2D)
    ((study,),) = [it.ReferencedSeriesSequence for it in released.PredecessorDocumentsSequence]
    (named,) = study.ReferencedSOPSequence
    assert named.ReferencedSOPClassUID == SR_3D
    assert named.ReferencedSOPInstanceUID == held.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in held
    assert {one.StudyInstanceUID for one in (held, released, picture)} == {STUDY}
    assert it.terminate() == 0


@full
def test_a_film_that_is_no_dicom_object_has_no_documents_and_that_is_told_once(
    orthanc, broker, subscriber, make_appliance
):
    from stand_in import film_bytes

    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.section).start()
    for number in range(2):
        it.put(f"{number}.jpg", film_bytes(f"n={number}|"))
    subscriber.wait("result", 2)
    it.put("bad.dcm", dicom_film("limb=LH n=3", StudyInstanceUID="no uid"))
    until(lambda: rows(it, "state", "why") == [("closed", "no_dicom_source")] * 2, 40)
    until(lambda: set(it.states().values()) == {"acked"})
    assert it.log().count("the PACS gets nothing of them") == 1
    assert it.audit()["findings"] == []


@full
def test_what_waits_when_the_pacs_is_switched_off_is_set_aside_and_taken_back(
    orthanc, broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.section).start()
    it.put("a.dcm", dicom_film("limb=LH"))
    until(lambda: states(it) == ["queued", "queued"], 40)
    assert it.terminate() == 0
    text = it.config.read_text()
    it.config.write_text(text.replace("enabled = true", "enabled = false"))
    it.start()
    until(lambda: rows(it, "state", "why") == [("set_aside", "pacs_disabled")] * 2)
    until(lambda: any(a.code == "pacs_set_aside" for a in subscriber.of("state")[-1].alerts))
    assert it.states() == {1: "set_aside"}
    assert it.terminate() == 0
    it.config.write_text(text)
    orthanc.start()
    assert it.order("retry", "--all").returncode == 0
    it.start()
    until(lambda: states(it) == ["closed", "closed"], 40)
    until(lambda: it.states() == {1: "acked"})


@full
def test_a_document_whose_file_was_deleted_is_made_again(orthanc, broker, make_appliance):
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.section).start()
    it.put("a.dcm", dicom_film("limb=LH"))
    until(lambda: states(it) == ["queued", "queued"], 40)
    before = {name: (it.state / "pacs" / name).read_bytes() for name in documents(it)}
    for name in before:
        (it.state / "pacs" / name).unlink()
    until(lambda: documents(it) == sorted(before) and states(it) == ["queued", "queued"], 40)
    assert {name: (it.state / "pacs" / name).read_bytes() for name in before} == before


@full
@pytest.mark.timeout(1800)
def test_a_stream_of_films_survives_kills_and_a_pacs_that_goes_away(
    orthanc, broker, subscriber, make_appliance
):
    count, kills, away_s = 60, 12, 60.0
    began_s = time.monotonic()
    it = make_appliance(broker.port, factory=FACTORY, extra=orthanc.start().section).start()
    for number in range(count):
        it.put(f"{number:03d}.dcm", dicom_film(f"limb=LH n={number} study={number}"))
        if number == count // 2:
            orthanc.stop()
            gone_s = time.monotonic()
        if number % (count // kills) == 3:
            until(lambda number=number: len(rows(it)) >= number, 60, what="the stream")
            it.kill()
            it.start()
    subscriber.wait("result", count, 120)
    waited = len([state for state in states(it) if state != "closed"])
    time.sleep(max(0.0, away_s - (time.monotonic() - gone_s)))
    orthanc.start()
    until(lambda: states(it) == ["closed"] * 2 * count, 300, what="the drain")
    until(lambda: set(it.states().values()) == {"acked"}, 60)
    uids = [str(read(one).SOPInstanceUID) for one in orthanc.files()]
    wanted = [json.loads(payload)["sop_instance"] for (payload,) in rows(it, "payload")]
    assert uids == wanted
    until(lambda: documents(it) == [], 120)
    assert it.terminate() == 0
    assert it.audit()["findings"] == []
    keep_table(count, kills, away_s, waited, time.monotonic() - began_s)


def keep_table(count, kills, away_s, waited, seconds):
    """Write the figures of the full form."""
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    version = read_version()
    TABLE.write_text(
        "# Documents to a PACS while the appliance is killed and the PACS goes away\n\n"
        "Research use only, not a medical device. Written by `make dicom-test`: a stand-in\n"
        f"scores; appliance, Mosquitto and Orthanc {version} are real. The appliance is killed\n"
        "(SIGKILL) evenly over the stream; Orthanc is stopped in the middle of it.\n\n"
        f"{day}; {os.cpu_count()} cores at a load average of {os.getloadavg()[1]:.0f}; "
        f"{seconds:.0f} s in all.\n\n"
        "| what | figure |\n| --- | --- |\n"
        f"| films, documents | {count}, {2 * count} |\n"
        f"| kills of the appliance | {kills} |\n"
        f"| seconds without a PACS, documents that waited at their end | {away_s:.0f}, {waited} |\n"
        f"| results over MQTT meanwhile | {count} |\n"
        f"| documents stored and committed | {2 * count} |\n"
        f"| instances in Orthanc | {2 * count} |\n"
        "| instances lost, twice, or out of the order of the results | 0 |\n"
        "| documents left in the folder of the appliance | 0 |\n"
        "| findings of `sharpedge audit` | 0 |\n"
    )


def read_version():
    found = subprocess.run([ORTHANC, "--version"], capture_output=True, text=True, check=False)
    return found.stdout.split()[1]
