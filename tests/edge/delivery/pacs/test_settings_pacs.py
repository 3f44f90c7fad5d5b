"""The section ``[pacs]``."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edge.delivery.pacs.settings import DocumentKind, PacsSettings


def test_nothing_is_sent_by_default():
    it = PacsSettings()
    assert not it.enabled
    assert not any(map(it.wants, DocumentKind))
    assert it.commitment
    assert it.commitment_port == 0


def test_both_documents_are_sent_where_the_site_names_none():
    assert all(map(PacsSettings(enabled=True).wants, DocumentKind))


def test_a_document_that_is_named_twice_is_sent_once():
    it = PacsSettings(enabled=True, documents=("picture", "picture"))
    assert it.documents == (DocumentKind.PICTURE,)
    assert not it.wants(DocumentKind.SR)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"documents": ()}, "at least 1 item"),
        ({"documents": ("pdf",)}, "'sr' or 'picture'"),
        ({"called_ae_title": "A" * 17}, "1 to 16 ASCII"),
        ({"calling_ae_title": " "}, "1 to 16 ASCII"),
        ({"key_file": "a"}, "go together"),
        ({"certificate_file": "a", "key_file": "b"}, "needs ca_file"),
        ({"enabled": True, "transport": "stow"}, "needs url"),
        ({"url": "ftp://pacs/x"}, "http"),
        ({"url": "https://"}, "name a host"),
        ({"url": "https://a:b@pacs/x"}, "password_file"),
        ({"url": "https://pacs/x?y=1"}, r"without \?"),
        ({"password_file": "a"}, "needs username"),
        ({"retry_s": 10.0, "longest_retry_s": 5.0}, "longest_retry_s"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_with_the_cause(given, told):
    with pytest.raises(ValidationError, match=told):
        PacsSettings(**given)


def test_the_place_names_the_pacs_by_its_transport():
    assert PacsSettings(host="10.0.0.4", port=11112).place == "PACS at 10.0.0.4:11112"
    stow = PacsSettings(transport="stow", url="https://pacs/dicom-web/")
    assert stow.place == "https://pacs/dicom-web"
