"""ONNX graphs: building, folding, changing the opset, running.

Layer: export; no code of its own.
"""
