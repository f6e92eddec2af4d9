-- Deleted accounts of whose belongings something may be left: each domain removes its own, some at a time.

CREATE TABLE erasures (
    user_id INTEGER PRIMARY KEY REFERENCES users (id)
) STRICT;

INSERT INTO erasures (user_id) SELECT id FROM users WHERE status = 'deleted';
