"""What a labelled picture is made of: colours, words, label places, text, and the part shown.

`edge.pipeline.overlay` puts them together.
"""
