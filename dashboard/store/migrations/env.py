"""Runs the migrations on the connection that `dashboard.store.database` has opened.

Layer: dashboard; executed by Alembic.
"""

from __future__ import annotations

from alembic import context

from dashboard.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
context.run_migrations()
