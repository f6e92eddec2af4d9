-- People and whom they follow. Counts are kept by the commands that change what they count.

CREATE TABLE users (
    id                INTEGER PRIMARY KEY,
    username          TEXT    NOT NULL,        -- as typed
    username_key      TEXT    NOT NULL UNIQUE, -- as compared
    username_skeleton TEXT    NOT NULL UNIQUE, -- as it looks (UTS 39)
    name              TEXT    NOT NULL,
    bio               TEXT,
    avatar            TEXT,
    banner            TEXT,
    role              TEXT    NOT NULL CHECK (role IN ('USER', 'ADMIN')),
    status            TEXT    NOT NULL CHECK (status IN ('active', 'suspended', 'deleted')),
    followers_count   INTEGER NOT NULL DEFAULT 0 CHECK (followers_count >= 0),
    following_count   INTEGER NOT NULL DEFAULT 0 CHECK (following_count >= 0),
    -- Posts by visibility: what a profile counts depends on who looks.
    public_posts      INTEGER NOT NULL DEFAULT 0 CHECK (public_posts >= 0),
    followers_posts   INTEGER NOT NULL DEFAULT 0 CHECK (followers_posts >= 0),
    private_posts     INTEGER NOT NULL DEFAULT 0 CHECK (private_posts >= 0),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT;

-- Whether there is an admin is asked at each start.
CREATE INDEX users_by_role ON users (role) WHERE role = 'ADMIN';

-- The folded words under which a person is found by prefix.
CREATE TABLE user_terms (
    term    TEXT    NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (term, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_terms_by_user ON user_terms (user_id);

-- A row stays when a follow ends, and is revived when it begins again.
CREATE TABLE follows (
    id           INTEGER PRIMARY KEY,
    follower_id  INTEGER NOT NULL REFERENCES users (id),
    following_id INTEGER NOT NULL REFERENCES users (id),
    is_active    INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at   INTEGER NOT NULL,
    event_seq    INTEGER NOT NULL, -- of the newest follow.created
    event_at     INTEGER NOT NULL, -- when that was
    UNIQUE (follower_id, following_id),
    CHECK (follower_id <> following_id)
) STRICT;

-- With all that a list shows of a follow: a page of it is then one stretch of the index, where the rows themselves are
-- scattered all over the table.
CREATE INDEX follows_by_follower ON follows (follower_id, is_active, id, following_id, created_at);
CREATE INDEX follows_by_following ON follows (following_id, is_active, id, follower_id, created_at);
