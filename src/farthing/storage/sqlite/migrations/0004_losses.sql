-- What a translation between formats left out, by name, comma separated. What was kept before was passed through.
ALTER TABLE attempts ADD COLUMN losses TEXT;
