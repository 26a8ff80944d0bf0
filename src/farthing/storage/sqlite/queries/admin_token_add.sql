-- A new token, unless its name or its digest is taken.
INSERT INTO admin_tokens (id, name, role, organisation, team, shown, digest, created_at_us, expires_at_us, revoked_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
