CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE event (
    row INTEGER PRIMARY KEY, at REAL NOT NULL, job INTEGER, kind TEXT NOT NULL,
    detail TEXT NOT NULL, mac BLOB NOT NULL
);
CREATE TABLE job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, sha256 TEXT NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, state TEXT NOT NULL, since REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
    reason TEXT, first_job INTEGER, previous_job INTEGER, original TEXT NOT NULL DEFAULT 'there'
);
CREATE INDEX job_path ON job (path, number);
CREATE INDEX job_sha256 ON job (sha256, number);
CREATE INDEX job_state ON job (state);
CREATE TABLE outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, kind TEXT NOT NULL,
    job INTEGER NOT NULL, limb_index INTEGER NOT NULL, outcome TEXT NOT NULL, sequence INTEGER,
    payload BLOB NOT NULL, created REAL NOT NULL, state TEXT NOT NULL,
    sendings INTEGER NOT NULL DEFAULT 0, refusals INTEGER NOT NULL DEFAULT 0,
    last_sent REAL, why TEXT, UNIQUE (id, kind)
);
CREATE INDEX outbox_open ON outbox (row) WHERE state IN ('queued', 'waiting');
CREATE INDEX outbox_job ON outbox (job);
CREATE TABLE receipt (id TEXT, receiver TEXT, at REAL, PRIMARY KEY (id, receiver)) WITHOUT ROWID;
CREATE TABLE study (
    study TEXT PRIMARY KEY, body TEXT NOT NULL, status TEXT NOT NULL,
    opened REAL NOT NULL, changed REAL NOT NULL,
    version INTEGER NOT NULL, published INTEGER NOT NULL DEFAULT 0, cleared INTEGER NOT NULL
    DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX study_open ON study (study) WHERE version > published;
ALTER TABLE job ADD COLUMN operator_limb TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN operator_side TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN origin TEXT NOT NULL DEFAULT 'folder';
ALTER TABLE job ADD COLUMN copy TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE study ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
CREATE INDEX outbox_queued ON outbox (row) WHERE state = 'queued';
CREATE INDEX job_look_again ON job (number) WHERE mtime_ns = -1;
CREATE TABLE carried (job INTEGER PRIMARY KEY, state TEXT NOT NULL, sha256 TEXT NOT NULL);
