"""The evaluation report: labelled sets in, figures with intervals out, as one page and its JSON.

Layer: training.evaluation; imports no torch. `truth` and `sets` read labelled sets, `measure` runs
the engines over one, `tables` pairs truth with results, `statistics` and `agreement` are pure
functions over arrays, `findings` holds what is reported, `page` and `plots` render it. Research use
only, not a medical device.
"""
