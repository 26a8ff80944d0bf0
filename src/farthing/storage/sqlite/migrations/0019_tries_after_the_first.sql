-- Few calls are tried twice, and sums by hour ask for those alone: which of them began in the midst of another hour, or
-- were served by two providers under one name.
CREATE INDEX attempts_again ON attempts (started_at_us) WHERE ordinal > 1;
