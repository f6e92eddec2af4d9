-- How people are found by those who do not know them yet.

-- Who says nothing is found in every way.
CREATE TABLE discovery_settings (
    user_id       INTEGER PRIMARY KEY REFERENCES users (id),
    is_listed     INTEGER NOT NULL CHECK (is_listed IN (0, 1)),    -- in the directory
    is_suggested  INTEGER NOT NULL CHECK (is_suggested IN (0, 1)), -- to others
    is_syndicated INTEGER NOT NULL CHECK (is_syndicated IN (0, 1)) -- public posts as Atom and RSS, without an account
) STRICT;

-- People whom somebody does not want to be suggested again.
CREATE TABLE dismissed_suggestions (
    user_id      INTEGER NOT NULL REFERENCES users (id),
    other_id     INTEGER NOT NULL REFERENCES users (id),
    dismissed_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, other_id)
) STRICT, WITHOUT ROWID;

-- The oldest are forgotten.
CREATE INDEX dismissed_suggestions_by_time ON dismissed_suggestions (user_id, dismissed_at, other_id);
CREATE INDEX dismissed_suggestions_by_other ON dismissed_suggestions (other_id);

-- Hashtags by how many posts carry them.
CREATE INDEX tags_by_posts ON tags (posts_count DESC, tag) WHERE posts_count > 0;

-- Somebody's newest public post; null without any.
ALTER TABLE users ADD COLUMN latest_public_post INTEGER;
UPDATE users
SET latest_public_post = (SELECT max(id) FROM posts WHERE author_id = users.id AND is_deleted = 0 AND visibility = 0);

-- People by when they last wrote for everybody.
CREATE INDEX users_by_latest_post ON users (latest_public_post) WHERE latest_public_post IS NOT NULL;
