"""Trains the detector, the mask and the scorers, and measures the installed engines.

Layer: training; nothing that serves imports this package. Its packages import downward only, in
this order from low to high:

- ``errors``
- ``datasets``: data sets and label tables, one type for all; the split by patient
- ``evaluation``: measures, statistics, report
- ``data``: joints of films found by the installed engines; statistics of crops
- ``synthetic``: examples that are simulated, painted or augmented
- ``models``: the networks as torch modules
- ``run``: one training run: loop, checkpoints, log
- ``tasks``: the training of each network, on simulated and labelled films or on a data set

The first five import no torch. Figures on simulated films are always called phantom figures.
Research use only, not a medical device.
"""

import edge  # noqa: F401 - switches the telemetry of ONNX Runtime off, before its first import
