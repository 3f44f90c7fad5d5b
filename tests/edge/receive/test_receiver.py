"""The receiver with real associations on loopback."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import ssl
import subprocess
from io import BytesIO

import pytest
from appliance import until
from certificates import certificate
from film_files import ramp
from pydicom import dcmread, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from receiving import CAPTURE, CR, association, connect, film_object, films, send, serving, settings

from edge.errors import ConfigError, FilmError, Reason
from edge.imaging.dicom import decode_dicom
from edge.receive import receiver
from edge.receive.contexts import STORAGE_CLASSES


@pytest.fixture
def it(tmp_path):
    with serving(tmp_path / "inbox") as found:
        yield found


@pytest.mark.parametrize(
    ("name", "characters"),
    [
        ("山田^太郎", "ISO_IR 192"),
        ("김^희중", "ISO_IR 192"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"]),
        ("Hong^Gildong=洪^吉洞=홍^길동", ["", "ISO 2022 IR 149"]),
    ],
    ids=["Japanese", "Korean", "Japanese, ISO 2022", "Korean, ISO 2022"],
)
def test_an_acknowledged_instance_lies_in_the_inbox_byte_for_byte(it, tmp_path, name, characters):
    one = film_object("1.2.3", SpecificCharacterSet=characters, PatientName=name)
    assert send(it.port, one) == [0x0000]
    (path,) = films(tmp_path / "inbox")
    found = dcmread(path)
    assert found.SOPInstanceUID == found.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert found.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert str(found.PatientName) == name
    assert found.PixelData == one.PixelData


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_decoder_reads_what_was_received(it, tmp_path, syntax):
    picture = ramp()
    one = native(picture, syntax, PatientName="Doe^Jane")
    with association(it.port, contexts=((CR, syntax),)) as found:
        assert found.send_c_store(one).Status == 0x0000
    (path,) = films(tmp_path / "inbox")
    decoded = decode_dicom(path.read_bytes(), 80.0).picture
    assert decoded.pixels.shape == picture.shape


@pytest.mark.parametrize("tags", [{"PatientName": "QC^Phantom"}, {"ProtocolName": "QC TEST"}])
def test_a_phantom_is_acknowledged_and_the_decoder_names_the_reason(it, tmp_path, tags):
    one = native(ramp(), ExplicitVRLittleEndian, **tags)
    with association(it.port, contexts=((CR, ExplicitVRLittleEndian),)) as found:
        assert found.send_c_store(one).Status == 0x0000
    (path,) = films(tmp_path / "inbox")
    with pytest.raises(FilmError) as error:
        decode_dicom(path.read_bytes(), 80.0)
    assert error.value.reason is Reason.NOT_A_PATIENT


def native(picture, syntax, **tags):
    """A Computed Radiography of 8 bits without compression."""
    rows, columns = picture.shape
    one = film_object("1.2.3", SOPClassUID=CR, Rows=rows, Columns=columns, **tags)
    del one["PixelData"]
    one.PixelData = picture.tobytes() + b"\0" * (picture.size % 2)
    one["PixelData"].VR = "OB" if syntax == ExplicitVRLittleEndian else "OW"
    one.file_meta.TransferSyntaxUID = syntax
    return one


def test_it_answers_an_echo(it):
    with association(it.port) as found:
        assert found.send_c_echo().Status == 0x0000


@pytest.mark.parametrize("sop_class", STORAGE_CLASSES)
def test_each_storage_class_is_taken(it, tmp_path, sop_class):
    one = film_object("1.2.3", SOPClassUID=sop_class)
    with association(it.port, contexts=((sop_class, JPEGBaseline8Bit),)) as found:
        assert found.send_c_store(one).Status == 0x0000
    assert len(films(tmp_path / "inbox")) == 1


@pytest.mark.parametrize(
    ("sop_class", "syntax"),
    [
        (CAPTURE, "1.2.826.0.1.3680043.10.999"),
        (CAPTURE, "1.2.840.10008.1.2.4.100"),
        ("1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian),
        ("1.2.840.10008.5.1.4.1.1.88.11", ExplicitVRLittleEndian),
    ],
    ids=["private syntax", "video", "CT", "report"],
)
def test_what_is_not_read_is_not_accepted_in_negotiation(it, sop_class, syntax):
    with association(it.port, contexts=((sop_class, syntax),)) as found:
        assert [str(cx.abstract_syntax) for cx in found.rejected_contexts] == [sop_class]


@pytest.mark.parametrize(("title", "called"), [("OTHER", "SHARPEDGE"), ("XRAY1", "OTHER")])
def test_other_titles_are_rejected(it, title, called, caplog):
    caplog.set_level(logging.WARNING)
    found = connect(it.port, title, called)
    assert found.is_rejected
    until(lambda: f"AE title '{title}' was rejected" in caplog.text)


def test_associations_beyond_the_limit_are_rejected_for_the_moment(tmp_path):
    with serving(tmp_path / "inbox", associations=2) as it:
        held = [connect(it.port) for _ in range(3)]
        assert [one.is_established for one in held] == [True, True, False]
        # Transient, by the presentation layer: local limit exceeded.
        answer = held[2].acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        held[0].release()
        until(lambda: len(it.server.active_associations) == 1)
        with association(it.port):
            pass
        held[1].release()


def test_films_beyond_the_rate_are_refused_for_the_moment(tmp_path):
    with serving(tmp_path / "inbox", films_per_minute=2) as it:
        objects = [film_object(f"1.2.{n}") for n in range(3)]
        assert send(it.port, *objects) == [0x0000, 0x0000, 0xA700]
    assert len(films(tmp_path / "inbox")) == 2


def test_less_disk_than_wanted_is_answered_with_out_of_resources(tmp_path):
    with serving(tmp_path / "inbox", min_free_mib=1 << 40) as it:
        assert send(it.port, film_object("1.2.3")) == [0xA700]
    assert films(tmp_path / "inbox") == []


def test_a_full_disk_is_answered_and_leaves_nothing(tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", inbox]
    if os.getuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small disk may be mounted here")
    try:
        with serving(inbox) as it:
            large, small = film_object("1.2.1", padding=2_000_000), film_object("1.2.2")
            assert send(it.port, large, small, large) == [0xA700, 0x0000, 0xA700]
            assert [path.name for path in inbox.glob(".*.part")] == []
            assert len(films(inbox)) == 1
    finally:
        subprocess.run(["umount", "-l", inbox], check=True)


def test_the_same_instance_with_other_bytes_is_taken_and_marked(tmp_path):
    with serving(tmp_path / "inbox") as it:
        assert send(it.port, film_object("1.2.3", "n=1")) == [0]
    # Another run of the receiver.
    with serving(tmp_path / "inbox") as it:
        assert send(it.port, film_object("1.2.3", "n=2"), film_object("1.2.3", "n=1")) == [0, 0]
    marked = [path.name.endswith(".conflict.dcm") for path in films(tmp_path / "inbox")]
    assert sorted(marked) == [False, False, True]


def test_a_receiver_without_rights_answers_and_goes_on(it, tmp_path, monkeypatch):
    def refused(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edge.receive.inbox.whole_file", refused)
    assert send(it.port, film_object("1.2.3")) == [0xA700]
    monkeypatch.undo()
    assert send(it.port, film_object("1.2.3")) == [0x0000]
    assert len(films(tmp_path / "inbox")) == 1


def test_a_table_that_cannot_be_written_is_answered_with_out_of_resources(it, monkeypatch):
    def broken(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(it.instances, "note", broken)
    assert send(it.port, film_object("1.2.3")) == [0xA700]


def test_a_fault_of_ours_is_answered_without_an_acknowledgement(it, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)

    def broken(*_):
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(it.instances, "note", broken)
    assert send(it.port, film_object("1.2.3")) == [0xC000]
    assert "ValueError in broken" in caplog.text
    assert "Doe" not in caplog.text


def test_log_lines_hold_no_patient_data(it, caplog):
    caplog.set_level(logging.DEBUG)
    canary = {"PatientName": "Canary^Name", "PatientID": "CANARYID", "AccessionNumber": "CANARYAN"}
    objects = [film_object("1.2.826.99.1", **canary), film_object("1.2.826.99.1", "n=2", **canary)]
    assert send(it.port, *objects) == [0, 0]
    said = "\n".join(it.getMessage() for it in caplog.records if it.name.startswith("edge"))
    assert "stored" in said
    assert not any(word in said for word in ("Canary", "CANARY", "1.2.826.99.1"))


def test_tls_with_certificates_on_both_sides(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    ca = certificate(tmp_path, "ca", days=2)
    ours, theirs = (certificate(tmp_path, name, days=2, ca=ca) for name in ("box", "xray"))
    files = {"certificate_file": ours, "key_file": ours.with_suffix(".key"), "ca_file": ca}
    with serving(tmp_path / "inbox", network_s=3, **files) as it:
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(theirs, theirs.with_suffix(".key"))
        found = connect(it.port, tls_args=(context, "localhost"))
        assert found.send_c_store(film_object("1.2.3", padding=100_000)).Status == 0x0000
        found.release()
        bare = ssl.create_default_context(cafile=ca)
        refused = connect(it.port, tls_args=(bare, "localhost"))
        assert not refused.is_established
        plain = connect(it.port, timeout_s=3)
        assert not plain.is_established
    assert len(films(tmp_path / "inbox")) == 1


def test_a_certificate_that_cannot_be_used_is_named(tmp_path):
    wrong = settings(certificate_file=tmp_path / "no.pem", key_file=tmp_path / "no.key")
    with pytest.raises(ConfigError, match="certificate_file"):
        receiver.start(wrong, tmp_path / "inbox", limit_mib=1, remember_days=1)


def test_a_port_in_use_is_named(it, tmp_path):
    taken = settings().model_copy(update={"port": it.port})
    with pytest.raises(ConfigError, match="cannot be listened on"):
        receiver.start(taken, tmp_path / "other", limit_mib=1, remember_days=1)


def test_dcmtks_programs_are_served(it, tmp_path):
    if shutil.which("storescu") is None:
        pytest.skip("no storescu on this machine (Debian package dcmtk)")
    peer = ["-aet", "XRAY1", "-aec", "SHARPEDGE", "127.0.0.1", str(it.port)]
    subprocess.run(["echoscu", *peer], check=True, timeout=60)
    one = film_object("1.2.3", StudyDate="20260101")
    one.file_meta.MediaStorageSOPClassUID = CAPTURE
    one.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    stream = BytesIO()
    dcmwrite(stream, one, enforce_file_format=True)
    (tmp_path / "one.dcm").write_bytes(stream.getvalue())
    done = subprocess.run(
        ["storescu", "-xy", *peer, tmp_path / "one.dcm"],
        check=False, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = films(tmp_path / "inbox")
    assert dcmread(path).PixelData == one.PixelData
