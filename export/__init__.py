"""Export: trained weights (compact, Darknet, Keras, ONNX) to verified engines with passports.

Layer: export; uses `edge` up to `edge.scoring`, and `phantom` to test engines; never the daemon,
the intake, the journal or the delivery. `edge` runs without this package.
"""

import edge  # noqa: F401 - switches the telemetry of ONNX Runtime off, before its first import
