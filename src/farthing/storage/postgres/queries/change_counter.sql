-- Grows with every change to the keys.
SELECT counter FROM changes
