-- How people prove who they are.

CREATE TABLE credentials (
    user_id       INTEGER PRIMARY KEY REFERENCES users (id),
    email         TEXT    NOT NULL,        -- as typed
    email_key     TEXT    NOT NULL UNIQUE, -- as compared
    password_hash TEXT    NOT NULL,        -- PHC string (argon2id), or bcrypt's own from an import
    is_verified   INTEGER NOT NULL CHECK (is_verified IN (0, 1))
) STRICT;

-- Whether there are any is asked at each wrong log-in.
CREATE INDEX credentials_imported ON credentials (user_id) WHERE password_hash GLOB '$2*';

CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    user_agent TEXT,
    ip         TEXT
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Codes by mail: one per person and purpose, the newest.
CREATE TABLE otps (
    user_id    INTEGER NOT NULL REFERENCES users (id),
    purpose    TEXT    NOT NULL CHECK (purpose IN ('reset', 'verify')),
    code_hash  BLOB    NOT NULL, -- keyed with a secret that is not in the database
    tries_left INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;

CREATE INDEX otps_by_expiry ON otps (expires_at);

-- What a verified code allows: to set a new password, once.
CREATE TABLE password_resets (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id),
    token_hash BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);
