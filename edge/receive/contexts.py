"""What is accepted in negotiation: C-ECHO, and radiographs in encodings that the decoder reads.

Layer: receive; tables only.
"""

from __future__ import annotations

from pynetdicom.presentation import PresentationContext, build_context

from edge.imaging.dicom_file import (
    DEFLATED,
    ENCAPSULATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
)

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography",
    "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray, for presentation",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray, for processing",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.2": "Secondary Capture, multi-frame grey, 8 bit",
    "1.2.840.10008.5.1.4.1.1.7.3": "Secondary Capture, multi-frame grey, 16 bit",
    "1.2.840.10008.5.1.4.1.1.7.4": "Secondary Capture, multi-frame colour",
}
"""SOP classes that are accepted. What their tags do not show to be a plain radiograph of a
patient's hand or foot is rejected by the pipeline, with its reason."""
TRANSFER_SYNTAXES = (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    *sorted(ENCAPSULATED),
    DEFLATED,
    EXPLICIT_BIG,
)
"""Those of `edge.imaging.dicom_file`."""


def supported() -> list[PresentationContext]:
    """Presentation contexts of the receiver."""
    echo = build_context(VERIFICATION, [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
    return [echo, *(build_context(uid, list(TRANSFER_SYNTAXES)) for uid in STORAGE_CLASSES)]
