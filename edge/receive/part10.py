"""Makes a DICOM file of a received data set, and reads the UIDs that a data set states.

Layer: receive; bytes in, bytes out.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from edge.imaging.dicom_file import DEFLATED, EXPLICIT_BIG, IMPLICIT_LITTLE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_IMPLEMENTATION = UID("2.25.204160683906215837049918423761853302981")
_VERSION = "SHARPEDGE"
_CLASS, _INSTANCE = 0x00080016, 0x00080018
_UID = re.compile(r"[0-9.]{1,64}")


class Instance(NamedTuple):
    """A SOP instance: UIDs of class and instance, empty where they are not stated."""

    sop_class: str
    uid: str


def is_uid(text: str) -> bool:
    """Whether a text has the characters and the length of a UID."""
    return _UID.fullmatch(text) is not None


def file_header(instance: Instance, syntax: str) -> bytes:
    """Preamble and file meta information of a data set in the transfer syntax ``syntax``.

    Holds nothing of sender, moment or release: the same instance gives the same file whenever and
    from whomever it comes.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(instance.sop_class)
    meta.MediaStorageSOPInstanceUID = UID(instance.uid)
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = _VERSION
    body = DicomBytesIO()
    write_file_meta_info(body, meta)
    return b"\0" * 128 + b"DICM" + body.getvalue()


def stated_instance(data: bytes, syntax: str) -> Instance:
    """Class and instance that an encoded data set states.

    Empty where it is deflated or cannot be read: what is wrong with it is the pipeline's to say.
    """
    if syntax == DEFLATED:
        return Instance("", "")
    try:
        tags = read_dataset(
            BytesIO(data),
            syntax == IMPLICIT_LITTLE,
            syntax != EXPLICIT_BIG,
            stop_when=lambda tag, _vr, _length: tag > _INSTANCE,
        )
        return Instance(_text(tags, _CLASS), _text(tags, _INSTANCE))
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
        return Instance("", "")


def _text(tags: Dataset, tag: int) -> str:
    return str(tags[tag].value or "").strip("\0 ") if tag in tags else ""
