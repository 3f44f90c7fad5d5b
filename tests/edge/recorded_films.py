"""Films recorded in a real journal, as the appliance records them, for tests of tables."""

from __future__ import annotations

import hashlib
import time

from edge.contract.ids import DeviceName
from edge.contract.pseudonyms import pseudonym
from edge.intake.film import Film
from edge.journal.journal import Journal
from edge.journal.places import Places
from edge.journal.store import Store
from edge.model import Outcome, Signature
from edge.outputs.film import FilmInWork
from edge.outputs.record import Recorder
from edge.system.device_key import derived_key, device_key

DEVICE = DeviceName("north", "r1", "box")


class RecordedFilms:
    """A state folder whose journal holds films."""

    def __init__(self, folder, joining=None, whois=None):
        self.folder = folder
        self.key = device_key(folder)
        self.store = Store(folder / "journal.sqlite", derived_key(self.key, "journal"))
        places = Places.below(folder)
        places.make()
        self.journal = Journal(self.store)
        self.recorder = Recorder(
            self.store, places, DEVICE, self.key, send_pictures=False, send_file_names=False,
            joining=joining, whois=whois,
        )  # fmt: skip
        self.count = 0

    def add(
        self, result, closed_unix_s, patient=None, study=None, supersedes_job=None,
        identifiers=None,
    ):  # fmt: skip
        """Record one film of one limb; its job."""
        self.count += 1
        sha = hashlib.sha256(str(self.count).encode()).hexdigest()
        signature = Signature(1, self.count, 10, self.count)
        now_s = time.monotonic()
        film = Film(
            path=f"/w/{self.count}.jpg".encode(), signature=signature, data=b"film", sha256=sha,
            refusal=None, closed_s=now_s, closed_unix_s=closed_unix_s,
            closed_source="close_event", picked_up_s=now_s,
        )  # fmt: skip
        job = self.journal.claim(film.path, sha, signature).job
        outcome = Outcome(
            limbs=(result,), stage_ms={}, study_key=study, patient_key=patient,
            burned_in_annotation=False, at_s=now_s, identifiers=identifiers,
        )  # fmt: skip
        self.recorder.record(FilmInWork(film, job, supersedes_job), outcome, "e" * 64, now_s)
        return job

    def pseudonym(self, patient):
        return pseudonym(self.key, "patient", patient)

    def close(self):
        self.store.close()
