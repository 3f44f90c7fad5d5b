"""Every number of the method that a site may change, with the source of its default.

Layer: pipeline; read by the configuration, changed nowhere else.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edge.anatomy import Limb


class LimbSettings(BaseModel):
    """Numbers that differ between hands and feet; shares are of the film's width or height."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    joints_top: float = Field(description="where the uppermost joint lies in a framed film")
    joints_height: float = Field(description="height share that the joints span when framed")
    joints_height_range: tuple[float, float] = Field(description="5-95 % of the cohort")
    frame_aspect: float = Field(description="width by height of a framed film")
    bottom_crop: float = Field(description="share cut off below (paper, section 2.1)")
    unit_unscored_px: float = Field(description="below: scores are null, low_resolution")
    unit_flagged_px: float = Field(description="below: scores carry the flag low_resolution")
    least_joints: int = Field(description="fewer named joints: held, joints_not_found")


def _hand() -> LimbSettings:
    return LimbSettings(
        joints_top=0.26,
        joints_height=0.36,
        joints_height_range=(0.30, 0.43),
        frame_aspect=0.74,
        bottom_crop=0.20,
        unit_unscored_px=100,
        unit_flagged_px=150,
        least_joints=7,
    )


def _foot() -> LimbSettings:
    return LimbSettings(
        joints_top=0.20,
        joints_height=0.27,
        joints_height_range=(0.18, 0.37),
        frame_aspect=0.68,
        bottom_crop=0.25,
        unit_unscored_px=155,
        unit_flagged_px=230,
        least_joints=5,
    )


class PipelineSettings(BaseModel):
    """The section ``[pipeline]`` of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    accept_side_from_geometry: bool = Field(
        default=False,
        description="score a film whose side is known from the joints alone instead of holding it",
    )
    read_markers: bool = Field(
        default=True,
        description="read the L or R marker of a film whose side neither tags nor name state, and "
        "take the side from it where the joints agree",
    )
    joint_space: bool = Field(
        default=True,
        description="measure the width of each joint space, beside the grades and never in them",
    )
    joint_space_line: bool = Field(
        default=False, description="draw both edges of each measured joint space on pictures"
    )
    max_megapixels: float = Field(default=80.0, gt=0, description="pixel budget of one film")
    canvas_height_px: int = Field(default=1500, description="paper, section 2.1")
    canvas_width_px: int = Field(default=1200, description="paper, section 2.1")
    clahe_clip_limit: float = Field(default=2.0, description="paper, section 2.1")
    clahe_grid: int = Field(default=8, description="paper, section 2.1")
    confidence: float = Field(default=0.5, gt=0, lt=1, description="paper, section 2.3")
    first_look_confidence: float = Field(
        default=0.3, gt=0, lt=1, description="the first look only has to find the limb"
    )
    weak_confidence: float = Field(
        default=0.08,
        gt=0,
        lt=1,
        description="a weaker detection still counts where the shape template expects that joint",
    )
    overlap_limit: float = Field(default=0.4, gt=0, lt=1, description="non-maximum suppression")
    crop_scale: float = Field(default=1.3, gt=1, description="joint crop as a multiple of the box")
    grade_doubt: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="a grade is left out where the scorer itself gives a greater chance that it is "
        "off by more than one",
    )
    mask_area_range: tuple[float, float] = Field(
        default=(0.08, 0.92), description="outside: the mask is implausible and is not used"
    )
    adult_age_years: float = Field(default=18.0, description="SvH is defined for adults")
    hand: LimbSettings = Field(default_factory=_hand)
    foot: LimbSettings = Field(default_factory=_foot)

    def limb(self, limb: Limb) -> LimbSettings:
        """The numbers of one limb."""
        return self.hand if limb is Limb.HAND else self.foot
