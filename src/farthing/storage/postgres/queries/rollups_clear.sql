-- Before they are made anew, in the same transaction.
DELETE FROM {table}
