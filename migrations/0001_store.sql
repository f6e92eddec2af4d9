-- What the store itself keeps.

-- The events of committed commands, in the order of their commit. AUTOINCREMENT, so that a sequence is never given
-- twice, not even after the newest rows were pruned.
CREATE TABLE outbox (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic    TEXT    NOT NULL,
    key      INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- ms since 1970
    envelope TEXT    NOT NULL  -- {"timestamp","eventType","data"}
) STRICT;

-- Outputs of requests that carried an Idempotency-Key.
CREATE TABLE once (
    user_id     INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    output      TEXT    NOT NULL, -- JSON
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX once_by_expiry ON once (expires_at);
