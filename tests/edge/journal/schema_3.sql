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
ALTER TABLE job ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN kills INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN name TEXT NOT NULL DEFAULT '';
DROP INDEX outbox_open;
DROP INDEX outbox_queued;
CREATE INDEX outbox_ready ON outbox (kind, row) WHERE state = 'queued';
CREATE INDEX outbox_waiting ON outbox (row) WHERE state = 'waiting';
CREATE INDEX outbox_open ON outbox (created) WHERE state NOT IN ('closed', 'set_aside');
CREATE INDEX outbox_name ON outbox (name) WHERE state NOT IN ('closed', 'set_aside');
CREATE INDEX outbox_aside ON outbox (row) WHERE state = 'set_aside';
CREATE INDEX outbox_sequence ON outbox (sequence);
CREATE INDEX event_job ON event (job, row) WHERE job IS NOT NULL;
CREATE INDEX event_rare ON event (kind, row) WHERE kind IN ('cut_found', 'rebuilt', 'session');
CREATE INDEX job_there ON job (state, number) WHERE original = 'there';
DELETE FROM study WHERE cleared != 0;
CREATE INDEX study_changed ON study (changed, study);
CREATE INDEX study_filling ON study (opened) WHERE status = 'filling';
CREATE TABLE name (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE refusal (
    kind TEXT PRIMARY KEY, why TEXT NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
