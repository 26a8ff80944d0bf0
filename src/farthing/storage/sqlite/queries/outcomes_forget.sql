-- Outcomes that are too old.
DELETE FROM outcomes WHERE at_us < ?
