-- What has left its window, or was under way in a process that is heard of no more.
DELETE FROM window_counts WHERE window_id = ANY($1::text[]) AND leaves_us <= $2
