-- A new account, with what the ledger says was spent in the span of time before every call made one.
INSERT INTO accounts (
    account_id, budget_id, version, start_us, end_us, anchor, anchor_value,
    organisation, team, project, key_id, user, session, task, tag, posted_nanousd, unknown_nanousd
)
SELECT
    :account, :budget, :version, :start, :end, :anchor, :anchor_value,
    :organisation, :team, :project, :key_id, :user, :session, :task, :tag,
    coalesce(sum(cost_nanousd), 0),
    coalesce(sum(held_nanousd), 0)
FROM all_sums
WHERE started_at_us >= :from AND started_at_us < :until
    AND (:end IS NULL OR started_at_us < :end)
    AND (:organisation IS NULL OR organisation = :organisation)
    AND (:team IS NULL OR team = :team)
    AND (:project IS NULL OR project = :project)
    AND (:key_id IS NULL OR key_id = :key_id)
    AND (:user IS NULL OR user = :user)
    AND (:session IS NULL OR session = :session)
    AND (:task IS NULL OR task = :task)
    AND (:tag IS NULL OR instr(
        ',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',', ',' || :tag || ','
    ) > 0)
