-- Rooms, those who are in them, and what they say.

CREATE TABLE rooms (
    id             INTEGER PRIMARY KEY,
    -- How clients name it: its name; of two people, their ids in order, joined by `_`; otherwise `~` and its id.
    key            TEXT    NOT NULL,
    kind           INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- a room, two people, a small group
    title          TEXT,
    topic          TEXT,
    avatar         TEXT, -- the path of its picture
    visibility     INTEGER NOT NULL CHECK (visibility IN (0, 1, 2)), -- open, by invitation, hidden
    slow_mode_s    INTEGER NOT NULL DEFAULT 0 CHECK (slow_mode_s >= 0), -- between two messages of a member
    is_read_only   INTEGER NOT NULL DEFAULT 0 CHECK (is_read_only IN (0, 1)),
    retention_days INTEGER CHECK (retention_days > 0), -- older messages go; none: they stay
    member_count   INTEGER NOT NULL DEFAULT 0 CHECK (member_count >= 0),
    last_number    INTEGER NOT NULL DEFAULT 0 CHECK (last_number >= 0), -- messages so far, removed ones included
    last_change    INTEGER NOT NULL DEFAULT 0 CHECK (last_change >= 0), -- changes of messages so far
    created_by     INTEGER NOT NULL REFERENCES users (id),
    created_at     INTEGER NOT NULL,
    closed_at      INTEGER -- since when it is there for nobody; what is left of it goes step by step
) STRICT;

CREATE UNIQUE INDEX rooms_by_key ON rooms (key) WHERE closed_at IS NULL;
CREATE INDEX rooms_by_creator ON rooms (created_by, kind);
CREATE INDEX rooms_listed ON rooms (key) WHERE kind = 0 AND visibility < 2 AND closed_at IS NULL;
CREATE INDEX rooms_that_forget ON rooms (id) WHERE retention_days IS NOT NULL OR closed_at IS NOT NULL;

CREATE TABLE room_members (
    room_id          INTEGER NOT NULL REFERENCES rooms (id),
    user_id          INTEGER NOT NULL REFERENCES users (id),
    role             INTEGER NOT NULL CHECK (role IN (0, 1, 2)), -- member, moderator, owner
    read_number      INTEGER NOT NULL DEFAULT 0, -- messages up to this one have been read
    delivered_number INTEGER NOT NULL DEFAULT 0, -- ... have arrived
    cleared_number   INTEGER NOT NULL DEFAULT 0, -- ... were thrown away by this member, for themselves
    -- Of a conversation: accepted, begun by somebody whom they do not follow and not accepted yet, declined.
    request          INTEGER NOT NULL DEFAULT 0 CHECK (request IN (0, 1, 2)),
    sent_at          INTEGER, -- when they last said something, for slow mode
    joined_at        INTEGER NOT NULL,
    -- When something was last said in a conversation; null in rooms, whose members are too many to keep it.
    active_at        INTEGER,
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_members_by_user ON room_members (user_id, room_id);
CREATE INDEX room_members_by_activity ON room_members (user_id, request, active_at, room_id) WHERE active_at IS NOT NULL;
CREATE INDEX room_members_by_role ON room_members (room_id, role, user_id);

-- What has to outlive a membership, so that going and coming back changes nothing.
CREATE TABLE room_past_members (
    room_id        INTEGER NOT NULL REFERENCES rooms (id),
    user_id        INTEGER NOT NULL REFERENCES users (id),
    cleared_number INTEGER NOT NULL,
    sent_at        INTEGER,
    leavings       INTEGER NOT NULL, -- how often they went of their own will
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_past_members_by_user ON room_past_members (user_id);

CREATE TABLE room_invitations (
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    by_id      INTEGER NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    is_declined INTEGER NOT NULL DEFAULT 0 CHECK (is_declined IN (0, 1)), -- then it is not made again
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_invitations_by_user ON room_invitations (user_id, is_declined, created_at, room_id);
CREATE INDEX room_invitations_by_inviter ON room_invitations (by_id);

-- Those who may not write in a room, or not be there. They stay when the member goes, so that coming back ends nothing.
CREATE TABLE room_sanctions (
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1)), -- muted, banned
    until      INTEGER, -- null: until it is taken back
    reason     TEXT,
    by_id      INTEGER NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_sanctions_by_user ON room_sanctions (user_id);
CREATE INDEX room_sanctions_by_moderator ON room_sanctions (by_id);

CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    number     INTEGER NOT NULL, -- 1, 2, ... in the order that the room agrees on
    sender_id  INTEGER NOT NULL REFERENCES users (id),
    body       TEXT    NOT NULL, -- empty when removed
    html       TEXT, -- the same as HTML; null when that would say no more
    has_media  INTEGER NOT NULL CHECK (has_media IN (0, 1)),
    post_id    INTEGER REFERENCES posts (id), -- a post that it points to
    story_id   INTEGER, -- a story that it answers, which may be gone
    reply_to   INTEGER REFERENCES messages (id),
    client_id  TEXT, -- the sender's own name for it, so that sending it again is the same message
    created_at INTEGER NOT NULL,
    edited_at  INTEGER,
    pinned_at  INTEGER,
    deleted_at INTEGER,
    change     INTEGER, -- the number of its latest change in the room, so that who was away finds it
    UNIQUE (room_id, number)
) STRICT;

CREATE UNIQUE INDEX messages_by_client_id ON messages (sender_id, room_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX messages_by_sender ON messages (sender_id, id);
CREATE INDEX messages_by_reply ON messages (reply_to);
CREATE INDEX messages_by_post ON messages (post_id);
CREATE INDEX messages_changed ON messages (room_id, change) WHERE change IS NOT NULL;
CREATE INDEX messages_pinned ON messages (room_id, pinned_at) WHERE pinned_at IS NOT NULL;
CREATE INDEX messages_with_media ON messages (room_id, number) WHERE has_media = 1;

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

-- Members who are named in a message.
CREATE TABLE message_mentions (
    message_id INTEGER NOT NULL REFERENCES messages (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    -- Where the message stands, so that those which somebody has not read are one range.
    room_id    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    PRIMARY KEY (message_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_mentions_by_user ON message_mentions (user_id, room_id, number);

CREATE TABLE chat_settings (
    user_id         INTEGER PRIMARY KEY REFERENCES users (id),
    who_may_message INTEGER NOT NULL CHECK (who_may_message IN (0, 1, 2, 3)), -- nobody, mutual follows, whom they follow, all
    shows_presence  INTEGER NOT NULL CHECK (shows_presence IN (0, 1)) -- whether they are there, and when they last were
) STRICT;

-- When people were last connected; written now and then.
CREATE TABLE last_seen (
    user_id INTEGER PRIMARY KEY REFERENCES users (id),
    seen_at INTEGER NOT NULL
) STRICT;
