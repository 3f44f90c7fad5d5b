"""Debian's Orthanc on free ports of loopback, as a PACS."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from appliance import free_port, until

ORTHANC = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
_PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
HAS_DICOMWEB = _PLUGINS.exists()
WHY_NOT = "no Orthanc on this machine (Debian packages orthanc and orthanc-dicomweb)"


class Orthanc:
    """One PACS over its own folder; it knows the box as a modality, for its reports."""

    def __init__(self, folder, *, storage=None, **more):
        self.port, self.http, self.box_port = free_port(), free_port(), free_port()
        self._log = folder / "orthanc.log"
        self._config = folder / "orthanc.json"
        storage = storage or folder / "orthanc"
        self._config.write_text(
            json.dumps(
                {
                    "Name": "TESTPACS", "DicomAet": "TESTPACS", "DicomPort": self.port,
                    "HttpPort": self.http, "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "StorageDirectory": str(storage), "IndexDirectory": str(storage),
                    "DicomModalities": {"box": ["SHARPEDGE", "127.0.0.1", self.box_port]},
                    "DicomAlwaysAllowStore": False, "DicomCheckCalledAet": True,
                    "DicomCheckModalityHost": False, "OverwriteInstances": False,
                    "StableAge": 1,
                    "Plugins": [str(_PLUGINS)] if HAS_DICOMWEB else [],
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                }
                | more
            )
        )  # fmt: skip
        self._process = None

    def start(self):
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([ORTHANC, self._config], stdout=log, stderr=log)
        until(self._serves, 60, what="Orthanc")
        return self

    def _serves(self):
        try:
            return self.get("/system")
        except (OSError, urllib.error.URLError):
            return None

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def raw(self, path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return answer.read()

    def get(self, path):
        return json.loads(self.raw(path))

    def files(self):
        """Every instance's file, in the order in which they came."""
        changes = self.get("/changes?limit=100000")["Changes"]
        ids = [it["ID"] for it in changes if it["ChangeType"] == "NewInstance"]
        return [self.raw(f"/instances/{one}/file") for one in ids]

    def wado(self, document):
        """The file of an instance by DICOMweb (WADO-RS)."""
        place = (
            f"/dicom-web/studies/{document.StudyInstanceUID}/series/{document.SeriesInstanceUID}"
            f"/instances/{document.SOPInstanceUID}"
        )
        wanted = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        body = self.raw(place, Accept=wanted)
        head, _, rest = body.partition(b"\r\n\r\n")
        boundary = head.split(b"\r\n")[0]
        return rest[: rest.rindex(b"\r\n" + boundary)]

    def count(self):
        return self.get("/statistics")["CountInstances"]

    def log(self):
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def section(self):
        """The section ``[pacs]`` of an appliance that sends here."""
        return (
            f'[pacs]\nenabled = true\nport = {self.port}\ncalled_ae_title = "TESTPACS"\n'
            f"commitment_port = {self.box_port}\nretry_s = 0.5\nlongest_retry_s = 2\n"
            "connect_s = 3\nanswer_s = 10\ncommitment_s = 5\n"
        )
