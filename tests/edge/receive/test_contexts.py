"""What is accepted in negotiation."""

from __future__ import annotations

from edge.imaging.dicom_file import ENCAPSULATED, NATIVE
from edge.imaging.subject import _RADIOGRAPH_CLASSES
from edge.receive.contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, VERIFICATION, supported


def test_exactly_the_encodings_that_the_decoder_reads_are_accepted():
    assert set(TRANSFER_SYNTAXES) == NATIVE | ENCAPSULATED
    assert len(TRANSFER_SYNTAXES) == len(set(TRANSFER_SYNTAXES))


def test_every_class_is_a_radiograph_for_the_pipeline():
    assert STORAGE_CLASSES.keys() <= _RADIOGRAPH_CLASSES


def test_each_class_is_offered_in_each_encoding():
    found = {str(it.abstract_syntax): set(map(str, it.transfer_syntax)) for it in supported()}
    assert found.keys() == {VERIFICATION, *STORAGE_CLASSES}
    assert all(found[uid] == set(TRANSFER_SYNTAXES) for uid in STORAGE_CLASSES)
