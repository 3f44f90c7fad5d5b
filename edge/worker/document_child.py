"""Makes the documents of films for the PACS, in a process that a hostile film may end.

Layer: worker; this module runs in the child. It reads tasks from one socket and writes the files
into the folder of documents. It needs no engines: a document is made of a film's bytes and its
recorded result, so that the same task gives the same bytes at any time.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import signal
import socket
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from edge.config import Config
from edge.errors import EdgeError, FilmError, place_of
from edge.journal.kinds import DICOM_SR
from edge.journal.places import Places
from edge.model import SrClass
from edge.outputs.dicom_sc import SOP_CLASS, sc_of
from edge.outputs.dicom_source import NoSourceError, read_source
from edge.outputs.dicom_sr import SOP_CLASSES, sr_of
from edge.outputs.report import LimbReport, Predecessor, uid_of
from edge.pipeline.picture.words import Caption
from edge.scoring.drawing import local_picture
from edge.system.files import write_whole
from edge.system.logs import set_up_logs
from edge.worker.child import leave_no_dump, limit_memory
from edge.worker.document_messages import (
    NO_PICTURE,
    NO_SOURCE,
    NOT_MADE,
    NOT_WRITTEN,
    DocumentsMade,
    DocumentTask,
    MadeDocument,
)
from edge.worker.frames import receive_frame, send_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.outputs.dicom_source import DicomSource
    from edge.pipeline.settings import PipelineSettings
    from edge.worker.document_messages import LimbDocuments, WantedDocument

log = logging.getLogger(__name__)

_LOST = 3
_PDEATHSIG = 1
_NICE = 10
_MODE = 0o600


def serve(descriptor: int) -> None:
    """Run the child: make documents until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    leave_no_dump()
    # Films that are scored go first. The unit forbids it, and then they share the cores.
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    pipe = socket.socket(fileno=descriptor)
    try:
        config = Config.model_validate_json(receive_frame(pipe))
        set_up_logs(config.logs.format, config.logs.level)
        for library in ("highdicom", "pydicom"):
            # They log identifiers and values of the film.
            logging.getLogger(library).setLevel(logging.CRITICAL + 1)
        limit_memory(config.worker.memory_mib)
        folder = Places.below(config.state_folder).pacs
        while True:
            task = DocumentTask.model_validate_json(receive_frame(pipe))
            made = DocumentsMade(
                documents=tuple(_made(task, receive_frame(pipe), folder, config.pipeline))
            )
            send_frame(pipe, made.model_dump_json().encode())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except MemoryError as error:
        log.error("out of memory: %s", place_of(error))  # noqa: TRY400 - one line an event
        raise SystemExit(_LOST) from None


def _made(
    task: DocumentTask, data: bytes, folder: Path, settings: PipelineSettings
) -> Iterator[MadeDocument]:
    why = detail = ""
    try:
        source = read_source(data, settings.max_megapixels)
    except NoSourceError as error:
        why, detail = NO_SOURCE, _words(error)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
        why, detail = NOT_MADE, place_of(error)
    if why:
        for limb in task.limbs:
            for it in limb.wanted:
                yield MadeDocument(file=it.file, why=why, detail=detail)
        return
    for limb in task.limbs:
        for it in limb.wanted:
            yield _one(limb, it, data, source, folder, settings)


def _one(
    limb: LimbDocuments,
    wanted: WantedDocument,
    data: bytes,
    source: DicomSource,
    folder: Path,
    settings: PipelineSettings,
) -> MadeDocument:
    report = _report(limb)
    try:
        if wanted.kind == DICOM_SR:
            sr_class = wanted.sr_class or SrClass.COMPREHENSIVE_3D
            document = sr_of(report, source, sr_class)
            sop_class, role = SOP_CLASSES[sr_class], "sr"
        else:
            picture = _picture(limb, data, settings)
            if picture is None:
                return MadeDocument(file=wanted.file, why=NO_PICTURE)
            document, sop_class, role = sc_of(report, source, picture), SOP_CLASS, "sc"
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - one document must not cost the others
        return MadeDocument(file=wanted.file, why=NOT_MADE, detail=place_of(error))
    try:
        write_whole(folder / wanted.file, document, durable=True, mode=_MODE)
    except OSError as error:
        return MadeDocument(file=wanted.file, why=NOT_WRITTEN, detail=error.strerror or "failed")
    return MadeDocument(
        file=wanted.file,
        sop_class=sop_class,
        sop_instance=uid_of(limb.result_id, role),
        sha256=hashlib.sha256(document).hexdigest(),
    )


def _report(limb: LimbDocuments) -> LimbReport:
    earlier = limb.supersedes
    return LimbReport(
        result=limb.result,
        result_id=limb.result_id,
        moment=_moment(limb.queued),
        supersedes=None if earlier is None else Predecessor(earlier.result_id, earlier.sr_class),
        device=limb.device,
    )


def _moment(unix_s: float) -> datetime:
    """A moment in the machine's time zone; that of the epoch where no calendar has it."""
    try:
        return datetime.fromtimestamp(unix_s, timezone.utc).astimezone()
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, timezone.utc)


def _picture(limb: LimbDocuments, data: bytes, settings: PipelineSettings) -> bytes | None:
    if limb.result.transform is None:
        return None
    try:
        return local_picture(data, limb.result.file, limb.result, Caption(), settings=settings)
    except FilmError:
        return None


def _words(error: EdgeError) -> str:
    """Words of a fault without what stood in the film's tags."""
    cause = error.__cause__
    return str(error) if cause is None else f"{type(error).__name__}: {place_of(cause)}"


if __name__ == "__main__":
    serve(int(sys.argv[1]))
