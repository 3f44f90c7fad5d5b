"""Between worker and journal: turns one film's outcome into what is kept and what goes out.

Touches the state folder (pictures, quarantine) and the journal; no MQTT, no images decoded.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from edge.contract.ids import DeviceName, ResultKey, pseudonym
from edge.contract.payloads import ClosedSource, Ledger
from edge.errors import REASONS, NullReason, Reason
from edge.journal.copies import keep_copy
from edge.journal.journal import Finish, Journal, Kind, Parcel, Resolved, State, StudyChange
from edge.model import DISCLAIMER, JointScore, LimbResult, OperatorWord, Status
from edge.outputs.message import StoredMessage
from edge.outputs.study import StudyBody, place_of, with_limb
from edge.system.clock import Anchor, wall_clock_is_set
from edge.system.files import suffix_of, write_whole

if TYPE_CHECKING:
    from edge.intake.film import Film
    from edge.journal.places import Places
    from edge.model import Outcome

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HAVE_RESULT = frozenset({Status.SCORED, Status.NOT_GRADED})
"""What is sent on ``result``: an end that needs a receipt and waits for no person."""
_OTHER_LIMB_OR_SIDE = frozenset({Reason.SIDE_CONFLICT, Reason.LIMB_CONFLICT})


@dataclass(frozen=True)
class FilmInHand:
    """A film with its job, while it is worked on.

    ``decoded_s`` is on the monotonic clock, None until it was decoded. ``same_as`` is the job
    that gave a result for the same bytes under another name. ``operator`` is what a person stated
    when releasing the film.
    """

    film: Film
    job: int
    supersedes_job: int | None
    same_as: int | None = None
    decoded_s: float | None = None
    operator: OperatorWord | None = None

    @property
    def name(self) -> str:
        """The scanner's name of the file, for the pipeline: it may state limb and side."""
        base = os.path.basename(self.film.path)  # noqa: PTH119 - names that are not UTF-8
        return base.decode("utf-8", "replace")


class Filing:
    """Files outcomes.

    Parameters
    ----------
    key
        The device key, for pseudonyms.
    send_pictures, send_file_names
        As the site has set them.
    """

    def __init__(
        self,
        journal: Journal,
        places: Places,
        device: DeviceName,
        key: bytes,
        *,
        send_pictures: bool,
        send_file_names: bool,
    ) -> None:
        self._journal = journal
        self._places = places
        self._device = device
        self._key = key
        self._send_pictures = send_pictures
        self._send_file_names = send_file_names

    def file(self, hand: FilmInHand, outcome: Outcome, engine_set: str, now_s: float) -> State:
        """Keep and queue everything that a film gave; returns the state it reached.

        ``now_s`` is the monotonic time of queueing. Repeating it after a crash writes the same
        files and gives the same ids.
        """
        film = hand.film
        if hand.same_as is not None:
            if not self._contradicts(hand.same_as, film, outcome):
                return self._journal.finish(hand.job, Finish(State.DUPLICATE))
            outcome = _in_conflict(outcome)
        study = self._pseudonym_of_study(film, outcome)
        ledger = _ledger(hand, outcome, now_s)
        parcels: list[Parcel] = []
        change: StudyChange | None = None
        body = self._study(study, outcome)
        for index, limb in enumerate(outcome.limbs):
            outcome_text = f"{limb.status}:{limb.reason or ''}"
            if hand.same_as is not None:
                # Several copies may be in conflict; each is told of.
                outcome_text += f":{hand.job}"
            word = self._resolve(hand, limb, engine_set, outcome_text)
            kind = Kind.RESULT if limb.status in _HAVE_RESULT else Kind.REJECT
            before = word.supersedes or self._superseded(hand, limb)
            stored = StoredMessage(
                topic=kind,
                name=str(self._device),
                anchor=Anchor.at(film.closed_s, film.closed_unix_s),
                body=self._public(limb, hand),
                job=hand.job,
                film_sha256=film.sha256,
                study=study,
                patient=body.patient,
                # A copy in conflict says nothing against the first copy's result, nor a film that
                # is scored again against its own.
                supersedes=None if hand.same_as is not None or before == word.result_id else before,
                ledger=ledger,
            )
            payload = stored.model_dump_json().encode()
            parcels.append(Parcel(kind, word.result_id, limb.limb_index, outcome_text, payload))
            picture = outcome.pictures[index] if index < len(outcome.pictures) else None
            if picture and self._send_pictures and not outcome.burned_in_annotation:
                name = self._keep_picture(word.result_id, picture)
                parcels.append(
                    Parcel(Kind.IMAGE, word.result_id, limb.limb_index, outcome_text, name.encode())
                )
            place = place_of(limb)
            if kind is Kind.RESULT and place is not None:
                body = with_limb(body, place, limb, word.result_id)
                change = StudyChange(study, body.model_dump_json(), complete=body.complete)
        state, reason = _verdict(outcome)
        if state is not State.QUEUED and film.refusal is None:
            self._quarantine(hand, reason or "mixed")
        end = Finish(state, reason, tuple(parcels), change, outcome.stage_ms)
        # Bytes that were not read were not copied: the scanner's file is then the only one.
        return self._journal.finish(hand.job, end, keep_original=film.refusal is not None)

    def _resolve(
        self, hand: FilmInHand, limb: LimbResult, engine_set: str, outcome: str
    ) -> Resolved:
        word = hand.operator or OperatorWord()

        def key(revision: int) -> ResultKey:
            return ResultKey(
                self._device,
                hand.film.sha256,
                limb.limb_index,
                engine_set,
                operator_limb=str(word.limb or ""),
                operator_side=str(word.laterality or ""),
                revision=revision,
            )

        return self._journal.resolve(key, outcome)

    def _contradicts(self, first: int, film: Film, outcome: Outcome) -> bool:
        """Whether the new name states another patient, limb or side than the first result."""
        alone = pseudonym(self._key, "film", film.sha256)
        study = self._pseudonym_of_study(film, outcome)
        patient = self._study(study, outcome).patient
        results = map(StoredMessage.model_validate_json, self._journal.results_of(first))
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

    def _superseded(self, hand: FilmInHand, limb: LimbResult) -> str | None:
        if hand.supersedes_job is None:
            return None
        return self._journal.result_id_of(hand.supersedes_job, limb.limb_index)

    def _pseudonym_of_study(self, film: Film, outcome: Outcome) -> str:
        if outcome.study_key:
            return pseudonym(self._key, "study", outcome.study_key)
        return pseudonym(self._key, "film", film.sha256)

    def _study(self, study: str, outcome: Outcome) -> StudyBody:
        text = self._journal.study_body(study)
        body = StudyBody() if text is None else StudyBody.model_validate_json(text)
        if outcome.patient_key:
            patient = pseudonym(self._key, "patient", outcome.patient_key)
            body = body.model_copy(update={"patient": patient})
        return body

    def _public(self, limb: LimbResult, hand: FilmInHand) -> LimbResult:
        """Give the result without the scanner's file name, which often names the patient."""
        if self._send_file_names:
            return limb
        name = f"film-{hand.job}{suffix_of(hand.film.path)}"
        return limb.model_copy(update={"file": name})

    def _keep_picture(self, result_id: str, jpeg: bytes) -> str:
        name = f"{result_id}.jpg"
        write_whole(
            self._places.pictures / name, with_comment(jpeg, result_id), durable=True, mode=0o640
        )
        return name

    def _quarantine(self, hand: FilmInHand, reason: str) -> None:
        film = hand.film
        keep_copy(self._places.quarantine, hand.job, film.path, reason, film.data)
        log.warning("job %d: a copy lies in the quarantine (%s)", hand.job, reason)


def _in_conflict(outcome: Outcome) -> Outcome:
    """Give a film's limbs as held: with joints, without scores."""
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
        for limb in outcome.limbs
    )
    return outcome.model_copy(update={"limbs": limbs, "pictures": ()})


def _unscored(joint: JointScore) -> JointScore:
    held = str(NullReason.HELD)
    nothing: dict[str, object] = {"erosion_reason": held, "narrowing_reason": held}
    for grade in ("erosion", "narrowing"):
        nothing[grade] = nothing[f"{grade}_expected"] = None
    return joint.model_copy(update=nothing)


def with_comment(jpeg: bytes, result_id: str) -> bytes:
    """Put result id and notice into a JPEG's comment: MQTT 3.1.1 has no correlation data."""
    text = f"sharpedge result {result_id}; {DISCLAIMER}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def _verdict(outcome: Outcome) -> tuple[State, str | None]:
    """State and reason of a whole film: held wins over a result, a result over rejected."""
    by_status = {limb.status: limb.reason for limb in reversed(outcome.limbs)}
    if Status.HELD in by_status:
        return State.HELD, by_status[Status.HELD]
    if not _HAVE_RESULT.isdisjoint(by_status):
        return State.QUEUED, None
    return State.QUARANTINED, by_status.get(Status.REJECTED, Reason.INTERNAL)


def _ledger(hand: FilmInHand, outcome: Outcome, now_s: float) -> Ledger:
    film = hand.film
    anchor = Anchor.at(film.closed_s, film.closed_unix_s)
    return Ledger(
        closed=film.closed_unix_s,
        closed_source=ClosedSource(film.closed_source),
        file_time=_iso(film.signature.mtime_ns),
        picked_up=anchor.unix_of(film.picked_up_s),
        decoded=None if hand.decoded_s is None else anchor.unix_of(hand.decoded_s),
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
