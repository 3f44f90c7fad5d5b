"""What ``sharpedge pacs test`` does: every step to the PACS, up to a document that it committed to.

Layer: sharpedge; stores test documents at the PACS by the code that delivers results.
"""

from __future__ import annotations

import hashlib
import queue
import tempfile
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edge import config
from edge.delivery.pacs.answers import CLASS_REFUSED, Verdict
from edge.delivery.pacs.carrier import Failure, PacsError
from edge.delivery.pacs.commitments import Reference
from edge.delivery.pacs.faults import commitment_fault
from edge.delivery.pacs.sender import carrier_of
from edge.delivery.pacs.settings import DocumentKind, Transport
from edge.errors import ConfigError
from edge.outputs.document import StoredDocument
from edge.system.terminal import say
from sharpedge.doctor.finding import Finding, as_json, as_table, exit_status, failed, ok, skipped
from sharpedge.doctor.finding import warning as warned
from sharpedge.doctor.pacs import check_steps, wanted_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.delivery.pacs.carrier import Carrier
    from edge.delivery.pacs.commitments import Report
    from edge.delivery.pacs.settings import PacsSettings
    from sharpedge.pacs_documents import SampleDocument

STORE = "PACS, store"
COMMITMENT = "PACS, commitment"
_TURN_S = 0.2
_NAMES = {DocumentKind.SR: "structured report", DocumentKind.PICTURE: "picture"}


def run(config_path: Path | None, *, machine: bool) -> int:
    """Print what each step gave; returns the exit status: 1 failed, 3 only warnings.

    Raises `ConfigError` where the site has no PACS.
    """
    it = config.load(config_path).pacs
    if not it.enabled:
        raise ConfigError(
            "pacs.enabled is false: no PACS is set up; fix: set it and the place in [pacs]"
        )
    findings = list(steps(it))
    say(as_json(findings) if machine else as_table(findings))
    return exit_status(findings)


def steps(it: PacsSettings) -> Iterator[Finding]:
    """Every step; the first that fails is the last one."""
    reached = yield from check_steps(it)
    if reached:
        yield from _delivered(it)


def _delivered(it: PacsSettings) -> Iterator[Finding]:
    """Store a document of each kind, and have the PACS commit to them."""
    from sharpedge.pacs_documents import documents_of  # noqa: PLC0415 - loads libraries

    reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
    carrier = carrier_of(it, reports.put)
    documents = list(documents_of(it, str(uuid.uuid4()), datetime.now(timezone.utc)))
    try:
        findings = list(_stored(it, carrier, documents))
        yield from findings
        if it.commitment and carrier.commits and not any(one.fix for one in findings):
            yield _committed(it, carrier, documents, reports)
    finally:
        carrier.stop()


def _stored(
    it: PacsSettings, carrier: Carrier, documents: list[SampleDocument]
) -> Iterator[Finding]:
    classes = wanted_classes(it)
    with tempfile.TemporaryDirectory(prefix="sharpedge-pacs-test-") as folder:
        try:
            carrier.open(set(classes.values()))
            for document in documents:
                path = Path(folder) / f"{uuid.uuid4()}.dcm"
                path.write_bytes(document.data)
                yield _one(it, carrier, document, classes[document.kind], path)
        except PacsError as error:
            yield failed(STORE, f"{it.place}: no document could be stored", error.detail,
                         _fix_of(it, error))  # fmt: skip
        finally:
            carrier.close()


def _one(
    it: PacsSettings, carrier: Carrier, document: SampleDocument, sop_class: str, path: Path
) -> Finding:
    """Store one document."""
    stored = StoredDocument(
        file=path.name,
        result_id=path.stem,
        sop_class=sop_class,
        sop_instance=document.sop_instance,
        sha256=hashlib.sha256(document.data).hexdigest(),
    )
    name = _NAMES[document.kind]
    answer = carrier.store(stored, path)
    if answer == CLASS_REFUSED:
        return failed(STORE, f"{name}: its class is not accepted", answer.why,
                      f"let the PACS accept {sop_class}, or take {document.kind} out of "
                      "pacs.documents")  # fmt: skip
    if answer.verdict is Verdict.BUSY:
        return failed(STORE, f"{name}: the PACS takes nothing now", answer.why,
                      "free its disk, or try again later")  # fmt: skip
    if answer.verdict is Verdict.REFUSED:
        return failed(STORE, f"{name}: the PACS does not take it", answer.why,
                      "read the PACS's log for this status")  # fmt: skip
    if answer.verdict is Verdict.WARNED:
        return warned(STORE, f"{name}: stored, with a remark", answer.why,
                      "read the PACS's log; it may have changed the object")  # fmt: skip
    receipt = "" if it.transport is Transport.DICOM else ", which is the receipt"
    return ok(STORE, f"{name}: stored{receipt}")


def _committed(
    it: PacsSettings,
    carrier: Carrier,
    documents: list[SampleDocument],
    reports: queue.SimpleQueue[Report],
) -> Finding:
    """Ask for commitment, and wait for the report."""
    classes = wanted_classes(it)
    references = [
        Reference(row, classes[one.kind], one.sop_instance) for row, one in enumerate(documents)
    ]
    transaction = f"2.25.{uuid.uuid4().int}"
    try:
        carrier.listen()
    except PacsError as error:
        if error.failure is not Failure.UNREACHABLE:
            return failed(COMMITMENT, "reports cannot be listened for", error.detail,
                          "see the lines on pacs.*_file")  # fmt: skip
        return skipped(
            COMMITMENT, f"{error.detail}: the running appliance listens there; fix: stop the "
            "appliance for the test, or see whether its alert pacs_commitment stays away",
        )  # fmt: skip
    try:
        carrier.ask(transaction, references)
    except PacsError as error:
        return _uncommitted(it, error)
    wanted = {one.sop_instance for one in documents}
    end_s = time.monotonic() + it.commitment_s
    while time.monotonic() < end_s:
        carrier.tidy()
        try:
            report = reports.get(timeout=_TURN_S)
        except queue.Empty:
            continue
        if report.transaction == transaction:
            carrier.reported(transaction)
            return _reported(report, wanted)
    return _uncommitted(it, PacsError(Failure.SILENT, f"no report within {it.commitment_s:g} s"))


def _reported(report: Report, wanted: set[str]) -> Finding:
    missing = wanted - report.committed
    if missing:
        reasons = sorted({f"{report.failed.get(uid, 0):04X}" for uid in missing})
        return failed(
            COMMITMENT, f"the PACS does not commit to {len(missing)} of {len(wanted)} documents",
            f"failure reason {', '.join(reasons)}", "read the PACS's log; it may not keep objects "
            "of this patient, or look for them elsewhere",
        )  # fmt: skip
    return ok(COMMITMENT, f"{len(wanted)} documents are committed to")


def _uncommitted(it: PacsSettings, error: PacsError) -> Finding:
    cause, _, fix = commitment_fault(it, error).partition("; fix: ")
    return failed(COMMITMENT, "the PACS does not commit to what it has stored",
                  cause.removeprefix(f"{it.place}: "), fix)  # fmt: skip


def _fix_of(it: PacsSettings, error: PacsError) -> str:
    if error.failure is Failure.REJECTED:
        credentials = "pacs.username and pacs.password_file"
        titles = "the AE titles, and whether the PACS serves as many as it may"
        return f"look at {credentials if it.transport is Transport.STOW else titles}"
    return "read the PACS's log"
