"""The dashboard's database: tables, migrations, and what is written and read in one transaction.

Layer: dashboard; SQLAlchemy over SQLite or PostgreSQL.
"""
