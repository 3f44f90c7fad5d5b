"""Carries out what is asked on the operator socket.

Layer: operator; on the socket's thread, over a connection of its own to the journal.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from edge.intake.take import signature_of
from edge.journal import orders
from edge.journal.places import Places
from edge.journal.store import JournalError, Store
from edge.model import OperatorStatement
from edge.operator.protocol import ORDERS, PICTURE_BYTES, Answer, Ask, Live, Request
from edge.operator.reading import JournalView
from edge.operator.status import compose
from edge.outputs.whois import FILE as WHOIS
from edge.outputs.whois import Whois
from edge.pipeline.picture.words import Caption
from edge.system.clock import arrival_in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.contract.ids import DeviceName
    from edge.model import Signature
    from edge.operator.peers import Peer
    from edge.operator.protocol import Status
    from edge.outputs.message import StoredMessage

_FRESH_S = 0.5
"""A status is not made more often."""


class Reply(NamedTuple):
    """An answer, and an open file whose bytes follow it."""

    answer: Answer
    descriptor: int | None = None


def refusal(why: str) -> Reply:
    """An answer that says why not."""
    return Reply(Answer(ok=False, error=why))


class Requests:
    """Answers requests about one appliance.

    Parameters
    ----------
    state, key
        The state folder, and the journal's chain key.
    live
        Gives what only the running appliance knows; called on the socket's thread.
    ordered
        Called after each order, on the same thread; must not block.
    whois_days
        For how long pseudonyms are known; 0: not at all.
    """

    def __init__(
        self,
        state: Path,
        key: bytes,
        device: DeviceName,
        live: Callable[[], Live],
        ordered: Callable[[], None],
        whois_days: float = 0.0,
    ) -> None:
        self._state = state.absolute()
        self._key = key
        self._device = device
        self._live = live
        self._ordered = ordered
        self._whois = Whois(self._state / WHOIS, whois_days) if whois_days else None
        self._places = Places.below(state)
        self._store: Store | None = None
        self._status: Status | None = None
        self._made_s = 0.0

    def close(self) -> None:
        """Close the connection to the journal."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def answer(self, request: Request, peer: Peer) -> Reply:
        """Answer one request; raises nothing that a request or a journal can cause."""
        if request.state is not None and Path(request.state) != self._state:
            return Reply(Answer(ok=False, error="another appliance answers here", other_state=True))
        try:
            if request.ask in ORDERS:
                return self._order(request, orders.named(request.person, peer.name))
            if request.ask is Ask.PICTURE:
                return self._picture(request)
            if request.ask is Ask.FILM:
                return self._film(request)
            if request.ask is Ask.WHOIS:
                return self._known(request, peer)
            return self._tell(request.ask)
        except JournalError as error:
            return refusal(str(error))
        except (sqlite3.Error, OSError) as error:
            # An OSError's own text may hold a file's name.
            why = (error.strerror if isinstance(error, OSError) else str(error)) or "failed"
            return refusal(f"the journal cannot be used now ({why}); fix: try again")

    def line(self) -> str:
        """The appliance's condition in one line. Raises `sqlite3.Error`."""
        return self._view().line(self._live())

    def _open(self) -> Store:
        if self._store is None:
            self._store = Store(self._state / "journal.sqlite", self._key)
        return self._store

    def _view(self) -> JournalView:
        return JournalView(self._open(), self._places)

    def _tell(self, ask: Ask) -> Reply:
        if ask is Ask.ALERTS:
            return Reply(Answer(ok=True, alerts=self._live().alerts))
        status = self._fresh_status()
        if ask is Ask.HELD:
            return Reply(Answer(ok=True, held=status.held))
        if ask is Ask.RESULTS:
            return Reply(Answer(ok=True, results=status.results))
        return Reply(Answer(ok=True, status=status))

    def _fresh_status(self) -> Status:
        now_s = time.monotonic()
        if self._status is None or now_s - self._made_s > _FRESH_S:
            self._status = compose(self._view(), self._live(), str(self._device))
            self._made_s = now_s
        return self._status

    def _order(self, request: Request, operator: str) -> Reply:
        if not request.film:
            return refusal(f"{request.ask}: name the film")
        store = self._open()
        job = orders.find_job(store, os.fsdecode(unquote_to_bytes(request.film)))
        if request.ask is Ask.RELEASE:
            word = OperatorStatement(request.limb, request.side)
            done = orders.release(store, job, word, operator)
        elif request.ask is Ask.RETRY:
            done = orders.retry(store, job, operator)
        else:
            done = orders.dismiss(store, job, operator)
        self._status = None
        self._ordered()
        return Reply(Answer(ok=True, job=done.job, new_job=done.new_job))

    def _known(self, request: Request, peer: Peer) -> Reply:
        """What a pseudonym stands for; said only once the question is in the journal."""
        if self._whois is None:
            return refusal("whois is off; fix: set joining.whois_days, for films that come then")
        if request.pseudonym is None:
            return refusal("whois: name the pseudonym")
        found = self._whois.ask(request.pseudonym)
        store = self._open()
        with store.transaction():
            store.log(
                "whois",
                pseudonym=request.pseudonym,
                known=found is not None,
                asked_by=orders.named(request.person, peer.name),
                uid=peer.uid,
            )
        if found is None:
            return Reply(Answer(ok=True))
        return Reply(Answer(ok=True, known=found.known, known_at=found.at_unix_s))

    def _picture(self, request: Request) -> Reply:
        if request.id is not None:
            return _opened(
                self._places.pictures / f"{request.id}.jpg", Answer(ok=True, kind="result")
            )
        if request.job is None:
            return refusal("picture: name a job or the id of a result")
        view = self._view()
        copy = view.copy_of(request.job)
        if copy is None:
            return refusal("no copy of this film is kept")
        return _opened(copy, self._film_with(view.messages_of(request.job)))

    def _film(self, request: Request) -> Reply:
        """The film of a result: a copy of the appliance's own, or the scanner's unchanged file."""
        view = self._view()
        found = None if request.id is None else view.message_of(request.id)
        if found is None:
            return refusal("film: no result has this id")
        job, message = found
        for copy in view.copies_of(job):
            reply = _opened(copy, self._film_with((message,)))
            if reply.answer.ok:
                return reply
        original = view.original_of(job)
        if original is None:
            return refusal("this film is not kept")
        return _opened(Path(os.fsdecode(original[0])), self._film_with((message,)), original[1])

    def _film_with(self, messages: tuple[StoredMessage, ...]) -> Answer:
        """Answer before a film: what was found on it, and the words below its picture."""
        caption = None
        if messages:
            first = messages[0]
            caption = Caption(
                file=first.body.file,
                site=first.name or str(self._device),
                taken=arrival_in_words(first.ledger.closed),
                patient=first.patient or "",
                study=first.study,
            )
        limbs = tuple(it.body for it in messages)
        return Answer(ok=True, kind="film", limbs=limbs, caption=caption)


def _opened(path: Path, answer: Answer, as_was: Signature | None = None) -> Reply:
    """Open a file that follows an answer: the appliance's own, or one that is still ``as_was``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return refusal("this picture is not kept")
    found = os.fstat(descriptor)
    if as_was is not None and not as_was.is_of(signature_of(found)):
        os.close(descriptor)
        return refusal("this film was changed since it was scored")
    if not stat.S_ISREG(found.st_mode) or found.st_size > PICTURE_BYTES:
        os.close(descriptor)
        return refusal(f"this picture is larger than {PICTURE_BYTES >> 20} MiB")
    return Reply(answer.model_copy(update={"bytes": found.st_size}), descriptor)
