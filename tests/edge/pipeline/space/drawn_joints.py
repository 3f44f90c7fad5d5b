"""Joints drawn with a known joint space: two bones whose ends face each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.pipeline.space.shapes import SHAPES, Curves
from edge.pipeline.space.sites import Sites

SIZE_PX = 361
SOFT, BONE = 70.0, 170.0
DEEP_MM = 2.2
"""Depth at which a rounded end has its full thickness."""


@dataclass(frozen=True)
class DrawnJoint:
    """A joint on a film of `SIZE_PX`: where it lies, how it is turned, how wide its space is."""

    limb: object
    name: str
    width_mm: float
    mm_per_px: float = 0.12
    turn_deg: float = 0.0
    centre: tuple[float, float] = (180.0, 180.0)
    blur_mm: float = 0.1
    fused: bool = False
    overlap: bool = False
    wedge: float = 0.0
    """Change of the width across the head's half width, mm."""

    @property
    def distal(self):
        angle = np.radians(self.turn_deg)
        return np.array([np.sin(angle), -np.cos(angle)])

    def sites(self, shift_px=(0.0, 0.0)):
        """What the measure is told of it, off by ``shift_px``."""
        return Sites(
            (self.name,),
            (SHAPES[self.limb][self.name],),
            np.array([self.centre]) + np.array(shift_px),
            self.distal[None],
            np.array([1.0]),
            self.mm_per_px,
        )

    def film(self, seed=3):
        """The film, uint8."""
        shape = SHAPES[self.limb][self.name]
        half = shape.width_mm / 2
        y, x = np.mgrid[:SIZE_PX, :SIZE_PX].astype(np.float64)
        away = np.stack([x - self.centre[0], y - self.centre[1]], -1) * self.mm_per_px
        across_axis = np.array([-self.distal[1], self.distal[0]])
        along, across = away @ self.distal, away @ across_axis
        table = np.linspace(-1.5, 1.5, 601)
        curves = Curves.of((shape,), np.clip(table, -1, 1))
        # Axial width that gives the width along the normal of the joint line.
        slope = np.gradient(curves.line[0] * half / half, table * half)
        gap = (self.width_mm + self.wedge * table) * np.sqrt(1 + slope**2)
        line = curves.line[0]
        head = np.interp(across / half, table, line - gap / 2)
        base = np.interp(across / half, table, line + gap / 2)
        inside = np.clip((half - np.abs(across)) / 0.4 + 0.5, 0, 1)

        def thickness(depth):
            share = np.clip(depth / DEEP_MM, 0, 1)
            return np.sqrt(share * (2 - share)) * inside

        if self.fused:
            bone = inside
        elif self.overlap:
            bone = thickness(head + 1.5 - along) + thickness(along - base + 1.5)
        else:
            bone = thickness(head - along) + thickness(along - base)
        grey = SOFT + (BONE - SOFT) * bone
        grey = cv2.GaussianBlur(grey, (0, 0), self.blur_mm / self.mm_per_px)
        grey += np.random.default_rng(seed).normal(0, 1.5, grey.shape)
        return np.clip(grey + 0.5, 0, 255).astype(np.uint8)
