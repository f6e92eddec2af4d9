-- Rooms, those who are in them, and what they say.

CREATE TABLE rooms (
    id            INTEGER PRIMARY KEY,
    key           TEXT    NOT NULL UNIQUE, -- how clients name it; of two people: their ids in order, joined by `_`
    kind          INTEGER NOT NULL CHECK (kind IN (0, 1)), -- a room by its name, two people
    last_number   INTEGER NOT NULL DEFAULT 0 CHECK (last_number >= 0), -- messages so far, removed ones included
    created_by    INTEGER NOT NULL REFERENCES users (id),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX rooms_by_creator ON rooms (created_by);

CREATE TABLE room_members (
    room_id     INTEGER NOT NULL REFERENCES rooms (id),
    user_id     INTEGER NOT NULL REFERENCES users (id),
    read_number INTEGER NOT NULL DEFAULT 0, -- messages up to this one have been read
    joined_at   INTEGER NOT NULL,
    -- When something was last said between two people; null in rooms by name, whose members are too many to keep it.
    active_at   INTEGER,
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_members_by_user ON room_members (user_id, room_id);
CREATE INDEX room_members_by_activity ON room_members (user_id, active_at, room_id) WHERE active_at IS NOT NULL;

CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    number     INTEGER NOT NULL, -- 1, 2, ... in the order that the room agrees on
    sender_id  INTEGER NOT NULL REFERENCES users (id),
    body       TEXT    NOT NULL, -- empty when removed
    reply_to   INTEGER REFERENCES messages (id),
    client_id  TEXT, -- the sender's own name for it, so that sending it again is the same message
    created_at INTEGER NOT NULL,
    edited_at  INTEGER,
    deleted_at INTEGER,
    UNIQUE (room_id, number)
) STRICT;

CREATE UNIQUE INDEX messages_by_client_id ON messages (sender_id, room_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX messages_by_sender ON messages (sender_id, id);
CREATE INDEX messages_by_reply ON messages (reply_to);

-- The texts that a message had before it was edited.
CREATE TABLE message_edits (
    message_id INTEGER NOT NULL REFERENCES messages (id),
    number     INTEGER NOT NULL, -- 1, 2, ... in order of time
    body       TEXT    NOT NULL,
    edited_at  INTEGER NOT NULL, -- when this text was replaced
    PRIMARY KEY (message_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE message_reactions (
    message_id INTEGER NOT NULL REFERENCES messages (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    emoji      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (message_id, user_id, emoji)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_reactions_by_user ON message_reactions (user_id, message_id);
