"""Settings of the section ``[operator]``, and where the socket lies.

Layer: operator; models only, reads one variable of the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

SERVICE_SOCKET = Path("/run/sharpedge/operator.sock")
"""Socket of the service as it is packaged."""
_NAME = "operator.sock"


class OperatorSettings(BaseModel):
    """The section ``[operator]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    socket: Path | None = Field(
        default=None,
        description="Unix socket for `status`, `held`, `release` and the local page; default: "
        "operator.sock in the service's runtime folder, else in the state folder",
    )
    group: str = Field(
        default="sharpedge-operator",
        min_length=1,
        description="group whose members may use the socket, where it exists",
    )
    held_alert_s: float = Field(
        default=1800.0, gt=0, description="a film that is held for longer alerts"
    )


def serving_socket(settings: OperatorSettings, state: Path) -> Path:
    """Where the daemon makes its socket, with ``state`` as its state folder."""
    if settings.socket is not None:
        return settings.socket.absolute()
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(runtime or state).absolute() / _NAME


def likely_sockets(settings: OperatorSettings, state: Path) -> tuple[Path, ...]:
    """Where a command looks for the socket of the daemon with this state folder, in order."""
    if settings.socket is not None:
        return (settings.socket.absolute(),)
    return (state.absolute() / _NAME, SERVICE_SOCKET)
