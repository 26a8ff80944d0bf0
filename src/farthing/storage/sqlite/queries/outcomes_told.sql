-- What was told of tasks and sessions, the youngest first, a page of it.
SELECT kind, name, organisation, team, id, succeeded, at_us, who
FROM outcomes
WHERE at_us >= :since AND (:until IS NULL OR at_us < :until) AND id < coalesce(:before, char(1114111))
    AND (:team IS NULL OR (team = :team AND organisation = :organisation))
ORDER BY id DESC
LIMIT :limit
