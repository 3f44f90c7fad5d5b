"""Migrations of the dashboard's tables, run by Alembic when a database is opened.

Layer: dashboard; one module a revision in ``versions``.
"""
