"""Trabecular texture: seeded noise addressed in millimetres, the same in every window.

Layer: phantom; touches numpy and OpenCV only.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

_TILE_PX = 512
_TILE_MM_PER_PX = 0.12


@lru_cache(maxsize=64)
def _tile(seed: int, half_octave: int) -> Float:
    """One periodic tile of unit variance at full detail, low-passed for a pixel of its level."""
    rng = np.random.default_rng(seed)
    fy = np.fft.fftfreq(_TILE_PX, _TILE_MM_PER_PX)[:, None]
    fx = np.fft.rfftfreq(_TILE_PX, _TILE_MM_PER_PX)[None, :]
    # Elongation: along the shaft (y) the same structure is longer, so its frequencies are lower.
    stretch = rng.uniform(2.2, 3.6)
    f = np.hypot(fx, stretch * fy) + 1e-6
    centre = rng.uniform(0.8, 1.25)
    band = np.exp(-((np.log(f / centre) / 0.75) ** 2))
    cloud = 0.30 * np.exp(-((np.hypot(fx, fy) / 0.18) ** 2)) / 0.05
    white = np.fft.rfft2(rng.standard_normal((_TILE_PX, _TILE_PX)))
    net = np.fft.irfft2(white * band, s=(_TILE_PX, _TILE_PX))
    net = net / net.std()
    # Struts are brighter and rarer than the marrow between them.
    net = np.maximum(net, -1.2) + 0.22 * net**2 * (net > 0)
    blur = np.fft.irfft2(
        np.fft.rfft2(rng.standard_normal((_TILE_PX, _TILE_PX))) * cloud, s=(_TILE_PX, _TILE_PX)
    )
    both = (net - net.mean()) / net.std() + 0.35 * (blur - blur.mean()) / blur.std()
    both /= both.std()
    sigma_mm = 0.35 * _TILE_MM_PER_PX * 2 ** (half_octave / 2)
    low = np.exp(-2 * (math.pi * sigma_mm) ** 2 * (fx**2 + fy**2))
    result: Float = np.fft.irfft2(np.fft.rfft2(both) * low, s=(_TILE_PX, _TILE_PX)).astype(
        np.float32
    )
    return result


def trabeculae(
    seed: int, offset_mm: float, across_mm: Float, along_mm: Float, px_mm: float
) -> Float:
    """Texture at bone coordinates: float32 like ``across_mm``, mean 0, variance at most 1.

    ``px_mm`` is the size of the pixel that will hold it: finer detail is left out.
    """
    level = max(0, round(2 * math.log2(max(px_mm, 1e-3) / _TILE_MM_PER_PX)))
    tile = _tile(seed, min(level, 12))
    scale = np.float32(1 / _TILE_MM_PER_PX)
    shift = np.float32(offset_mm / _TILE_MM_PER_PX)
    return cv2.remap(  # type: ignore[return-value]
        tile,
        across_mm * scale + shift,
        along_mm * scale + shift,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


@lru_cache(maxsize=8)
def _cloud_tile(seed: int) -> Float:
    rng = np.random.default_rng(9000 + seed)
    f = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :]) + 1e-4
    spectrum = np.fft.rfft2(rng.standard_normal((256, 256))) * np.exp(-((f / 0.06) ** 2)) / f**0.8
    tile = np.fft.irfft2(spectrum, s=(256, 256))
    result: Float = ((tile - tile.mean()) / tile.std()).astype(np.float32)
    return result


def cloud(seed: int, across_mm: Float, along_mm: Float) -> Float:
    """Slow mottle of soft tissue (5-40 mm): float32, mean 0, variance 1."""
    return cv2.remap(  # type: ignore[return-value]
        _cloud_tile(seed), across_mm, along_mm, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
