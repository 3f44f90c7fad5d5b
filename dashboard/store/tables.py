"""The tables of the dashboard's database.

Layer: dashboard; definitions only. A change here needs a migration beside it.

Keys are chosen so that several dashboards of one receiver name may share a database: a message is
unique by its device and result id, and order within a device is by ``sequence``, never by arrival.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_C = String().with_variant(String(collation="C"), "postgresql")
"""Text that is compared byte by byte, so that a range of an index finds a prefix."""

DEVICE = Table(
    "device",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("name", _C, nullable=False, unique=True),
    Column("state", Text),
    Column("health", Text),
    Column("seen_s", Float, nullable=False),
    Column("health_s", Float),
)

MESSAGE = Table(
    "message",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("device_pk", ForeignKey("device.pk"), nullable=False),
    Column("id", _C, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(64)),
    Column("limb", String(8)),
    Column("side", String(1)),
    Column("study", _C, nullable=False),
    Column("patient", _C),
    Column("joined", Text),
    Column("job", BigInteger, nullable=False),
    Column("supersedes", _C),
    Column("superseded_by", _C),
    Column("decided", String(16)),
    Column("film_s", Float, nullable=False),
    Column("received_s", Float, nullable=False),
    Column("latency_ms", Float),
    Column("erosion", Integer),
    Column("narrowing", Integer),
    Column("n_scored", Integer, nullable=False),
    Column("n_expected", Integer, nullable=False),
    Column("attention", Integer, nullable=False),
    Column("read_s", Float),
    Column("read_by", Text),
    Column("payload", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    UniqueConstraint("device_pk", "id"),
    Index(None, "attention", "film_s", "pk"),
    Index(None, "device_pk", "film_s", "pk"),
    Index(None, "device_pk", "attention", "film_s", "pk"),
    Index(None, "reason"),
    Index(None, "job"),
    Index(None, "joined"),
    Index(None, "film_s", "pk"),
    Index(None, "status", "film_s", "pk"),
    Index(None, "study"),
    Index(None, "patient"),
    Index(None, "id"),
    Index(None, "device_pk", "supersedes"),
)

PICTURE = Table(
    "picture",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("device_pk", ForeignKey("device.pk"), nullable=False),
    Column("id", _C, nullable=False),
    Column("jpeg", LargeBinary, nullable=False),
    Column("placed", Text),
    Column("received_s", Float, nullable=False),
    UniqueConstraint("device_pk", "id"),
)

STUDY = Table(
    "study",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("device_pk", ForeignKey("device.pk"), nullable=False),
    Column("study", _C, nullable=False),
    Column("payload", Text, nullable=False),
    Column("changed_s", Float, nullable=False),
    UniqueConstraint("device_pk", "study"),
    Index(None, "study"),
)

ORDER = Table(
    "film_order",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("message_pk", ForeignKey("message.pk"), nullable=False),
    Column("command", String(16), nullable=False),
    Column("limb", String(8)),
    Column("side", String(1)),
    Column("person", Text, nullable=False),
    Column("correlation", String(32), nullable=False, unique=True),
    Column("asked_s", Float, nullable=False),
    Column("answered_s", Float),
    Column("done", Boolean),
    Column("detail", Text),
    Index(None, "message_pk"),
)

CORRECTION = Table(
    "correction",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("message_pk", ForeignKey("message.pk"), nullable=False),
    Column("joint", String(8), nullable=False),
    Column("erosion", Integer),
    Column("narrowing", Integer),
    Column("note", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("at_s", Float, nullable=False),
    Index(None, "message_pk"),
)

PERSON = Table(
    "person",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_s", Float, nullable=False),
    Column("issuer", Text),
    Column("subject", Text),
    Index(None, "issuer", "subject", unique=True),
)
"""``issuer`` and ``subject`` are null for an account with a password, and there is no password
(empty) where they are not."""

SIGN_IN = Table(
    "sign_in",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("state", String(64), nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("verifier", String(64), nullable=False),
    Column("begun_s", Float, nullable=False),
)
"""Sign-ins that were begun at an OpenID Connect provider; ``key`` is the hash of a cookie."""

SESSION = Table(
    "session",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("person_pk", ForeignKey("person.pk"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("begun_s", Float, nullable=False),
    Column("seen_s", Float, nullable=False),
    Column("said", Text, nullable=False),
    Index(None, "person_pk"),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("at_s", Float, nullable=False),
    Column("person", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("object", Text, nullable=False),
    Column("address", Text, nullable=False),
)

PROBLEM = Table(
    "problem",
    METADATA,
    Column("pk", Integer, primary_key=True),
    Column("at_s", Float, nullable=False),
    Column("topic", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
)

NOTE = Table(
    "note",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Single values: counters, and the hash of the token of the first set-up."""
