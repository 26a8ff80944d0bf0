-- What came of a task or a session, in the place of what was told before.
INSERT INTO outcomes (kind, name, organisation, team, id, succeeded, at_us, who)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, name, organisation, team) DO UPDATE
SET id = excluded.id, succeeded = excluded.succeeded, at_us = excluded.at_us, who = excluded.who
