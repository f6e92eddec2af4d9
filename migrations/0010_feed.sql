-- What people choose to read, and not to.

-- Hashtags that are on public posts or followed, with how often.
CREATE TABLE tags (
    tag             TEXT    PRIMARY KEY,
    posts_count     INTEGER NOT NULL DEFAULT 0 CHECK (posts_count >= 0), -- public posts
    followers_count INTEGER NOT NULL DEFAULT 0 CHECK (followers_count >= 0)
) STRICT, WITHOUT ROWID;

-- Those that are on posts, by how they begin.
CREATE INDEX tags_in_use ON tags (tag) WHERE posts_count > 0;

CREATE TABLE followed_tags (
    user_id     INTEGER NOT NULL REFERENCES users (id),
    tag         TEXT    NOT NULL REFERENCES tags (tag),
    followed_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, tag)
) STRICT, WITHOUT ROWID;

CREATE INDEX followed_tags_by_tag ON followed_tags (tag, user_id);

-- Words, phrases and hashtags whose posts somebody does not want to see where posts of many stand together.
CREATE TABLE muted_terms (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1)), -- a word or phrase, a hashtag
    text       TEXT    NOT NULL, -- as typed
    key        TEXT    NOT NULL, -- as compared
    ends_at    INTEGER,          -- null without an end
    created_at INTEGER NOT NULL,
    UNIQUE (user_id, kind, key)
) STRICT;

CREATE INDEX muted_terms_by_user ON muted_terms (user_id, id);

-- Lists of people, each its owner's alone.
CREATE TABLE lists (
    id         INTEGER PRIMARY KEY,
    owner_id   INTEGER NOT NULL REFERENCES users (id),
    title      TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX lists_by_owner ON lists (owner_id, id);

CREATE TABLE list_members (
    list_id  INTEGER NOT NULL REFERENCES lists (id),
    user_id  INTEGER NOT NULL REFERENCES users (id),
    added_at INTEGER NOT NULL,
    PRIMARY KEY (list_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX list_members_by_user ON list_members (user_id);

-- Whether somebody wants their home feed ranked; who says nothing does not.
CREATE TABLE feed_settings (
    user_id   INTEGER PRIMARY KEY REFERENCES users (id),
    is_ranked INTEGER NOT NULL CHECK (is_ranked IN (0, 1))
) STRICT;

-- Whose profiles and posts those look at who want their feed ranked; of others nothing is kept.
CREATE TABLE profile_visits (
    user_id    INTEGER NOT NULL REFERENCES users (id),
    author_id  INTEGER NOT NULL REFERENCES users (id),
    visits     INTEGER NOT NULL CHECK (visits > 0),
    visited_at INTEGER NOT NULL, -- the latest
    PRIMARY KEY (user_id, author_id)
) STRICT, WITHOUT ROWID;

-- The oldest count no more, and are forgotten.
CREATE INDEX profile_visits_by_time ON profile_visits (user_id, visited_at, author_id);
CREATE INDEX profile_visits_by_author ON profile_visits (author_id);
