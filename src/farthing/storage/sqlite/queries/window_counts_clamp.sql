-- What is dated later than now, by a clock that was set back since, counts as now.
UPDATE window_counts SET leaves_us = :latest WHERE window_id = :window AND leaves_us > :latest
