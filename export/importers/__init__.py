"""Importers: one module or package for each weights format, from files to an ONNX graph."""
