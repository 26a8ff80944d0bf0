-- What every account should hold, by the lines there are and those that are gone.
SELECT account_id, coalesce(sum(posted), 0), coalesce(sum(unknown), 0)
FROM (
    SELECT
        a.account_id, t.cost_nanousd AS posted,
        CASE WHEN t.cost_nanousd IS NULL THEN t.held_nanousd END AS unknown
    FROM accounts AS a LEFT JOIN attempts AS t
        ON t.started_at_us >= a.start_us AND (a.end_us IS NULL OR t.started_at_us < a.end_us)
        AND (a.organisation IS NULL OR t.organisation = a.organisation)
        AND (a.team IS NULL OR t.team = a.team)
        AND (a.project IS NULL OR t.project = a.project)
        AND (a.key_id IS NULL OR t.key_id = a.key_id)
        AND (a.user IS NULL OR t.user = a.user)
        AND (a.session IS NULL OR t.session = a.session)
        AND (a.task IS NULL OR t.task = a.task)
        AND (a.tag IS NULL OR instr(
            ',' || replace(replace(coalesce(t.tags, ''), ', ', ','), ' ,', ',') || ',', ',' || a.tag || ','
        ) > 0)
    UNION ALL
    SELECT a.account_id, t.cost_nanousd, t.held_nanousd
    FROM accounts AS a JOIN expired_sums AS t
        ON t.started_at_us >= a.start_us AND (a.end_us IS NULL OR t.started_at_us < a.end_us)
        AND (a.organisation IS NULL OR t.organisation = a.organisation)
        AND (a.team IS NULL OR t.team = a.team)
        AND (a.project IS NULL OR t.project = a.project)
        AND (a.key_id IS NULL OR t.key_id = a.key_id)
        AND (a.user IS NULL OR t.user = a.user)
        AND (a.session IS NULL OR t.session = a.session)
        AND (a.task IS NULL OR t.task = a.task)
        AND (a.tag IS NULL OR instr(
            ',' || replace(replace(coalesce(t.tags, ''), ', ', ','), ' ,', ',') || ',', ',' || a.tag || ','
        ) > 0)
)
GROUP BY account_id
ORDER BY account_id
