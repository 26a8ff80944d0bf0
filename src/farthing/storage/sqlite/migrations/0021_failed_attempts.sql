-- Few attempts fail, and the alert watch asks each minute who failed lately: it counts the others only of those. All that
-- says whether an attempt is the provider's failure stands in it, so that no line is read; as the texts of conditions
-- must be alike, `outcomes_failed.sql` repeats this one.
CREATE INDEX attempts_failed ON attempts (provider, started_at_us, outcome, http_status)
WHERE outcome IN ('provider_cut', 'unreachable', 'timeout', 'provider_error');
