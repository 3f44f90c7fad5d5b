"""The section ``[dicom]``."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edge.receive.settings import DicomSettings


def test_the_receiver_is_off_by_default_and_listens_to_this_machine_alone():
    it = DicomSettings()
    assert (it.port, it.host, it.callers) == (0, "127.0.0.1", ())


def test_a_port_without_callers_is_refused():
    with pytest.raises(ValidationError, match="name the AE titles that may send"):
        DicomSettings(port=11112)


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "A\x00", "Ä"])
def test_what_is_no_ae_title_is_refused(title):
    with pytest.raises(ValidationError, match="1 to 16 ASCII"):
        DicomSettings(ae_title=title)
    with pytest.raises(ValidationError, match="1 to 16 ASCII"):
        DicomSettings(callers=("XRAY1", title))


def test_the_padding_of_titles_does_not_count():
    it = DicomSettings(port=1, ae_title=" BOX ", callers=("XRAY1   ",))
    assert (it.ae_title, it.callers) == ("BOX", ("XRAY1",))


@pytest.mark.parametrize(
    "files", [{"certificate_file": "a"}, {"key_file": "a"}, {"ca_file": "a"}], ids=str
)
def test_a_file_of_tls_without_the_others_is_refused(files):
    with pytest.raises(ValidationError, match="key_file"):
        DicomSettings(**files)
