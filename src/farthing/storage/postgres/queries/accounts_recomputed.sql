-- What every account should hold, by the attempts there are.
SELECT
    a.account_id,
    coalesce(sum(t.cost_nanousd), 0),
    coalesce(sum(t.held_nanousd) FILTER (WHERE t.cost_nanousd IS NULL), 0)
FROM accounts AS a LEFT JOIN attempts AS t
    ON t.started_at_us >= a.start_us AND (a.end_us IS NULL OR t.started_at_us < a.end_us)
    AND (a.organisation IS NULL OR t.organisation = a.organisation)
    AND (a.team IS NULL OR t.team = a.team)
    AND (a.project IS NULL OR t.project = a.project)
    AND (a.key_id IS NULL OR t.key_id = a.key_id)
    AND (a."user" IS NULL OR t."user" = a."user")
    AND (a.session IS NULL OR t.session = a.session)
    AND (a.task IS NULL OR t.task = a.task)
    AND (a.tag IS NULL OR strpos(
        ',' || replace(replace(coalesce(t.tags, ''), ', ', ','), ' ,', ',') || ',', ',' || a.tag || ','
    ) > 0)
GROUP BY a.account_id
ORDER BY a.account_id
