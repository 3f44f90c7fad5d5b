"""Makes a configuration and, for a trial, certificates.

Layer: sharpedge; a package.
"""
