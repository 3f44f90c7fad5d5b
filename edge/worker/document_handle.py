"""The daemon's handle on the process that makes documents: starts it, sends tasks, reads answers.

Layer: worker; one child process and one socket. Nothing here blocks; a child that is late, or sends
what is no answer, is ended.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from edge.worker.document_messages import DocumentsMade, MakerEnded
from edge.worker.frames import Channel, FrameError
from edge.worker.handle import start_child

if TYPE_CHECKING:
    import subprocess

    from edge.config import Config
    from edge.worker.document_messages import DocumentTask

_LONGEST_FRAME = 1 << 20
_START_S = 60.0
"""Beside the time for a film: importing the libraries."""


class DocumentMaker:
    """One process, started at its first task; one task at a time. Not thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._deadline_s: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a task is not answered yet."""
        return self._deadline_s is not None

    @property
    def deadline_s(self) -> float | None:
        """Monotonic time at which the child is ended without an answer; None without a task."""
        return self._deadline_s

    @property
    def waits_on(self) -> tuple[int, int] | None:
        """Descriptor and `select.poll` events to wait for; None while there is no child."""
        if self._channel is None:
            return None
        writes = select.POLLOUT if self._channel.wants_write else 0
        return self._channel.fileno(), select.POLLIN | writes

    def make(self, task: DocumentTask, data: bytes) -> None:
        """Hand over a film; only when not `busy`. Raises `OSError` where no process can be made."""
        limit_s = self._config.limits.film_s * max(1, len(task.limbs))
        if self._channel is None:
            self._start()
            limit_s += _START_S
        self._deadline_s = time.monotonic() + limit_s
        self._send(task.model_dump_json().encode(), data)

    def forgive(self, lost_s: float) -> None:
        """Do not count seconds in which nothing ran."""
        if self._deadline_s is not None:
            self._deadline_s += lost_s

    def read(self) -> DocumentsMade | MakerEnded | None:
        """Answer to the task, None while there is none; ends a child that is late."""
        if self._channel is None:
            return None
        try:
            self._channel.flush()
            frame = self._channel.receive()
            if frame is not None:
                answer = DocumentsMade.model_validate_json(frame)
                if not self.busy:
                    return self._end("it answered what was not asked for")
                self._deadline_s = None
                return answer
        except (FrameError, ValueError) as error:
            return self._end(f"it sent what is no answer: {type(error).__name__}")
        except (OSError, EOFError):
            return self._end("it ended")
        if self._deadline_s is not None and time.monotonic() > self._deadline_s:
            return self._end("it exceeded its time limit")
        return None

    def kill(self) -> None:
        """End the child at once."""
        self._deadline_s = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        self._process, self._channel = start_child("edge.worker.document_child", _LONGEST_FRAME)
        self._send(self._config.model_dump_json().encode())

    def _send(self, *frames: bytes) -> None:
        assert self._channel is not None  # noqa: S101 - it was started
        try:
            for frame in frames:
                self._channel.send(frame)
        except OSError:
            # The child is gone; `read` finds its end of the socket closed.
            return

    def _end(self, detail: str) -> MakerEnded:
        self.kill()
        return MakerEnded(f"the process that makes documents: {detail}")
