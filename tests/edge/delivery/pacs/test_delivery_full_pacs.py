"""An Orthanc whose disk is full: documents wait, and arrive when it has room."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from orthanc import HAS_DICOMWEB, ORTHANC, WHY_NOT, Orthanc


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here (needs root)")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_documents_wait_for_a_pacs_whose_disk_is_full(tmp_path, small_disk, make_pacs_box):
    if ORTHANC is None or not HAS_DICOMWEB:
        pytest.skip(WHY_NOT)
    orthanc = Orthanc(tmp_path, storage=small_disk).start()
    try:
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass
        box = make_pacs_box(
            orthanc.port, commitment_port=orthanc.box_port, answer_s=10, commitment_s=5,
            retry_s=0.5, longest_retry_s=1,
        )  # fmt: skip
        wanted = box.film(1)
        box.start().run(lambda: "out of resources" in box.alert("pacs"))
        assert box.states() == ["queued", "queued"]
        filler.unlink()
        box.run_until_closed(40)
        # The association of the report ends a little later; Orthanc waits for that to stop.
        box.work(0.5)
        assert orthanc.count() == len(wanted)
    finally:
        orthanc.stop()
