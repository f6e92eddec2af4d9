-- What people show for a day, and what of it they keep on their profile.

CREATE TABLE stories (
    id             INTEGER PRIMARY KEY,
    author_id      INTEGER NOT NULL REFERENCES users (id),
    text           TEXT    NOT NULL, -- may be empty beside a picture or a video
    background     TEXT, -- behind a text alone: #rrggbb, or two of them joined by a comma
    has_media      INTEGER NOT NULL CHECK (has_media IN (0, 1)),
    audience       INTEGER NOT NULL CHECK (audience IN (0, 1, 2)), -- everybody, followers, close friends
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL, -- from then on it is there only in highlights
    is_kept        INTEGER NOT NULL DEFAULT 0 CHECK (is_kept IN (0, 1)), -- whether a highlight has it
    view_count     INTEGER NOT NULL DEFAULT 0 CHECK (view_count >= 0),
    reaction_count INTEGER NOT NULL DEFAULT 0 CHECK (reaction_count >= 0)
) STRICT;

-- From then on the file is served to nobody; null for ever.
ALTER TABLE media ADD COLUMN ends_at INTEGER;

CREATE INDEX stories_by_author ON stories (author_id, expires_at);
CREATE INDEX stories_to_sweep ON stories (expires_at) WHERE is_kept = 0;

CREATE TABLE story_views (
    story_id   INTEGER NOT NULL REFERENCES stories (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    seen_at    INTEGER NOT NULL,
    emoji      TEXT, -- how they reacted
    message_id INTEGER, -- the message that told the author so; it may be gone
    PRIMARY KEY (story_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX story_views_by_time ON story_views (story_id, seen_at, user_id);
CREATE INDEX story_views_by_user ON story_views (user_id);

CREATE TABLE highlights (
    id         INTEGER PRIMARY KEY,
    owner_id   INTEGER NOT NULL REFERENCES users (id),
    title      TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX highlights_by_owner ON highlights (owner_id, id);

CREATE TABLE highlight_stories (
    highlight_id INTEGER NOT NULL REFERENCES highlights (id),
    position     INTEGER NOT NULL, -- 0, 1, ...; the first is the cover
    story_id     INTEGER NOT NULL REFERENCES stories (id),
    PRIMARY KEY (highlight_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX highlight_stories_by_story ON highlight_stories (story_id);

-- Whom people choose for their stories.
CREATE TABLE story_circles (
    owner_id INTEGER NOT NULL REFERENCES users (id),
    circle   INTEGER NOT NULL CHECK (circle IN (0, 1)), -- close friends, those from whom all stories are hidden
    user_id  INTEGER NOT NULL REFERENCES users (id),
    added_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, circle, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX story_circles_by_user ON story_circles (user_id);
