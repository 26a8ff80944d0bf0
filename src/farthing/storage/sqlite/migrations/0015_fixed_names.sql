-- Names that clients of a key may not override, as JSON; NULL where there are none, as of every key that was made before.
ALTER TABLE keys ADD COLUMN fixed TEXT;
