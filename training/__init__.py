"""Optional (needs torch): trains the detector, the mask and the scorers, and measures them.

Nothing that serves imports this package. Figures on simulated films are always called phantom
figures. Research use only, not a medical device.
"""

import edge  # noqa: F401 - switches the telemetry of ONNX Runtime off, before its first import
