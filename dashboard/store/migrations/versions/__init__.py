"""Revisions of the tables, each with the name of the one before.

Layer: dashboard; loaded by Alembic from their files.
"""
