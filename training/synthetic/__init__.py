"""Examples to learn from: simulated, painted, cropped, augmented.

Layer: training.synthetic; arrays and shards of them. Imports no torch.
"""
