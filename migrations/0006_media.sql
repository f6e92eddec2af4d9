-- Uploaded pictures, video and audio. The bytes are files, named by their hash: see src/blobs.

-- The files, each once, however often its content was uploaded.
CREATE TABLE blobs (
    hash       BLOB    PRIMARY KEY CHECK (length(hash) = 32), -- BLAKE3
    size_bytes INTEGER NOT NULL CHECK (size_bytes > 0),
    uses       INTEGER NOT NULL CHECK (uses >= 0), -- rows of `media`
    unused_at  INTEGER, -- since when there are none
    conversion INTEGER NOT NULL CHECK (conversion IN (0, 1, 2, 3)), -- into what browsers play: none, waiting, done, failed
    CHECK ((uses = 0) = (unused_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX blobs_unused ON blobs (unused_at) WHERE unused_at IS NOT NULL;
CREATE INDEX blobs_waiting ON blobs (hash) WHERE conversion = 1;

-- What all files together take: one row.
CREATE TABLE blob_total (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0)
) STRICT;

INSERT INTO blob_total (id, size_bytes) VALUES (1, 0);

CREATE TABLE media (
    id           INTEGER PRIMARY KEY,
    owner_id     INTEGER NOT NULL REFERENCES users (id),
    hash         BLOB    NOT NULL REFERENCES blobs (hash),
    kind         INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- picture, video, audio
    format       TEXT    NOT NULL, -- as its content says
    size_bytes   INTEGER NOT NULL,
    width        INTEGER, -- pixels, as shown
    height       INTEGER,
    duration_ms  INTEGER,
    is_animated  INTEGER NOT NULL CHECK (is_animated IN (0, 1)),
    plays        INTEGER NOT NULL CHECK (plays IN (0, 1)), -- whether browsers play it as it was uploaded
    thumbhash    TEXT, -- Base64
    color        TEXT, -- #rrggbb
    alt          TEXT,
    focus_x      REAL    NOT NULL, -- -1 left to 1 right
    focus_y      REAL    NOT NULL, -- -1 top to 1 bottom
    is_sensitive INTEGER NOT NULL CHECK (is_sensitive IN (0, 1)),
    -- none yet, a post, a person's avatar, a banner, a message, a room's avatar, a story
    holder       INTEGER NOT NULL CHECK (holder IN (0, 1, 2, 3, 4, 5, 6)),
    holder_id    INTEGER,
    position     INTEGER NOT NULL, -- among those of the same holder
    is_public    INTEGER NOT NULL CHECK (is_public IN (0, 1)), -- whether its address needs no signature
    created_at   INTEGER NOT NULL,
    CHECK ((holder = 0) = (holder_id IS NULL))
) STRICT;

CREATE INDEX media_by_holder ON media (holder, holder_id, position);
CREATE INDEX media_by_owner ON media (owner_id, id);
CREATE INDEX media_by_hash ON media (hash);
CREATE INDEX media_loose ON media (created_at) WHERE holder = 0;

-- What each person's uploads take, the same content counted as often as they uploaded it.
CREATE TABLE media_usage (
    owner_id   INTEGER PRIMARY KEY REFERENCES users (id),
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0)
) STRICT;
