-- How many lines began before a time, and when the first of them did.
SELECT count(*), min(started_at_us) FROM attempts WHERE started_at_us < $1
