-- What was told of tasks and sessions, the youngest first, a page of it.
SELECT kind, name, organisation, team, id, succeeded, at_us, who
FROM outcomes
WHERE at_us >= $2 AND ($3::bigint IS NULL OR at_us < $3) AND id < coalesce($4::text, chr(1114111))
    AND ($6::text IS NULL OR (team = $6 AND organisation = $5))
ORDER BY id DESC
LIMIT $1
