-- What is dated later than now, by a clock that was set back since, counts as now.
UPDATE window_counts SET leaves_us = $2 WHERE window_id = $1 AND leaves_us > $2
