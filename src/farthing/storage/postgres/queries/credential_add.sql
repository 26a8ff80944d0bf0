-- Keep a sealed credential; the columns stand in the order of CredentialRecord.
INSERT INTO credentials (
    id, provider, name, weight, enabled, created_at_us, rotated_at_us, ciphertext, nonce, key_id, quotas
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
