"""The simulated scanner: radiographs of hands and feet with known truth.

For commissioning, the demo, tests and training; research use only, not a medical device.
Imports only `edge.model`, `edge.anatomy`, numpy and OpenCV. What training needs:

``sample_limb(rng, limb, laterality, grades="flat", style="train") -> LimbModel``
    One limb in millimetres. ``grades`` is "flat", "real" or a mapping joint -> `JointGrade`.
``render_film(limb_model, rng, style, long_side_px=None, mirrored=False) -> PhantomFilm``
    ``pixels`` uint8 [h, w], ``mask`` bool [h, w], ``joints`` (name, box, centre, grades),
    ``unit_px``. The cost grows with the pixels: ``long_side_px=512`` is cheap.
``render_crop(rng, limb, joint, size_px, style, grades=None) -> (crop, erosion, narrowing)``
    One joint as the pipeline would cut it for the scorer: uint8 [size_px, size_px].
``render_region(limb_model, x_mm, y_mm, width_mm, height_mm, mm_per_px) -> Attenuation``
    Any window of a limb, before exposure.
"""

from edge.anatomy import joint_box_side_px
from phantom.attenuation import Attenuation, render_affine, render_region
from phantom.crop import CROP_SHARE, render_crop
from phantom.film import PhantomFilm, render_film
from phantom.geometry import JointGrade, JointModel, LimbModel
from phantom.skeleton import sample_limb
from phantom.statistics import sample_grades, sample_patient

__all__ = [
    "CROP_SHARE",
    "Attenuation",
    "JointGrade",
    "JointModel",
    "LimbModel",
    "PhantomFilm",
    "joint_box_side_px",
    "render_affine",
    "render_crop",
    "render_film",
    "render_region",
    "sample_grades",
    "sample_limb",
    "sample_patient",
]
