"""The first tables.

Layer: dashboard; a revision of `dashboard.store.tables`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_C = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "audit",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_audit")),
    )
    op.create_table(
        "device",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("name", _C, nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("health", sa.Text(), nullable=True),
        sa.Column("seen_s", sa.Float(), nullable=False),
        sa.Column("health_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_device")),
        sa.UniqueConstraint("name", name=op.f("uq_device_name")),
    )
    op.create_table(
        "note",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_note")),
    )
    op.create_table(
        "person",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_person")),
        sa.UniqueConstraint("name", name=op.f("uq_person_name")),
    )
    op.create_table(
        "problem",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_problem")),
    )
    op.create_table(
        "message",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("device_pk", sa.Integer(), nullable=False),
        sa.Column("id", _C, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("limb", sa.String(length=8), nullable=True),
        sa.Column("side", sa.String(length=1), nullable=True),
        sa.Column("study", _C, nullable=False),
        sa.Column("patient", _C, nullable=True),
        sa.Column("joined", sa.Text(), nullable=True),
        sa.Column("job", sa.BigInteger(), nullable=False),
        sa.Column("supersedes", _C, nullable=True),
        sa.Column("superseded_by", _C, nullable=True),
        sa.Column("decided", sa.String(length=16), nullable=True),
        sa.Column("film_s", sa.Float(), nullable=False),
        sa.Column("received_s", sa.Float(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("erosion", sa.Integer(), nullable=True),
        sa.Column("narrowing", sa.Integer(), nullable=True),
        sa.Column("n_scored", sa.Integer(), nullable=False),
        sa.Column("n_expected", sa.Integer(), nullable=False),
        sa.Column("attention", sa.Integer(), nullable=False),
        sa.Column("read_s", sa.Float(), nullable=True),
        sa.Column("read_by", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["device_pk"], ["device.pk"], name=op.f("fk_message_device_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_message")),
        sa.UniqueConstraint("device_pk", "id", name=op.f("uq_message_device_pk_id")),
    )
    op.create_index(
        op.f("ix_message_attention_film_s_pk"), "message", ["attention", "film_s", "pk"]
    )
    op.create_index(
        op.f("ix_message_device_pk_attention_film_s_pk"),
        "message",
        ["device_pk", "attention", "film_s", "pk"],
    )
    op.create_index(
        op.f("ix_message_device_pk_film_s_pk"), "message", ["device_pk", "film_s", "pk"]
    )
    op.create_index(op.f("ix_message_device_pk_supersedes"), "message", ["device_pk", "supersedes"])
    op.create_index(op.f("ix_message_film_s_pk"), "message", ["film_s", "pk"])
    op.create_index(op.f("ix_message_id"), "message", ["id"])
    op.create_index(op.f("ix_message_job"), "message", ["job"])
    op.create_index(op.f("ix_message_joined"), "message", ["joined"])
    op.create_index(op.f("ix_message_patient"), "message", ["patient"])
    op.create_index(op.f("ix_message_reason"), "message", ["reason"])
    op.create_index(op.f("ix_message_status_film_s_pk"), "message", ["status", "film_s", "pk"])
    op.create_index(op.f("ix_message_study"), "message", ["study"])
    op.create_table(
        "picture",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("device_pk", sa.Integer(), nullable=False),
        sa.Column("id", _C, nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
        sa.Column("placed", sa.Text(), nullable=True),
        sa.Column("received_s", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["device_pk"], ["device.pk"], name=op.f("fk_picture_device_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_picture")),
        sa.UniqueConstraint("device_pk", "id", name=op.f("uq_picture_device_pk_id")),
    )
    op.create_table(
        "session",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("person_pk", sa.Integer(), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("begun_s", sa.Float(), nullable=False),
        sa.Column("seen_s", sa.Float(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["person_pk"], ["person.pk"], name=op.f("fk_session_person_pk")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_person_pk"), "session", ["person_pk"])
    op.create_table(
        "study",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("device_pk", sa.Integer(), nullable=False),
        sa.Column("study", _C, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("changed_s", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["device_pk"], ["device.pk"], name=op.f("fk_study_device_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_study")),
        sa.UniqueConstraint("device_pk", "study", name=op.f("uq_study_device_pk_study")),
    )
    op.create_index(op.f("ix_study_study"), "study", ["study"])
    op.create_table(
        "correction",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("message_pk", sa.Integer(), nullable=False),
        sa.Column("joint", sa.String(length=8), nullable=False),
        sa.Column("erosion", sa.Integer(), nullable=True),
        sa.Column("narrowing", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_pk"], ["message.pk"], name=op.f("fk_correction_message_pk")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_correction")),
    )
    op.create_index(op.f("ix_correction_message_pk"), "correction", ["message_pk"])
    op.create_table(
        "film_order",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("message_pk", sa.Integer(), nullable=False),
        sa.Column("command", sa.String(length=16), nullable=False),
        sa.Column("limb", sa.String(length=8), nullable=True),
        sa.Column("side", sa.String(length=1), nullable=True),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("correlation", sa.String(length=32), nullable=False),
        sa.Column("asked_s", sa.Float(), nullable=False),
        sa.Column("answered_s", sa.Float(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_pk"], ["message.pk"], name=op.f("fk_film_order_message_pk")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_film_order")),
        sa.UniqueConstraint("correlation", name=op.f("uq_film_order_correlation")),
    )
    op.create_index(op.f("ix_film_order_message_pk"), "film_order", ["message_pk"])
