-- What search needs of messages: an order over all of them in which they were last written, edited or removed, so that
-- what is derived from them knows how far it has come without an event for each.

ALTER TABLE messages ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;

-- The latest number: one row. Numbers are never given twice, not even when the messages that had the last are gone.
CREATE TABLE message_touches (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL CHECK (last >= 0)
) STRICT;

-- Those that are there come in the order of their ids.
UPDATE messages SET touched = id;
INSERT INTO message_touches (id, last) SELECT 1, coalesce(max(id), 0) FROM messages;

CREATE INDEX messages_by_touch ON messages (touched);
