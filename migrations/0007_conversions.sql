-- Why a content could not be converted: the code of an error.
ALTER TABLE blobs ADD COLUMN failure TEXT CHECK (failure IS NULL OR conversion = 3);
