"""FP16: which parts of a graph keep FP32, and the FP16-typed sibling of a graph."""
