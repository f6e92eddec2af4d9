-- Why a content could not be converted: the code of an error.
ALTER TABLE blobs ADD COLUMN failure TEXT CHECK (failure IS NULL OR conversion = 3);

-- A video or recording that is served as it was uploaded: there was nothing to convert it with.
ALTER TABLE blobs ADD COLUMN is_as_it_came INTEGER NOT NULL DEFAULT 0 CHECK (is_as_it_came IN (0, 1));

UPDATE blobs SET is_as_it_came = 1
WHERE conversion = 0 AND EXISTS (SELECT 1 FROM media WHERE media.hash = blobs.hash AND media.kind <> 0);

CREATE INDEX blobs_as_it_came ON blobs (hash) WHERE is_as_it_came = 1;
