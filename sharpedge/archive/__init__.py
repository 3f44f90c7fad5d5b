"""Scores folders of any size into one Parquet file, resumable, a row a film.

Layer: sharpedge; a package.
"""
