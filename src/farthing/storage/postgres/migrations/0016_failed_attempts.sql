-- Few attempts fail, and the alert watch asks each minute who failed lately: it counts the others only of those.
CREATE INDEX attempts_failed ON attempts (started_at_us)
WHERE outcome IN ('provider_cut', 'unreachable', 'timeout', 'provider_error');
