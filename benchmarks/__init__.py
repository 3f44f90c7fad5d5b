"""Latency of the appliance: stage by stage, and from file closed to message received.

Layer: benchmarks; run by ``sharpedge bench``; results lie in ``benchmarks/results``.
"""

import edge  # noqa: F401 - switches the telemetry of ONNX Runtime off, before its first import
