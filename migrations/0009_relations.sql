-- Whom people block and mute. A row stays for a while when what it says has ended: what somebody did before that is told
-- nobody afterwards, not even when notifications are rebuilt.

CREATE TABLE blocks (
    blocker_id INTEGER NOT NULL REFERENCES users (id),
    blocked_id INTEGER NOT NULL REFERENCES users (id),
    event_seq  INTEGER NOT NULL, -- of the newest user.blocked
    began_at   INTEGER NOT NULL, -- when that was
    ended_at   INTEGER,          -- null while it holds
    PRIMARY KEY (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX blocks_by_blocker ON blocks (blocker_id, event_seq) WHERE ended_at IS NULL;
CREATE INDEX blocks_by_blocked ON blocks (blocked_id, blocker_id, ended_at);
CREATE INDEX blocks_ended ON blocks (ended_at) WHERE ended_at IS NOT NULL;

-- Each two of whom one blocks the other, both ways round: neither is there for the other, and it makes no difference who
-- of them did it.
CREATE VIEW blocked_pairs (user_id, other_id) AS
SELECT blocker_id, blocked_id FROM blocks WHERE ended_at IS NULL
UNION ALL
SELECT blocked_id, blocker_id FROM blocks WHERE ended_at IS NULL;

CREATE TABLE mutes (
    muter_id  INTEGER NOT NULL REFERENCES users (id),
    muted_id  INTEGER NOT NULL REFERENCES users (id),
    event_seq INTEGER NOT NULL, -- of the newest user.muted
    began_at  INTEGER NOT NULL, -- when that was
    ends_at   INTEGER,          -- null without an end; past once it is over
    PRIMARY KEY (muter_id, muted_id),
    CHECK (muter_id <> muted_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX mutes_by_muter ON mutes (muter_id, event_seq);
CREATE INDEX mutes_by_muted ON mutes (muted_id);
CREATE INDEX mutes_ending ON mutes (ends_at) WHERE ends_at IS NOT NULL;

-- Whom people let write to them, whatever their settings say: by writing to them, or by accepting what they wrote. A block
-- ends it, and the end of the block does not bring it back.
CREATE TABLE welcomes (
    host_id  INTEGER NOT NULL REFERENCES users (id),
    guest_id INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (host_id, guest_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX welcomes_by_guest ON welcomes (guest_id);

-- Which of a post's comments are of somebody's blocked pairs.
CREATE INDEX comments_by_post_author ON comments (post_id, author_id);
