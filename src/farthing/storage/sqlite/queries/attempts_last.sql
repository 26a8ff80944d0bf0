-- The last row; rows are numbered from 1 and none is ever removed.
SELECT coalesce(max(rowid), 0) FROM attempts
