"""The evaluation report: labelled sets in, figures with intervals out, as one page and its JSON.

Room: training; needs no torch. `truth` reads labelled sets, `tables` pairs truth with results,
`statistics` and `agreement` are pure functions over arrays, `findings` holds what is reported,
`plots` and `page` draw it. Research use only, not a medical device.
"""
