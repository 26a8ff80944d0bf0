-- Every setting made through the admin API, in order of path.
SELECT path, value, changed_at_us, changed_by FROM settings ORDER BY path
