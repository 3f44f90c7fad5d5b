"""Records one film's outcome: files, outbox rows, study and final state.

Layer: outputs; writes the journal, the pictures and the quarantine.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import ClosedSource, Ledger
from edge.contract.pseudonyms import pseudonym
from edge.errors import REASONS, NullReason, Reason
from edge.imaging.sniff import Kind, sniff
from edge.journal.copies import keep_copy
from edge.journal.kinds import RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Resolved, StudyChange
from edge.journal.states import State
from edge.model import Identifier, JointScore, LimbResult, OperatorStatement, SrClass, Status
from edge.outputs.film import HAVE_RESULT, LimbRecord, RecordedFilm
from edge.outputs.message import StoredMessage
from edge.outputs.picture import is_kept, keep_picture
from edge.outputs.settings import JoiningSettings
from edge.outputs.study import StudyBody, place_of, text_of, with_identifiers, with_limb
from edge.outputs.table import OUTPUTS, function
from edge.outputs.whois import Known, as_stated
from edge.system.clock import Anchor, wall_clock_is_set

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from edge.intake.film import Film
    from edge.journal.places import Places
    from edge.journal.records import Parcel
    from edge.journal.store import Store
    from edge.model import Identifiers, Outcome
    from edge.outputs.film import FilmInWork
    from edge.outputs.whois import Whois

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_OTHER_LIMB_OR_SIDE = frozenset({Reason.SIDE_CONFLICT, Reason.LIMB_CONFLICT})


class Recorder:
    """Records outcomes.

    Parameters
    ----------
    store
        The journal, over the connection of the daemon's main thread.
    key
        The device key, for pseudonyms.
    send_pictures, send_file_names, joining
        Settings of the site.
    documents, sr_class
        Kinds of documents that are made for the PACS, and the class of its reports.
    whois
        Table that keeps what pseudonyms stand for, where the site wants one.
    """

    def __init__(
        self,
        store: Store,
        places: Places,
        device: DeviceName,
        key: bytes,
        *,
        send_pictures: bool,
        send_file_names: bool,
        documents: tuple[str, ...] = (),
        sr_class: SrClass = SrClass.COMPREHENSIVE_3D,
        joining: JoiningSettings | None = None,
        whois: Whois | None = None,
    ) -> None:
        self._outcomes = Outcomes(store, str(device))
        self._places = places
        self._device = device
        self._key = key
        self._send_pictures = send_pictures
        self._send_file_names = send_file_names
        self._documents, self._sr_class = documents, sr_class
        self.undocumented_films = 0
        """Films since the start that are no DICOM objects: no documents are made of them."""
        self._joining = joining or JoiningSettings()
        self._whois = whois

    def record(
        self, film_in_work: FilmInWork, outcome: Outcome, engine_set: str, now_s: float
    ) -> State:
        """Keep and queue everything that is made of a film; returns the state it reached.

        Its pictures are queued by `keep_pictures`, once they are drawn. ``now_s`` is the monotonic
        time of queueing. A repeat after a crash writes the same files and gives the same ids.
        """
        film, in_conflict = film_in_work.film, False
        if film_in_work.same_as is not None:
            if not self._contradicts(film_in_work.same_as, film, outcome):
                return self._outcomes.finish(film_in_work.job, Finish(State.DUPLICATE))
            outcome, in_conflict = _in_conflict(outcome, outcome.limbs), True
        elif film_in_work.is_in_conflict:
            in_conflict = True
            scored = [it for it in outcome.limbs if it.status is not Status.REJECTED]
            outcome = _in_conflict(outcome, scored)
        study = self._pseudonym_of_study(film, outcome)
        body = self._study(study, outcome)
        if self._whois is not None:
            self._whois.note(_known(film_in_work, outcome, study, body.patient))
        recorded = RecordedFilm(
            job=film_in_work.job,
            sha256=film.sha256,
            study=study,
            patient=body.patient,
            anchor=Anchor.at(film.closed_s, film.closed_unix_s),
            ledger=_ledger(film_in_work, outcome, now_s),
            device=self._device,
            pictures=self._places.pictures,
            send_pictures=self._send_pictures and not outcome.burned_in_annotation,
            # Which of the copies in conflict belongs to the study is for a person to say.
            documents=() if in_conflict else self._documents_of(film),
            sr_class=self._sr_class,
            identifiers=_wanted(outcome, self._joining.of_results),
        )
        results = tuple(
            self._limb(film_in_work, outcome, index, engine_set)
            for index in range(len(outcome.limbs))
        )
        parcels = _parcels(recorded, results)
        state, reason = _verdict(outcome)
        if state is not State.QUEUED and film.refusal is None:
            self._quarantine(film_in_work, reason or "mixed")
        end = Finish(state, reason, parcels, _study_change(study, body, results), outcome.stage_ms)
        # Bytes that were not read were not copied: the scanner's file is then the only one.
        return self._outcomes.finish(film_in_work.job, end, keep_original=film.refusal is not None)

    def keep_pictures(
        self,
        film_in_work: FilmInWork,
        outcome: Outcome,
        pictures: Sequence[bytes | None],
        engine_set: str,
    ) -> None:
        """Write the pictures of a film whose outcome is recorded, and queue them.

        A picture is written for its message alone: of another outcome, or of other engines, it
        would show what the message does not say. What is then left undrawn is set aside.
        """
        drawn = []
        for limb, picture in zip(outcome.limbs, pictures, strict=False):
            text = _outcome_text(limb, film_in_work)
            result_id = self._resolve(film_in_work, limb, engine_set, text).result_id
            if picture is not None and self._outcomes.is_undrawn(result_id):
                keep_picture(self._places.pictures, result_id, picture)
                drawn.append(result_id)
        self._settle_pictures(film_in_work.job, drawn, "not_drawn")

    def adopt_pictures(self, job: int) -> bool:
        """Queue pictures that were written before a crash; whether the film needs no others."""
        undrawn = self._outcomes.undrawn_of(job)
        written = [it for it in undrawn if is_kept(self._places.pictures, it)]
        if undrawn and len(written) == len(undrawn):
            self._settle_pictures(job, written, "not_drawn")
        return len(written) == len(undrawn)

    def give_up_pictures(self, job: int, why: str) -> None:
        """Set the pictures of a film aside that cannot be drawn."""
        self._settle_pictures(job, (), why)

    def _settle_pictures(self, job: int, drawn: Collection[str], why: str) -> None:
        left = self._outcomes.drawn(job, drawn, why)
        if left:
            log.error("job %d: %d pictures are set aside: %s", job, len(left), why)

    def _limb(
        self, film_in_work: FilmInWork, outcome: Outcome, index: int, engine_set: str
    ) -> LimbRecord:
        limb = outcome.limbs[index]
        in_conflict = film_in_work.same_as is not None
        text = _outcome_text(limb, film_in_work)
        resolved = self._resolve(film_in_work, limb, engine_set, text)
        before = resolved.supersedes or self._superseded(film_in_work, limb)
        return LimbRecord(
            limb=self._public(limb, film_in_work),
            result_id=resolved.result_id,
            # A copy in conflict does not replace the first copy's result, nor does a film that is
            # scored again replace its own.
            supersedes=None if in_conflict or before == resolved.result_id else before,
            outcome=text,
            pictured=index < len(outcome.pictured) and outcome.pictured[index],
        )

    def _resolve(
        self, film_in_work: FilmInWork, limb: LimbResult, engine_set: str, outcome: str
    ) -> Resolved:
        stated = film_in_work.operator or OperatorStatement()

        def key(revision: int) -> ResultKey:
            return ResultKey(
                self._device,
                film_in_work.film.sha256,
                limb.limb_index,
                engine_set,
                operator_limb=str(stated.limb or ""),
                operator_side=str(stated.laterality or ""),
                revision=revision,
            )

        return self._outcomes.resolve(key, outcome)

    def _contradicts(self, first: int, film: Film, outcome: Outcome) -> bool:
        """Whether the new name states another patient, limb or side than the first result."""
        alone = pseudonym(self._key, "film", film.sha256)
        study = self._pseudonym_of_study(film, outcome)
        patient = self._study(study, outcome).patient
        results = map(StoredMessage.model_validate_json, self._outcomes.results_of(first))
        before = {it.body.limb_index: it for it in results}
        if any(limb.reason in _OTHER_LIMB_OR_SIDE for limb in outcome.limbs):
            return True
        for limb in outcome.limbs:
            it = before.get(limb.limb_index)
            if it is None:
                continue
            stated = [
                (it.patient, patient),
                (it.body.limb, limb.limb),
                (it.body.laterality, limb.laterality),
            ]
            if alone not in {study, it.study}:
                stated.append((it.study, study))
            if any(a is not None and b is not None and a != b for a, b in stated):
                return True
        return False

    def _superseded(self, film_in_work: FilmInWork, limb: LimbResult) -> str | None:
        if film_in_work.supersedes_job is None:
            return None
        return self._outcomes.result_id_of(film_in_work.supersedes_job, limb.limb_index)

    def _documents_of(self, film: Film) -> tuple[str, ...]:
        """Kinds of documents that are made of a film."""
        if not self._documents or film.refusal is not None:
            return ()
        if sniff(film.data) is Kind.DICOM:
            return self._documents
        self.undocumented_films += 1
        if self.undocumented_films == 1:
            log.warning("films that are no DICOM objects come in: the PACS gets nothing of them")
        return ()

    def _pseudonym_of_study(self, film: Film, outcome: Outcome) -> str:
        if outcome.study_key:
            return pseudonym(self._key, "study", outcome.study_key)
        return pseudonym(self._key, "film", film.sha256)

    def _study(self, study: str, outcome: Outcome) -> StudyBody:
        text = self._outcomes.study_body(study)
        body = StudyBody() if text is None else StudyBody.model_validate_json(text)
        if outcome.patient_key:
            patient = pseudonym(self._key, "patient", outcome.patient_key)
            body = body.model_copy(update={"patient": patient})
        return with_identifiers(body, _wanted(outcome, self._joining.mqtt_study))

    def _public(self, limb: LimbResult, film_in_work: FilmInWork) -> LimbResult:
        """The result without the scanner's file name, which often names the patient."""
        if self._send_file_names:
            return limb
        return limb.model_copy(update={"file": film_in_work.public_name})

    def _quarantine(self, film_in_work: FilmInWork, reason: str) -> None:
        film = film_in_work.film
        keep_copy(self._places.quarantine, film_in_work.job, film.path, reason, film.data)
        log.warning("job %d: a copy is kept in the quarantine (%s)", film_in_work.job, reason)


def _known(
    film_in_work: FilmInWork, outcome: Outcome, study: str, patient: str | None
) -> Iterator[tuple[str, Known]]:
    """Pseudonyms of a film with what they stand for."""
    found = outcome.identifiers
    if outcome.study_key:
        yield study, Known(kind="study", stands_for=as_stated(outcome.study_key), identifiers=found)
    else:
        yield study, Known(kind="film", stands_for=as_stated(film_in_work.name), identifiers=found)
    if patient is not None and outcome.patient_key:
        of_patient = None if found is None else found.only([Identifier.PATIENT_ID])
        stated = as_stated(outcome.patient_key)
        yield patient, Known(kind="patient", stands_for=stated, identifiers=of_patient)


def _wanted(outcome: Outcome, wanted: Collection[Identifier]) -> Identifiers | None:
    """Identifiers of a film that a site has switched on for one output."""
    return None if outcome.identifiers is None else outcome.identifiers.only(wanted)


def _outcome_text(limb: LimbResult, film_in_work: FilmInWork) -> str:
    """What tells one outcome of a limb from another."""
    text = f"{limb.status}:{limb.reason or ''}"
    # Several copies may be in conflict; each has a message of its own.
    return text if film_in_work.same_as is None else f"{text}:{film_in_work.job}"


def _in_conflict(outcome: Outcome, doubted: Collection[LimbResult]) -> Outcome:
    """The outcome with those limbs held: with joints, without scores."""
    reason = Reason.DUPLICATE_CONFLICT
    limbs = tuple(
        limb.model_copy(
            update={
                "status": REASONS[reason].status,
                "reason": str(reason),
                "advice": REASONS[reason].advice,
                "joints": tuple(map(_unscored, limb.joints)),
                "subtotals": None,
                "n_scored": 0,
            }
        )
        if any(limb is it for it in doubted)
        else limb
        for limb in outcome.limbs
    )
    return outcome.model_copy(update={"limbs": limbs, "pictured": ()})


def _unscored(joint: JointScore) -> JointScore:
    held = str(NullReason.HELD)
    nothing: dict[str, object] = {"erosion_reason": held, "narrowing_reason": held}
    for grade in ("erosion", "narrowing"):
        nothing[grade] = nothing[f"{grade}_expected"] = None
    return joint.model_copy(update=nothing)


def _parcels(film: RecordedFilm, results: tuple[LimbRecord, ...]) -> tuple[Parcel, ...]:
    """Rows of all outputs, limb by limb and for each limb in the order of the table."""
    made = [it for output in OUTPUTS.values() for it in function(output.parcels)(film, results)]
    return tuple(sorted(made, key=lambda parcel: parcel.limb_index))


def _study_change(
    study: str, body: StudyBody, results: tuple[LimbRecord, ...]
) -> StudyChange | None:
    """The study with the limbs that gave a result; None where there are none."""
    changed = False
    for result in results:
        place = place_of(result.limb)
        if result.kind == RESULT and place is not None:
            body, changed = with_limb(body, place, result.limb, result.result_id), True
    return StudyChange(study, text_of(body), complete=body.complete) if changed else None


def _verdict(outcome: Outcome) -> tuple[State, str | None]:
    """State and reason of a film: held has precedence over a result, a result over rejected."""
    by_status = {limb.status: limb.reason for limb in reversed(outcome.limbs)}
    if Status.HELD in by_status:
        return State.HELD, by_status[Status.HELD]
    if not HAVE_RESULT.isdisjoint(by_status):
        return State.QUEUED, None
    return State.QUARANTINED, by_status.get(Status.REJECTED, Reason.INTERNAL)


def _ledger(film_in_work: FilmInWork, outcome: Outcome, now_s: float) -> Ledger:
    film = film_in_work.film
    anchor = Anchor.at(film.closed_s, film.closed_unix_s)
    return Ledger(
        closed=film.closed_unix_s,
        closed_source=ClosedSource(film.closed_source),
        file_time=_iso(film.signature.mtime_ns),
        picked_up=anchor.unix_of(film.picked_up_s),
        decoded=None if film_in_work.decoded_s is None else anchor.unix_of(film_in_work.decoded_s),
        inferred=anchor.unix_of(outcome.at_s),
        queued=anchor.unix_of(now_s),
        stage_ms=outcome.stage_ms,
        clock_synchronised=wall_clock_is_set(),
    )


def _iso(mtime_ns: int) -> str | None:
    """A file's time as ISO 8601 in UTC, None where no calendar has it."""
    try:
        return (_EPOCH + timedelta(microseconds=mtime_ns // 1000)).isoformat()
    except OverflowError:
        return None
