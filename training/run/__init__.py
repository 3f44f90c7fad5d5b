"""One training run: the loop, its checkpoints and log, and the model cards.

Layer: training.run; writes run folders.
"""
