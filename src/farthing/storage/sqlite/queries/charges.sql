-- What the rows of a batch, those after :first up to :last, add to each account that they belong to. Periods begin and
-- end on whole seconds. Each anchor has a branch of its own, so that the index serves.
WITH batch AS MATERIALIZED (
    SELECT
        organisation, team, project, key_id, user, session, task,
        ',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',' AS tag_list,
        started_at_us / 1000000 AS second,
        sum(coalesce(cost_nanousd, 0)) AS posted,
        sum(CASE WHEN cost_nanousd IS NULL THEN coalesce(held_nanousd, 0) ELSE 0 END) AS unknown
    FROM attempts
    WHERE rowid > :first AND rowid <= :last
    GROUP BY organisation, team, project, key_id, user, session, task, tags, second
    HAVING posted > 0 OR unknown > 0
), matched AS (
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'all' AND a.anchor_value = ''
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'organisation' AND a.anchor_value = b.organisation
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'team' AND a.anchor_value = b.team
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'project' AND a.anchor_value = b.project
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'key_id' AND a.anchor_value = b.key_id
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'user' AND a.anchor_value = b.user
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'session' AND a.anchor_value = b.session
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'task' AND a.anchor_value = b.task
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
    UNION ALL
    SELECT a.account_id, b.posted, b.unknown
    FROM batch AS b JOIN accounts AS a ON a.anchor = 'tag' AND b.tag_list <> ',,'
    WHERE TRUE
      AND a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
      AND (a.organisation IS NULL OR a.organisation = b.organisation)
      AND (a.team IS NULL OR a.team = b.team)
      AND (a.project IS NULL OR a.project = b.project)
      AND (a.key_id IS NULL OR a.key_id = b.key_id)
      AND (a.user IS NULL OR a.user = b.user)
      AND (a.session IS NULL OR a.session = b.session)
      AND (a.task IS NULL OR a.task = b.task)
      AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
)
SELECT account_id, sum(posted), sum(unknown) FROM matched GROUP BY account_id ORDER BY account_id
