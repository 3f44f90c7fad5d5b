"""Peers of the receiver: objects, associations, a receiver in this process or in one of its own."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace

from appliance import ROOT, free_port, until
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit
from pynetdicom import AE, evt
from stand_in import StandIn, film_bytes

from edge.imaging.dicom_file import open_dicom
from edge.imaging.identity import identity_of_tags, with_name
from edge.imaging.sniff import Kind, sniff
from edge.model import StatedIdentity
from edge.receive import receiver
from edge.receive.settings import DicomSettings
from edge.worker.factory import Made

CR = "1.2.840.10008.5.1.4.1.1.1"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ECHO = "1.2.840.10008.1.1"


def film_object(uid, words="limb=LH", *, padding=2000, **tags):
    """A Secondary Capture whose picture the stand-in reads."""
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = CAPTURE, uid
    found.PatientID, found.PatientName = "p", "p"
    found.StudyInstanceUID, found.Modality = "1.2.3", "CR"
    found.Rows = found.Columns = 64
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated = found.BitsStored = 8
    found.HighBit, found.PixelRepresentation = 7, 0
    for keyword, value in tags.items():
        setattr(found, keyword, value)
    found.PixelData = encapsulate([film_bytes(words, padding=padding)])
    found["PixelData"].VR = "OB"
    found["PixelData"].is_undefined_length = True
    found.file_meta = Dataset()
    found.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return found


class DicomStandIn(StandIn):
    """The stand-in, for pictures inside DICOM files."""

    def score(self, data, file_name, operator=None, on_stage=None):
        begin, end = data.find(b"\xff\xd8"), data.rfind(b"\xff\xd9") + 2
        return super().score(data[begin:end], file_name, operator, on_stage)


def build(_config):
    """Factory named in the configuration of the tests."""
    return Made(DicomStandIn(), "e" * 64)


class TagReadingStandIn(DicomStandIn):
    """The same, with the identity that the film's tags and name state, read by our own code."""

    def score(self, data, file_name, operator=None, on_stage=None):
        outcome = super().score(data, file_name, operator, on_stage)
        stated = StatedIdentity()
        if sniff(data) is Kind.DICOM:
            # As `edge.imaging.dicom` does it.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stated = identity_of_tags(open_dicom(data, 80).tags)
        stated = with_name(stated, file_name)
        return replace(
            outcome,
            study_key=stated.study_key,
            patient_key=stated.patient_key,
            identifiers=stated.identifiers,
        )


def build_reading_tags(_config):
    """Factory named in the configuration of the tests."""
    return Made(TagReadingStandIn(), "e" * 64)


def caller(title="XRAY1", contexts=((CAPTURE, JPEGBaseline8Bit),), timeout_s=15):
    entity = AE(title)
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    entity.add_requested_context(ECHO)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    return entity


_connections = []


def connect(port, title="XRAY1", called="SHARPEDGE", tls_args=None, **options):
    """Ask for an association; `close_connections` closes what pynetdicom leaves open."""
    opened = lambda event: _connections.append(event.assoc.dul.socket.socket)  # noqa: E731
    return caller(title, **options).associate(
        "127.0.0.1", port, ae_title=called, tls_args=tls_args,
        evt_handlers=[(evt.EVT_CONN_OPEN, opened)],
    )  # fmt: skip


def close_connections():
    while _connections:
        _connections.pop().close()


@contextmanager
def association(port, title="XRAY1", called="SHARPEDGE", **options):
    """An association that was accepted."""
    found = connect(port, title, called, **options)
    try:
        assert found.is_established
        yield found
    finally:
        if found.is_established:
            found.release()


def send(port, *objects):
    """Status of each object's answer, over one association."""
    with association(port) as it:
        return [it.send_c_store(one).get("Status") for one in objects]


def settings(**more):
    """Settings of a receiver on a free port of loopback."""
    return DicomSettings(**{
        "port": 1, "callers": ("XRAY1",), "min_free_mib": 0, "network_s": 10, **more
    }).model_copy(update={"port": 0})  # fmt: skip


@contextmanager
def serving(folder, *, limit_mib=256, **more):
    """A receiver in this process."""
    it = receiver.start(settings(**more), folder, limit_mib=limit_mib, remember_days=365)
    try:
        yield it
    finally:
        it.stop()


def films(folder):
    """What the appliance would take from an inbox."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


class Process:
    """A receiver as a process over an appliance's configuration."""

    def __init__(self, appliance):
        self.config, self.log_path = appliance.config, appliance.state.parent / "receiver.log"
        self.inbox = appliance.state / "inbox"
        self.port = free_port()
        appliance.config.write_text(
            appliance.config.read_text()
            + f'[dicom]\nport = {self.port}\ncallers = ["XRAY1"]\nmin_free_mib = 0\n'
            "films_per_minute = 100000\n"
        )
        self.process = None

    def start(self):
        before = len(self.log())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sharpedge.cli", "receive", "--config", self.config],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        until(lambda: "receiver: SHARPEDGE" in self.log()[before:], 60, what="the receiver")
        return self

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class RawPeer:
    """A peer that writes PDUs byte by byte, after an association of its own making."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(10)

    def associate(self, title="XRAY1", sop_class=CAPTURE, syntax=JPEGBaseline8Bit):
        self.socket.sendall(associate_rq(title, sop_class, syntax))
        assert self.pdu()[0] == 2
        return self

    def pdu(self):
        """Type and body of the next PDU; type None where the peer closed."""
        head = self._read(6)
        if len(head) < 6:
            return None, b""
        return head[0], self._read(struct.unpack(">I", head[2:])[0])

    def _read(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionError:
                return data
            if not piece:
                return data
            data += piece
        return data

    def data(self, body, *, command, last):
        """Send one P-DATA PDU of one fragment."""
        value = bytes([1, command | last << 1]) + body
        self.socket.sendall(pdu(4, struct.pack(">I", len(value)) + value))

    def store(self, uid, sop_class=CAPTURE):
        """Send the command of a C-STORE; the data set may follow."""
        self.data(store_rq(uid, sop_class), command=True, last=True)

    def status(self):
        """Status of the answer, None where the association was ended."""
        kind, body = self.pdu()
        if kind != 4:
            return None
        found = re.search(rb"\0\0\x00\x09\x02\0\0\0(..)", body, re.DOTALL)
        return struct.unpack("<H", found[1])[0]

    def is_ended(self):
        """Whether the receiver aborted or closed."""
        kind, _ = self.pdu()
        return kind in {None, 7}

    def send_until_ended(self, send_one, pause_s):
        """Go on sending until the receiver ends the connection."""
        end_s = time.monotonic() + 30
        try:
            while time.monotonic() < end_s:
                send_one()
                time.sleep(pause_s)
        except OSError:
            return
        raise AssertionError("the receiver took it all")

    def close(self):
        self.socket.close()


def pdu(kind, body):
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate_rq(title, sop_class, syntax):
    name = UID("1.2.840.10008.3.1.1.1").encode()
    context = b"\1\0\0\0" + _item(0x30, sop_class.encode()) + _item(0x40, syntax.encode())
    user = _item(0x51, struct.pack(">I", 1 << 16)) + _item(0x52, b"1.2.3.4")
    titles = b"SHARPEDGE".ljust(16) + title.encode().ljust(16)
    fixed = b"\0\1\0\0" + titles + b"\0" * 32
    return pdu(1, fixed + _item(0x10, name) + _item(0x20, context) + _item(0x50, user))


def element(group, number, value):
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value)) + value


def store_rq(uid, sop_class=CAPTURE):
    """Command set of a C-STORE request; ``uid`` is bytes."""
    body = (
        element(0, 0x0002, sop_class.encode())
        + element(0, 0x0100, struct.pack("<H", 1))
        + element(0, 0x0110, struct.pack("<H", 7))
        + element(0, 0x0700, struct.pack("<H", 0))
        + element(0, 0x0800, struct.pack("<H", 1))
        + element(0, 0x1000, uid)
    )
    return element(0, 0, struct.pack("<I", len(body))) + body


def settled(check, seconds=1.0):
    """Whether something stays true for a while."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if not check():
            return False
        time.sleep(0.05)
    return True
