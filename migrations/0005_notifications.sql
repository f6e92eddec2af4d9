-- What people did with their notifications. The notifications themselves are derived from the event log; their ids are
-- event sequences.

-- Everything up to these was read, or thrown away, at one stroke.
CREATE TABLE notification_watermarks (
    user_id         INTEGER PRIMARY KEY REFERENCES users (id),
    read_through    INTEGER NOT NULL,
    deleted_through INTEGER NOT NULL
) STRICT;

-- Single ones beyond those.
CREATE TABLE notification_marks (
    user_id         INTEGER NOT NULL REFERENCES users (id),
    notification_id INTEGER NOT NULL,
    mark            TEXT    NOT NULL CHECK (mark IN ('read', 'deleted')),
    PRIMARY KEY (user_id, notification_id)
) STRICT, WITHOUT ROWID;
