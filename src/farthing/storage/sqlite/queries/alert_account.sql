-- One account, as an alert tells of it.
SELECT account_id, version, start_us, end_us,
    organisation, team, project, key_id, user, session, task, tag, posted_nanousd, unknown_nanousd
FROM accounts WHERE account_id = ?
