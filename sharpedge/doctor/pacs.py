"""Finds out whether the PACS can be reached: name, port, TLS, association, echo, classes.

Layer: sharpedge; opens connections to the PACS by the code that delivers; stores nothing.
"""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.delivery.pacs.carrier import Failure, PacsError
from edge.delivery.pacs.settings import DocumentKind, Transport
from edge.model import SrClass
from edge.system.lookup import connect
from sharpedge.doctor.finding import Finding, failed, ok, skipped
from sharpedge.doctor.place import Place, check_name, check_port

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from edge.delivery.pacs.association import PacsAssociation
    from edge.delivery.pacs.settings import PacsSettings
    from sharpedge.doctor.box import Box

LIBRARY = "PACS, library"
NAME = "PACS, name"
PORT = "PACS, port"
TLS = "PACS, TLS"
ASSOCIATION = "PACS, association"
ECHO = "PACS, echo"
CLASSES = "PACS, classes"
SERVICE = "PACS, service"
_HOSTNAMES = (62, 64)
_EXPIRED = 10
_SECURE_PORT = {"http": 80, "https": 443}


def check_pacs(box: Box) -> Iterator[Finding]:
    """Check the PACS of a site that has one."""
    it = box.config.pacs
    if it.enabled:
        yield from check_steps(it)


def check_steps(it: PacsSettings) -> Generator[Finding, None, bool]:
    """Check each step until something fails; returns whether documents can be sent."""
    if it.transport is Transport.DICOM and find_spec("pynetdicom") is None:
        yield failed(LIBRARY, "pynetdicom is not installed", "nothing is sent to the PACS",
                     "pip install 'sharpedge[dicom]'")  # fmt: skip
        return False
    place = _place(it)
    for step in (_name, _port):
        finding = step(it, place)
        yield finding
        if finding.fix:
            return False
    return (yield from (_dicom if it.transport is Transport.DICOM else _stow)(it, place))


def wanted_classes(it: PacsSettings) -> dict[DocumentKind, str]:
    """SOP class of each document that the site sends."""
    from edge.outputs.dicom_sc import SOP_CLASS  # noqa: PLC0415 - loads OpenCV
    from edge.outputs.dicom_sr import SOP_CLASSES  # noqa: PLC0415 - as above

    classes = {DocumentKind.SR: SOP_CLASSES[it.sr_class], DocumentKind.PICTURE: SOP_CLASS}
    return {kind: classes[kind] for kind in it.documents}


def _place(it: PacsSettings) -> Place:
    if it.transport is Transport.DICOM:
        return Place(it.host, it.port, "pacs.host and pacs.port")
    parts = urlsplit(str(it.url))
    return Place(str(parts.hostname), parts.port or _SECURE_PORT[parts.scheme], "pacs.url")


def _name(it: PacsSettings, place: Place) -> Finding:
    return check_name(NAME, place, it.connect_s)


def _port(it: PacsSettings, place: Place) -> Finding:
    return check_port(PORT, place, it.connect_s, f"start the PACS, or correct {place.key}")


def _dicom(it: PacsSettings, place: Place) -> Generator[Finding, None, bool]:
    from edge.delivery.pacs.association import quiet  # noqa: PLC0415 - an extra

    quiet()
    if it.ca_file is not None:
        finding = _tls(it, place)
        yield finding
        if finding.fix:
            return False
    found = _associated(it)
    if it.ca_file is None:
        finding = _plain(it, place, found)
        yield finding
        if finding.fix:
            return False
    if isinstance(found, PacsError):
        yield _not_associated(it, found)
        return False
    try:
        yield ok(ASSOCIATION, f"{it.called_ae_title} accepts {it.calling_ae_title}")
        yield _echo(found)
        refused = False
        for finding in _offered(it, found):
            refused = refused or bool(finding.fix)
            yield finding
        return not refused
    finally:
        found.end()


def _associated(it: PacsSettings) -> PacsAssociation | PacsError:
    """An association with the contexts of all that is sent, and of an echo."""
    from pydicom.uid import ExplicitVRLittleEndian  # noqa: PLC0415 - an extra
    from pynetdicom.presentation import build_context  # noqa: PLC0415 - as above
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # noqa: PLC0415 - as above
        StorageCommitmentPushModel,
        Verification,
    )

    from edge.delivery.pacs.association import Deadline, associate  # noqa: PLC0415 - as above

    contexts = [build_context(Verification)]
    contexts += [build_context(one, ExplicitVRLittleEndian) for one in wanted_classes(it).values()]
    if it.commitment:
        contexts.append(build_context(StorageCommitmentPushModel))
    try:
        return associate(it, contexts, Deadline())
    except PacsError as error:
        return error


def _not_associated(it: PacsSettings, error: PacsError) -> Finding:
    """Say why there is no association; the titles are told apart where the PACS does so."""
    what = f"{it.place}: no association"
    reason = error.detail.lower()
    if error.failure is Failure.REJECTED and "called" in reason:
        return failed(
            ASSOCIATION, f"{it.place}: it does not call itself {it.called_ae_title}", error.detail,
            "set pacs.called_ae_title to the AE title of the PACS, with its case",
        )  # fmt: skip
    if error.failure is Failure.REJECTED and "calling" in reason:
        return failed(
            ASSOCIATION, f"{it.place}: it does not know {it.calling_ae_title}", error.detail,
            f"enter {it.calling_ae_title} and this box's address at the PACS, or set "
            "pacs.calling_ae_title to the title that it knows",
        )  # fmt: skip
    if error.failure is Failure.REJECTED:
        return failed(ASSOCIATION, what, error.detail,
                      "try again later, or look at the PACS's log and disk")  # fmt: skip
    if error.failure is Failure.NOT_OFFERED:
        return failed(
            ASSOCIATION, what, "it accepts neither an echo nor a class of what is sent",
            "let it accept the classes of pacs.documents and pacs.sr_class from this title",
        )  # fmt: skip
    if error.failure is Failure.SILENT:
        return failed(ASSOCIATION, what, error.detail,
                      "look whether the PACS is busy, or what else listens there")  # fmt: skip
    return failed(ASSOCIATION, what, error.detail, "read the PACS's log")


def _echo(found: PacsAssociation) -> Finding:
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # noqa: PLC0415 - an extra
        Verification,
    )

    if not found.accepts(Verification):
        return skipped(ECHO, "the PACS does not offer Verification; documents do not need it")
    try:
        status = found.request(found.association.send_c_echo)
    except PacsError as error:
        return failed(ECHO, "no answer to an echo", error.detail, "read the PACS's log")
    if status != 0:
        return failed(ECHO, f"an echo is answered with status {status:04X}",
                      "the PACS does not take requests now", "read the PACS's log")  # fmt: skip
    return ok(ECHO, "answered")


def _offered(it: PacsSettings, found: PacsAssociation) -> Iterator[Finding]:
    """Whether the PACS takes each class of document, and commits to their storage."""
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # noqa: PLC0415 - an extra
        StorageCommitmentPushModel,
    )

    names = {DocumentKind.PICTURE: "Secondary Capture",
             DocumentKind.SR: "Comprehensive 3D SR" if it.sr_class is SrClass.COMPREHENSIVE_3D
             else "Comprehensive SR"}  # fmt: skip
    older = it.sr_class is SrClass.COMPREHENSIVE_3D
    for kind, sop_class in wanted_classes(it).items():
        if found.accepts(sop_class):
            yield ok(CLASSES, f"{names[kind]}: accepted")
            continue
        fix = f"let the PACS accept {sop_class}, or take {kind} out of pacs.documents"
        if kind is DocumentKind.SR and older:
            fix = f'set pacs.sr_class = "2d" for an older PACS, or let it accept {sop_class}'
        yield failed(CLASSES, f"{names[kind]}: not accepted", "the PACS does not store this class",
                     fix)  # fmt: skip
    if not it.commitment:
        return
    if found.accepts(StorageCommitmentPushModel):
        yield ok(CLASSES, "storage commitment: offered")
    else:
        yield failed(
            CLASSES, "storage commitment: not offered",
            "documents would be stored and never count as delivered",
            "switch storage commitment on there, or set pacs.commitment = false",
        )  # fmt: skip


def _plain(it: PacsSettings, place: Place, found: PacsAssociation | PacsError) -> Finding:
    """Whether DICOM is spoken here without TLS."""
    silent = {Failure.ENDED, Failure.SILENT}
    if isinstance(found, PacsError) and found.failure in silent and _speaks_tls(it, place):
        return failed(
            TLS, f"{place}: expects TLS, and pacs.ca_file is not set",
            "the port belongs to a listener with certificates",
            'set pacs.ca_file = "/etc/sharpedge/pacs-ca.pem", or name the port without TLS',
        )  # fmt: skip
    return ok(TLS, "none: documents travel in the clear")


def _speaks_tls(it: PacsSettings, place: Place) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            connect(place.host, place.port, it.connect_s) as stream,
            context.wrap_socket(stream),
        ):
            return True
    except OSError as error:
        # Whoever sends an alert speaks TLS.
        return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def _tls(it: PacsSettings, place: Place) -> Finding:
    try:
        context = ssl.create_default_context(cafile=None if it.ca_file is None else str(it.ca_file))
        if it.certificate_file is not None and it.key_file is not None:
            context.load_cert_chain(it.certificate_file, it.key_file)
    except (OSError, ValueError) as error:
        return failed(TLS, "the files of [pacs] cannot be used", str(error),
                      "see the lines on pacs.*_file")  # fmt: skip
    try:
        with (
            connect(place.host, place.port, it.connect_s) as plain,
            context.wrap_socket(plain, server_hostname=place.host) as stream,
        ):
            version = stream.version()
            # With TLS 1.3 a server refuses our certificate after the handshake.
            stream.settimeout(0.5)
            _hears_refusal(stream)
    except ssl.SSLCertVerificationError as error:
        return _untrusted(place, error)
    except OSError as error:
        return _no_tls(it, place, error)
    return ok(TLS, f"{version}, the certificate is trusted")


def _hears_refusal(stream: ssl.SSLSocket) -> None:
    """Wait whether the peer ends the connection. Raises `OSError` where it refuses us."""
    try:
        stream.recv(1)
    except TimeoutError:
        return


def _untrusted(place: Place, error: ssl.SSLCertVerificationError) -> Finding:
    fix = "set pacs.ca_file to the certificate of the authority that signed the PACS's"
    if error.verify_code == _EXPIRED:
        fix = "renew the PACS's certificate; check this machine's clock: timedatectl"
    elif error.verify_code in _HOSTNAMES:
        fix = (
            f"make the PACS's certificate with {place.host} among its subjectAltName, or name it "
            "as its certificate does"
        )
    return failed(TLS, f"{place}: its certificate is not accepted", error.verify_message, fix)


def _no_tls(it: PacsSettings, place: Place, error: OSError) -> Finding:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    words = reason.replace("_", " ").lower()
    if "alert" in words or "certificate" in words:
        return failed(
            TLS, f"{place}: asks for a certificate of ours, or refuses the one that it was shown",
            words, "set pacs.certificate_file and pacs.key_file to a pair that it trusts",
        )  # fmt: skip
    if it.transport is Transport.DICOM and _speaks_dicom(it):
        return failed(
            TLS, f"{place}: speaks DICOM without TLS, and pacs.ca_file is set",
            "the port belongs to a listener without certificates",
            "name the port with TLS (usual: 2762), or remove pacs.ca_file",
        )  # fmt: skip
    return failed(TLS, f"{place}: the TLS handshake fails", words, f"correct {place.key}")


def _speaks_dicom(it: PacsSettings) -> bool:
    plain = {"ca_file": None, "certificate_file": None, "key_file": None}
    found = _associated(it.model_copy(update=plain))
    if isinstance(found, PacsError):
        return found.failure in {Failure.REJECTED, Failure.NOT_OFFERED}
    found.end()
    return True


def _stow(it: PacsSettings, place: Place) -> Generator[Finding, None, bool]:
    if urlsplit(str(it.url)).scheme == "https":
        finding = _tls(it, place)
        yield finding
        if finding.fix:
            return False
    else:
        yield ok(TLS, "none: documents travel in the clear")
    finding = _service(it)
    yield finding
    return not finding.fix


def _service(it: PacsSettings) -> Finding:
    """Whether a DICOMweb service lets us in; an empty request, which stores nothing."""
    from edge.delivery.pacs.stow import StowCarrier  # noqa: PLC0415 - needed for this alone

    carrier = StowCarrier(it)
    try:
        carrier.open(())
        status = carrier.probe()
    except PacsError as error:
        return failed(SERVICE, f"{it.url}: no answer", error.detail, "read the service's log")
    finally:
        carrier.close()
    if status in {401, 403}:
        return failed(SERVICE, f"{it.url}: does not let us in", f"HTTP status {status}",
                      "set pacs.username and pacs.password_file as it knows them")  # fmt: skip
    if status == 404 or 300 <= status < 400:
        return failed(SERVICE, f"{it.url}: no DICOMweb service is there", f"HTTP status {status}",
                      "correct pacs.url, the root below which /studies lies")  # fmt: skip
    if status >= 500:
        return failed(SERVICE, f"{it.url}: the service fails", f"HTTP status {status}",
                      "read the service's log")  # fmt: skip
    return ok(SERVICE, f"{it.url}: lets us in")
