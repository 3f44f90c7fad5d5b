"""Accounts of an OpenID Connect provider, and sign-ins that were begun there.

Layer: dashboard; a revision of `dashboard.store.tables`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the key of such an account, and the table of sign-ins."""
    op.add_column("person", sa.Column("issuer", sa.Text(), nullable=True))
    op.add_column("person", sa.Column("subject", sa.Text(), nullable=True))
    op.create_index(op.f("ix_person_issuer_subject"), "person", ["issuer", "subject"], unique=True)
    op.create_table(
        "sign_in",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.String(length=64), nullable=False),
        sa.Column("begun_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in")),
    )
