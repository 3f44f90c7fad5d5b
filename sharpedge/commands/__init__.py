"""The commands of the command line, one module for each group.

Layer: sharpedge; each module is imported when one of its commands is used.
"""
