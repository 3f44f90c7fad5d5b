"""Words on the pictures of a film: where and when it was scored, and whose pseudonyms it has.

Layer: worker; in the child, reads the device key.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.contract.pseudonyms import pseudonym
from edge.errors import ConfigError
from edge.pipeline.picture.words import Caption
from edge.system.clock import arrival_in_words
from edge.system.device_key import device_key

if TYPE_CHECKING:
    from edge.config import Config
    from edge.worker.messages import Task

log = logging.getLogger(__name__)


class Captions:
    """Makes captions with nothing in them that names a patient.

    Without the device key, which a stand-in may lack, they have no pseudonyms.
    """

    def __init__(self, config: Config) -> None:
        self._site = str(config.device)
        self._send_file_names = config.delivery.file_names
        self._key: bytes | None = None
        try:
            self._key = device_key(config.state_folder, expected=True)
        except ConfigError as error:
            log.warning("pictures without pseudonyms: %s", error)

    def caption(self, task: Task, study_key: str | None, patient_key: str | None) -> Caption:
        """Caption of a film; ``study_key`` and ``patient_key`` are what its tags and name state."""
        study = patient = ""
        if self._key is not None:
            kind, value = ("study", study_key) if study_key else ("film", task.sha256)
            study = pseudonym(self._key, kind, value)
            patient = pseudonym(self._key, "patient", patient_key) if patient_key else ""
        return Caption(
            file=task.name if self._send_file_names else task.public_name,
            site=self._site,
            taken=arrival_in_words(task.arrived_unix_s),
            patient=patient,
            study=study,
        )
