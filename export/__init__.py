"""Export: trained weights (compact, Darknet, Keras, ONNX) to verified engines with passports.

Room: export. May import `edge.model`, `edge.errors`, `edge.system.paths`, `edge.engine`, and to try
engines `phantom` and `edge.pipeline`; never the daemon, the intake or the delivery. `edge`
runs without this package.
"""

import edge  # noqa: F401 - switches the telemetry of ONNX Runtime off, before its first import
