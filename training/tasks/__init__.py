"""The training of each network, and the two sources of examples for them.

Layer: training.tasks; needs torch. `detector`, `mask`, `trunk` and `heads` train one network each,
`publish` writes what was trained, `recipes` holds the values. ``demo*`` modules make the examples
from simulated and labelled films (``sharpedge train demo``), ``dataset_*`` modules from a data set
(``sharpedge train mask``, ``detector``, ``scorers``).
"""
