-- A new token, unless its name or its digest is taken.
INSERT INTO admin_tokens (id, name, role, organisation, team, shown, digest, created_at_us, expires_at_us, revoked_at_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING
