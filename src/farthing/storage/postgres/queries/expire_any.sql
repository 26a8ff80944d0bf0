-- Whether there is a line that began before a time.
SELECT EXISTS (SELECT 1 FROM attempts WHERE started_at_us < $1)
