"""ONNX graphs: building, folding, changing the opset, running."""
