-- A budget's accounts that are in their period, where a threshold is reached or was.
SELECT a.account_id, a.version, a.start_us, a.end_us,
    a.organisation, a.team, a.project, a.key_id, a.user, a.session, a.task, a.tag, a.posted_nanousd, a.unknown_nanousd
FROM accounts AS a
WHERE a.budget_id = :budget AND (a.end_us IS NULL OR a.end_us > :now) AND (
    a.posted_nanousd + a.unknown_nanousd >= :from
    OR EXISTS (SELECT 1 FROM alert_conditions AS c WHERE c.name = 'threshold ' || a.account_id AND c.level > 0)
)
ORDER BY a.account_id
