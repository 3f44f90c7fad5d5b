"""The documents of ``sharpedge score``: DICOM SR, Secondary Capture, FHIR and HL7 v2, as files.

Layer: sharpedge; reads films again, writes documents.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge.contract.ids import DeviceName, ResultKey, output_id
from edge.errors import FilmError
from edge.model import Identifier, SrClass
from edge.outputs.dicom_source import NoSourceError, read_source
from edge.outputs.fhir import Pseudonyms, bundle_of, pseudonym_of_bytes
from edge.outputs.hl7 import oru_of
from edge.outputs.report import LimbReport
from edge.pipeline.picture.words import Caption
from edge.scoring.drawing import local_picture
from edge.scoring.score_files import read_film
from edge.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.model import LimbResult, OperatorStatement
    from edge.outputs.dicom_source import DicomSource
    from edge.scoring.score_files import ScoredFile

_DEVICE = DeviceName("files", "score", "sharpedge")


@dataclass(frozen=True)
class WantedDocuments:
    """Folders that documents are written to, None for those that are not asked for.

    ``dicom`` takes structured reports and Secondary Captures. ``identifiers`` are those that FHIR
    bundles of DICOM films state, ``hl7_identifiers`` those of HL7 messages.
    """

    dicom: Path | None = None
    fhir: Path | None = None
    hl7: Path | None = None
    sr_class: SrClass = SrClass.COMPREHENSIVE_3D
    identifiers: tuple[Identifier, ...] = tuple(Identifier)
    hl7_identifiers: tuple[Identifier, ...] = tuple(Identifier)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders that are written to."""
        return tuple(folder for folder in (self.dicom, self.fhir, self.hl7) if folder)


def lacks_highdicom() -> bool:
    """Whether the package that makes structured reports is missing."""
    return find_spec("highdicom") is None


class DocumentWriter:
    """Writes the documents of films, a few files a limb: ``STEM_LIMBINDEX.sr.dcm`` and the like.

    Films of one stem get ``STEM-2`` and so on. A file of an earlier call is written over.
    """

    def __init__(self, wanted: WantedDocuments, operator: OperatorStatement | None = None) -> None:
        self._wanted, self._operator = wanted, operator
        self._stems: dict[str, int] = {}

    def write(self, scored: ScoredFile) -> Iterator[str]:
        """Write the documents of a film; yields what could not be made, and why.

        Raises OSError where a folder cannot be written or the film can no longer be read.
        """
        if scored.fault is not None:
            return
        try:
            data = read_film(scored.path)
        except FilmError as error:
            yield f"no documents: {error}"
            return
        source = None
        try:
            source = read_source(data)
        except NoSourceError as error:
            if self._wanted.dicom is not None:
                yield f"no DICOM documents: {error} (fix: --fhir or --hl7, which take every film)"
        stem = self._stem(scored.path)
        for result in scored.results:
            report = self._report(result, data, _written_at(scored.path))
            base = f"{stem}_{result.limb_index}"
            origin = source or Pseudonyms(pseudonym_of_bytes(hashlib.sha256(data).hexdigest()))
            self._write_fhir(base, report, origin)
            self._write_hl7(base, report, origin)
            if source is not None:
                self._write_dicom(base, report, data, source)

    def _stem(self, path: Path) -> str:
        number = self._stems[path.stem] = self._stems.get(path.stem, 0) + 1
        return path.stem if number == 1 else f"{path.stem}-{number}"

    def _report(self, result: LimbResult, data: bytes, moment: datetime) -> LimbReport:
        word = self._operator
        key = ResultKey(
            device=_DEVICE,
            film_sha256=hashlib.sha256(data).hexdigest(),
            limb_index=result.limb_index,
            engines=",".join(f"{k}={v}" for k, v in sorted(result.versions.engines.items())),
            operator_limb="" if word is None or word.limb is None else str(word.limb),
            operator_side="" if word is None or word.laterality is None else str(word.laterality),
        )
        # Options of the command change a result too; its file name does not.
        body = json.dumps(result.model_dump(mode="json", exclude={"file"}), sort_keys=True)
        digest = hashlib.sha256(body.encode()).hexdigest()
        return LimbReport(result, output_id(key.result_id(), digest), moment)

    def _write_fhir(self, base: str, report: LimbReport, origin: DicomSource | Pseudonyms) -> None:
        if self._wanted.fhir is not None:
            bundle = bundle_of(report, origin, self._wanted.identifiers)
            text = json.dumps(bundle, indent=1, allow_nan=False)
            self._put(self._wanted.fhir, f"{base}.fhir.json", text.encode())

    def _write_hl7(self, base: str, report: LimbReport, origin: DicomSource | Pseudonyms) -> None:
        if self._wanted.hl7 is not None:
            message = oru_of(report, origin, self._wanted.hl7_identifiers)
            self._put(self._wanted.hl7, f"{base}.hl7", message)

    def _write_dicom(self, base: str, report: LimbReport, data: bytes, source: DicomSource) -> None:
        folder = self._wanted.dicom
        if folder is None:
            return
        # Both load libraries that nobody else needs.
        from edge.outputs.dicom_sc import sc_of  # noqa: PLC0415
        from edge.outputs.dicom_sr import sr_of  # noqa: PLC0415

        self._put(folder, f"{base}.sr.dcm", sr_of(report, source, self._wanted.sr_class))
        result = report.result
        if result.transform is not None:
            picture = local_picture(data, result.file, result, Caption())
            if picture is not None:
                self._put(folder, f"{base}.sc.dcm", sc_of(report, source, picture))

    def _put(self, folder: Path, name: str, data: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, data, durable=False)


def _written_at(path: Path) -> datetime:
    """When the film's file was written: the same film gives the same documents in every call."""
    try:
        return datetime.fromtimestamp(int(path.stat().st_mtime), timezone.utc).astimezone()
    except (OverflowError, ValueError):
        return datetime.fromtimestamp(0, timezone.utc)
