"""Export: trained weights (compact, Darknet, Keras, ONNX) to checked ONNX engines with passports.

Room: export. May import `edge.model`, `edge.errors`, `edge.paths` and `edge.engine`; never the
daemon, the intake or the delivery. `edge` runs without this package.
"""
