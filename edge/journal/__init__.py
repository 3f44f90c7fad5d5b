"""The journal: one SQLite file with the state of every film, and the copies kept beside it.

Layer: above intake; knows no broker and no worker.
"""
