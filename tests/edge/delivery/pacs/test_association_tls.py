"""TLS to the PACS: certificates on both sides, and what is told where one is wrong."""

from __future__ import annotations

import ssl

import pytest
from certificates import certificate


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("ca"), "ca", days=2)


@pytest.fixture
def tls_pacs(make_pacs, authority, tmp_path):
    """A PACS that asks for our certificate."""
    own = certificate(tmp_path, "pacs", days=2, ca=authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, own.with_suffix(".key"))
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return make_pacs(tls=context)


def files(authority, folder):
    box = certificate(folder, "box", days=2, ca=authority)
    return {
        "ca_file": authority, "certificate_file": box, "key_file": box.with_suffix(".key"),
        "connect_s": 5.0, "answer_s": 5.0,
    }  # fmt: skip


def test_documents_go_encrypted_with_certificates_on_both_sides(
    tls_pacs, make_pacs_box, authority, tmp_path
):
    box = make_pacs_box(tls_pacs.port, commitment_s=5.0, **files(authority, tmp_path))
    wanted = box.film(1)
    box.start().run_until_closed()
    assert tls_pacs.uids() == wanted


@pytest.mark.parametrize("case", ["other_authority", "no_file", "plain"])
def test_what_does_not_fit_is_told_with_its_cause(
    tls_pacs, make_pacs_box, authority, tmp_path, case
):
    given = files(authority, tmp_path)
    port, told = tls_pacs.port, "CERTIFICATE_VERIFY_FAILED"
    if case == "other_authority":
        other = tmp_path / "other"
        other.mkdir()
        given["ca_file"] = certificate(other, "other", days=2)
    elif case == "no_file":
        given["ca_file"], told = tmp_path / "none.pem", "secrets: key or certificate"
    else:
        given, told = {"connect_s": 5.0}, "pacs.ca_file"
    box = make_pacs_box(port, **given)
    box.film(1)
    box.start().run(lambda: box.alert("pacs"))
    assert told in box.alert("pacs")
    assert box.states() == ["queued", "queued"]
