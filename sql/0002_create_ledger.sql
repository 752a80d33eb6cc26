-- Purpose: what was written, stored and counted: hosts, writers, objects, segments, rejects. Locks: none (new tables).

CREATE TABLE nadi_store.host (
    host_id             int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host                text NOT NULL UNIQUE,
    reported_at         timestamptz,
    state               text CHECK (state IN ('running', 'ended')),
    shipper_version     text,
    unshipped_segments  bigint,
    unshipped_lines     bigint,
    unshipped_bytes     bigint,
    oldest_unshipped_at timestamptz,
    last_upload_at      timestamptz,
    last_error          text,
    covered_at          timestamptz,
    covered_oldest_at   timestamptz
);
COMMENT ON TABLE nadi_store.host IS 'One row per model host, from its hosts/<host>.json. covered_at and covered_oldest_at are reported_at and oldest_unshipped_at of the newest report that a listing of the bucket has followed whose new objects were all claimed: what the host had shipped by then is in the ledger.';

CREATE TABLE nadi_store.writer (
    writer_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    writer              text NOT NULL UNIQUE,
    host_id             int NOT NULL REFERENCES nadi_store.host,
    format              text NOT NULL DEFAULT 'native',
    appended            bigint NOT NULL DEFAULT 0,
    written             bigint NOT NULL DEFAULT 0,
    dropped_buffer_full bigint NOT NULL DEFAULT 0,
    dropped_disk_full   bigint NOT NULL DEFAULT 0,
    dropped_io_error    bigint NOT NULL DEFAULT 0,
    dropped_too_large   bigint NOT NULL DEFAULT 0,
    dropped_invalid     bigint NOT NULL DEFAULT 0,
    adopted             boolean NOT NULL DEFAULT false,
    end_seq             bigint,
    reported_at         timestamptz,
    reported_segments   bigint[] NOT NULL DEFAULT '{}',
    expired_seq         bigint,
    expired_lines       bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
COMMENT ON TABLE nadi_store.writer IS 'One row per writing process or foreign file. Counts come from writer lines and host reports and only grow; adopted writers'' appended is a lower bound; end_seq is the last segment''s number once its end segment is loaded; reported_segments are the numbers that the host''s newest report still held in the spool; expired_seq and expired_lines are the last number and the lines of its loaded segments whose ledger rows are past retention.';

-- The ledger is partitioned by the month in which the object was sealed (nadi_store.ensure_ledger makes the four partitions
-- of a month, nadi_store.drop_ledger drops them). An object's key holds that time, so that the pair is as unique as the key.
-- No foreign keys between its tables: they would tie the months together; the audit compares them.
CREATE TABLE nadi_store.object (
    object_id       bigint GENERATED ALWAYS AS IDENTITY,
    object_key      text COLLATE "C" NOT NULL,
    host_id         int,
    sealed_at       timestamptz NOT NULL,
    size_bytes      bigint NOT NULL,
    etag            text,
    state           text NOT NULL CHECK (state IN ('claimed', 'loaded', 'pending', 'poisoned', 'expired', 'lost')),
    lines           bigint NOT NULL DEFAULT 0,
    attempts        int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    lease_owner     text,
    lease_until     timestamptz,
    last_error      text,
    claimed_at      timestamptz NOT NULL DEFAULT now(),
    loaded_at       timestamptz,
    PRIMARY KEY (object_id, sealed_at),
    UNIQUE (object_key, sealed_at)
) PARTITION BY RANGE (sealed_at);
CREATE INDEX object_sealed_at ON nadi_store.object (sealed_at);
CREATE INDEX object_unfinished ON nadi_store.object (object_id) WHERE state <> 'loaded';
COMMENT ON TABLE nadi_store.object IS 'The ledger: one row per object a loader has claimed. New objects are the bucket''s listing minus this table. Monthly partitions, archive_days.';

CREATE TABLE nadi_store.segment (
    segment_id       bigint GENERATED ALWAYS AS IDENTITY,
    object_id        bigint NOT NULL,
    writer_id        bigint NOT NULL,
    seq              bigint NOT NULL,
    sealed_at        timestamptz NOT NULL,
    lines            bigint NOT NULL,
    raw_bytes        bigint NOT NULL,
    raw_sha256       bytea NOT NULL,
    state            text NOT NULL CHECK (state IN ('loaded', 'duplicate', 'conflict', 'pending')),
    mapping_sha256   bytea,
    loaded_lines     bigint NOT NULL DEFAULT 0,
    rejected_lines   bigint NOT NULL DEFAULT 0,
    object_sealed_at timestamptz NOT NULL,
    checksum         bigint,
    PRIMARY KEY (segment_id, object_sealed_at),
    CHECK (state <> 'loaded' OR lines = loaded_lines + rejected_lines)
) PARTITION BY RANGE (object_sealed_at);
CREATE UNIQUE INDEX segment_once ON nadi_store.segment (writer_id, seq, object_sealed_at) WHERE state = 'loaded';
CREATE INDEX segment_apart ON nadi_store.segment (writer_id) WHERE state <> 'loaded';
CREATE INDEX segment_object ON nadi_store.segment (object_id);
COMMENT ON TABLE nadi_store.segment IS 'Every segment of every loaded object, from the object''s manifest. One (writer, seq) is loaded at most once: the same bytes again are a duplicate, other bytes a conflict (loaders look under the lock on the writer''s row). loaded_lines counts every line that an aggregate or row answers for, writer lines included. checksum is hash_record_extended over object_id, writer_id, seq, sealed_at, lines, raw_bytes and raw_sha256, which never change. Monthly partitions by the object''s seal, archive_days.';

CREATE TABLE nadi_store.segment_hour (
    segment_id       bigint NOT NULL,
    hour             timestamptz NOT NULL,
    event_type       text NOT NULL CHECK (event_type IN ('prediction', 'outcome', 'feedback', 'resource', 'deployment', 'writer')),
    lines            bigint NOT NULL,
    object_sealed_at timestamptz NOT NULL,
    PRIMARY KEY (segment_id, hour, event_type, object_sealed_at)
) PARTITION BY RANGE (object_sealed_at);
CREATE INDEX segment_hour_hour ON nadi_store.segment_hour (hour, event_type, segment_id);
COMMENT ON TABLE nadi_store.segment_hour IS 'Lines per segment, event hour (UTC) and event type: what a rebuild or a join of an hour has to read, and one side of the audit. Monthly partitions, archive_days; then the sums are in expired_hour.';

CREATE TABLE nadi_store.segment_reject (
    segment_id       bigint NOT NULL,
    reason           text NOT NULL,
    lines            bigint NOT NULL,
    object_sealed_at timestamptz NOT NULL,
    kept_lines       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (segment_id, reason, object_sealed_at)
) PARTITION BY RANGE (object_sealed_at);
COMMENT ON TABLE nadi_store.segment_reject IS 'Rejected lines per segment and reason: complete, kept as long as the ledger. kept_lines says how many of them reject_line was given.';

CREATE TABLE nadi_store.reject_line (
    segment_id bigint NOT NULL,
    line       bigint NOT NULL,
    sealed_at  timestamptz NOT NULL,
    reason     text NOT NULL,
    detail     text NOT NULL,
    excerpt    bytea NOT NULL,
    PRIMARY KEY (segment_id, line, sealed_at)
) PARTITION BY RANGE (sealed_at);
COMMENT ON TABLE nadi_store.reject_line IS 'The first 20 rejected lines of each segment and reason (line number from 1, first 200 bytes); one of each from the 101st segment of an object on, none from the 2,001st. Daily partitions, 35 days.';

CREATE TABLE nadi_store.load_run (
    run_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner          text NOT NULL,
    version        text NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz,
    state          text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'succeeded', 'failed')),
    objects        bigint NOT NULL DEFAULT 0,
    lines          bigint NOT NULL DEFAULT 0,
    rejected_lines bigint NOT NULL DEFAULT 0,
    error          text
);
CREATE INDEX load_run_started_at ON nadi_store.load_run (started_at);
CREATE INDEX load_run_succeeded ON nadi_store.load_run (finished_at) WHERE state = 'succeeded';
COMMENT ON TABLE nadi_store.load_run IS 'One row per run of nadi load, kept 35 days.';
