-- Posts, comments and likes. `event_seq` is the event that told of a row, so that what is derived from the event log
-- (notifications) can be rebuilt, with the same ids, when the log no longer reaches back that far.

CREATE TABLE posts (
    id             INTEGER PRIMARY KEY,
    author_id      INTEGER NOT NULL REFERENCES users (id),
    content        TEXT,
    caption        TEXT,
    hashtags       TEXT    NOT NULL, -- JSON list, in order of appearance
    visibility     INTEGER NOT NULL CHECK (visibility IN (0, 1, 2)), -- public, followers, private
    likes_count    INTEGER NOT NULL DEFAULT 0 CHECK (likes_count >= 0),
    dislikes_count INTEGER NOT NULL DEFAULT 0 CHECK (dislikes_count >= 0),
    comments_count INTEGER NOT NULL DEFAULT 0 CHECK (comments_count >= 0),
    is_deleted     INTEGER NOT NULL DEFAULT 0 CHECK (is_deleted IN (0, 1)),
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    media_count    INTEGER NOT NULL DEFAULT 0, -- pictures and videos: rows of `media`
    event_seq      INTEGER NOT NULL
) STRICT;

-- One scan for each visibility that a reader may see, merged in order of id.
CREATE INDEX posts_by_author ON posts (author_id, is_deleted, visibility, id);
-- What followers read: one range for each author.
CREATE INDEX posts_for_followers ON posts (author_id, id) WHERE is_deleted = 0 AND visibility < 2;
-- The public timeline.
CREATE INDEX posts_public ON posts (id) WHERE is_deleted = 0 AND visibility = 0;

-- The texts that a post had before it was edited.
CREATE TABLE post_edits (
    post_id   INTEGER NOT NULL REFERENCES posts (id),
    number    INTEGER NOT NULL, -- 1, 2, ... in order of time
    content   TEXT,
    caption   TEXT,
    hashtags  TEXT    NOT NULL,
    -- Who could see this text: those who could not then, cannot now.
    visibility INTEGER NOT NULL CHECK (visibility IN (0, 1, 2)),
    edited_at INTEGER NOT NULL, -- when this text was replaced
    PRIMARY KEY (post_id, number)
) STRICT, WITHOUT ROWID;

-- The public posts of each tag.
CREATE TABLE post_hashtags (
    tag     TEXT    NOT NULL,
    post_id INTEGER NOT NULL REFERENCES posts (id),
    PRIMARY KEY (tag, post_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX post_hashtags_by_post ON post_hashtags (post_id);

CREATE TABLE post_mentions (
    post_id INTEGER NOT NULL REFERENCES posts (id),
    user_id INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (post_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX post_mentions_by_user ON post_mentions (user_id, post_id);

-- Like (1), dislike (-1), or neither any more (0): one row per person and post, kept and revived.
CREATE TABLE reactions (
    id         INTEGER PRIMARY KEY,
    post_id    INTEGER NOT NULL REFERENCES posts (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    value      INTEGER NOT NULL CHECK (value IN (-1, 0, 1)),
    created_at INTEGER NOT NULL,
    event_seq  INTEGER, -- of like.created; null until the first like, negative once that was taken back
    UNIQUE (post_id, user_id)
) STRICT;

CREATE INDEX reactions_by_user ON reactions (user_id, id);
CREATE INDEX reactions_by_post ON reactions (post_id, value, id);

-- A tree by parent alone: any depth costs the same, and a page of answers is one index range.
CREATE TABLE comments (
    id            INTEGER PRIMARY KEY,
    post_id       INTEGER NOT NULL REFERENCES posts (id),
    parent_id     INTEGER REFERENCES comments (id), -- null at the top
    -- The list that the comment stands in: its parent's, or (negative) its post's. Never null, so one index serves both.
    list_id       INTEGER NOT NULL GENERATED ALWAYS AS (COALESCE(parent_id, -post_id)) VIRTUAL,
    author_id     INTEGER NOT NULL REFERENCES users (id),
    content       TEXT    NOT NULL,
    likes_count   INTEGER NOT NULL DEFAULT 0 CHECK (likes_count >= 0),
    -- Answers that are shown: alive, or removed with answers of their own.
    replies_count INTEGER NOT NULL DEFAULT 0 CHECK (replies_count >= 0),
    -- What "best" sorts by.
    score         INTEGER NOT NULL GENERATED ALWAYS AS (likes_count + replies_count) VIRTUAL,
    is_deleted    INTEGER NOT NULL DEFAULT 0 CHECK (is_deleted IN (0, 1)),
    -- A removed comment with answers keeps its place, without its text.
    is_shown      INTEGER NOT NULL GENERATED ALWAYS AS (is_deleted = 0 OR replies_count > 0) VIRTUAL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    event_seq     INTEGER NOT NULL
) STRICT;

CREATE INDEX comments_by_list ON comments (list_id, is_shown, id);
CREATE INDEX comments_by_score ON comments (list_id, is_shown, score, id);
CREATE INDEX comments_by_post ON comments (post_id, is_deleted, id);
CREATE INDEX comments_by_post_score ON comments (post_id, is_deleted, score, id);
CREATE INDEX comments_by_parent ON comments (parent_id);
CREATE INDEX comments_by_author ON comments (author_id, id);

CREATE TABLE comment_mentions (
    comment_id INTEGER NOT NULL REFERENCES comments (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (comment_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX comment_mentions_by_user ON comment_mentions (user_id, comment_id);

CREATE TABLE comment_likes (
    id         INTEGER PRIMARY KEY,
    comment_id INTEGER NOT NULL REFERENCES comments (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    is_active  INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    event_seq  INTEGER NOT NULL, -- of comment.liked; negative once that was taken back
    UNIQUE (comment_id, user_id)
) STRICT;

CREATE INDEX comment_likes_by_user ON comment_likes (user_id, id);
