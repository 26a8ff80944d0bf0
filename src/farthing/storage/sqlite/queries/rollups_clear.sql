-- Before they are made anew, from behind.
DELETE FROM {table}
