-- Every token, or the one with a digest, oldest first.
SELECT id, name, role, organisation, team, shown, digest, created_at_us, expires_at_us, revoked_at_us
FROM admin_tokens
WHERE $1::bytea IS NULL OR digest = $1
ORDER BY id
