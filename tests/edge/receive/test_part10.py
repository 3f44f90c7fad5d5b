"""Files made of received data sets."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pynetdicom.dsutils import encode
from receiving import CR, film_object

from edge.imaging.dicom_file import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from edge.receive.part10 import Instance, file_header, is_uid, stated_instance


def test_the_file_is_read_as_what_was_sent():
    header = file_header(Instance(CR, "1.2.3"), EXPLICIT_LITTLE)
    data = encode(film_object("1.2.3"), False, True)
    found = dcmread(BytesIO(header + data))
    assert found.file_meta.MediaStorageSOPClassUID == CR
    assert found.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert found.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE
    assert found.SOPInstanceUID == "1.2.3"


def test_the_header_is_the_same_at_any_time_and_in_every_release():
    found = file_header(Instance(CR, "1.2.3"), EXPLICIT_LITTLE)
    assert found == file_header(Instance(CR, "1.2.3"), EXPLICIT_LITTLE)
    # A new header would make every film that is sent again another one.
    assert b"SHARPEDGE" in found
    assert b"pydicom" not in found.lower()


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_the_uids_of_a_data_set_are_read_in_each_encoding(syntax):
    data = film_object("1.2.3")
    del data.PixelData
    encoded = encode(data, syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG)
    assert stated_instance(encoded, syntax).uid == "1.2.3"


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 7, b"\xff" * 400, b"\x08\0\x18\0UI\xff\xff1.2"], ids=str
)
def test_what_cannot_be_read_states_nothing(data):
    assert stated_instance(data, EXPLICIT_LITTLE).uid in {"", "1.2"}
    assert stated_instance(data, DEFLATED) == Instance("", "")


def test_nesting_without_end_states_nothing():
    nested = b"\x08\0\x05\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 20_000
    first = b"\x08\0\x00\x00SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 20_000
    for data in (nested, first):
        assert stated_instance(data, EXPLICIT_LITTLE) == Instance("", "")


@pytest.mark.parametrize("text", ["1.2.840.10008", "1", "0" * 64])
def test_digits_and_dots_are_a_uid(text):
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", "../../etc", "1.2\0", "1" * 65, "1" * 5000, "1.2/3", "1.2\n", "\uff11", "a"]
)
def test_what_is_no_uid_is_none(text):
    assert not is_uid(text)
