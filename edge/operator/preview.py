"""A film as a picture that every browser shows, made in a process of its own.

``python -m edge.operator.preview`` reads a line of JSON (what was found on the film, and the words
below it) and the film from standard input and writes a JPEG to standard output. A hostile film can
end no more than this process, which has little memory and time.

Layer: operator; starts one process with limits, reads and writes its standard streams.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from edge.model import LimbResult, Radiograph
    from edge.pipeline.picture.words import Caption

LONGEST_SIDE_PX = 1600
_WITHIN_S = 30.0
_CPU_S = 20
_MEMORY_BYTES = 3 << 30
_MEGAPIXELS = 120.0
_QUALITY = 88


class PreviewError(Exception):
    """A film cannot be shown; the text gives the cause."""


def preview(
    film: bytes,
    limbs: Sequence[LimbResult] = (),
    within_s: float = _WITHIN_S,
    caption: Caption | None = None,
) -> bytes:
    """Draw a film as a JPEG, unmasked, bones bright and upright.

    Where ``limbs`` have joints, the first of them is labelled (`edge.pipeline.overlay.draw_film`);
    else the film alone is shown, its longer side of at most `LONGEST_SIDE_PX`. Raises
    `PreviewError`.
    """
    found = json.dumps(
        {
            "limbs": [limb.model_dump(mode="json") for limb in limbs],
            "caption": None if caption is None else asdict(caption),
        }
    )
    environment = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "HOME"}}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edge.operator.preview"],
            input=found.encode() + b"\n" + film, capture_output=True, timeout=within_s, check=False,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise PreviewError("it took too long") from error
    if done.returncode or not done.stdout.startswith(b"\xff\xd8"):
        raise PreviewError("it cannot be decoded")
    return done.stdout


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def _main() -> None:
    _limit()
    import cv2  # noqa: PLC0415 - after the limits

    from edge.imaging.decode import decode_film  # noqa: PLC0415 - as above

    found = json.loads(sys.stdin.buffer.readline())
    film = decode_film(sys.stdin.buffer.read(), "film", _MEGAPIXELS)
    pixels = _labelled(film, found)
    if pixels is None:
        pixels = _alone(film.pixels)
    made, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not made:
        sys.exit(1)
    sys.stdout.buffer.write(jpeg.tobytes())


def _labelled(film: Radiograph, found: dict[str, Any]) -> npt.NDArray[np.uint8] | None:
    """The film with the labels of the first limb that has joints; None without one."""
    from edge.model import LimbResult  # noqa: PLC0415 - after the limits
    from edge.pipeline.overlay import draw_film  # noqa: PLC0415 - as above
    from edge.pipeline.picture.words import Caption  # noqa: PLC0415 - as above
    from edge.pipeline.settings import PipelineSettings  # noqa: PLC0415 - as above

    limbs = [LimbResult.model_validate(it) for it in found["limbs"]]
    limb = next((it for it in limbs if it.transform is not None and it.joints), None)
    if limb is None:
        return None
    settings = PipelineSettings()
    caption = None if found["caption"] is None else Caption(**found["caption"])
    return draw_film(film, limb, (settings.canvas_width_px, settings.canvas_height_px), caption)


def _alone(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    import cv2  # noqa: PLC0415 - after the limits

    height, width = pixels.shape
    scale = min(1.0, LONGEST_SIDE_PX / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(pixels.dtype)
    return pixels


if __name__ == "__main__":
    _main()
