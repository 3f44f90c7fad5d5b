"""Settings of the section ``[joining]``.

Layer: outputs; models only.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edge.model import Identifier  # noqa: TC001 - pydantic needs it at run time

_STORED = "stands in the journal and so in its backup"


class JoiningSettings(BaseModel):
    """The section ``[joining]``: what leads from a result back to its patient; nothing by default.

    Each list takes ``accession_number``, ``study_instance_uid`` and ``patient_id``, of films that
    are DICOM objects.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mqtt_result: tuple[Identifier, ...] = Field(
        default=(), description=f"in messages `result` and `reject`; the value {_STORED}"
    )
    mqtt_study: tuple[Identifier, ...] = Field(
        default=(),
        description=f"in the retained message `study/<pseudonym>`; the value {_STORED}",
    )
    results_csv: tuple[Identifier, ...] = Field(
        default=(),
        description=f"columns of `sharpedge results`; the value {_STORED}",
    )
    whois_days: float = Field(
        default=0.0,
        ge=0,
        le=3650,
        description="`sharpedge whois` answers for so many days after a film came; 0: it does not, "
        "and nothing is kept for it; never in a backup",
    )

    @property
    def of_results(self) -> tuple[Identifier, ...]:
        """Identifiers that the journal keeps with a result."""
        return tuple(dict.fromkeys((*self.mqtt_result, *self.results_csv)))
