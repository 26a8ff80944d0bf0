-- A new account, with what the ledger says was spent in the span of time ($16 to $17) before every call made one.
INSERT INTO accounts (
    account_id, budget_id, version, start_us, end_us, anchor, anchor_value,
    organisation, team, project, key_id, "user", session, task, tag, posted_nanousd, unknown_nanousd
)
SELECT
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    least(coalesce(sum(cost_nanousd), 0), 9223372036854775807),
    least(coalesce(sum(held_nanousd), 0), 9223372036854775807)
FROM all_sums
WHERE started_at_us >= $16 AND started_at_us < $17
    AND ($5::bigint IS NULL OR started_at_us < $5)
    AND ($8::text IS NULL OR organisation = $8)
    AND ($9::text IS NULL OR team = $9)
    AND ($10::text IS NULL OR project = $10)
    AND ($11::text IS NULL OR key_id = $11)
    AND ($12::text IS NULL OR "user" = $12)
    AND ($13::text IS NULL OR session = $13)
    AND ($14::text IS NULL OR task = $14)
    AND ($15::text IS NULL OR strpos(
        ',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',', ',' || $15 || ','
    ) > 0)
ON CONFLICT (farthing_digest(account_id)) DO NOTHING
