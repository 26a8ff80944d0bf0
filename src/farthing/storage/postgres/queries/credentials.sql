-- Every sealed credential, oldest first; the columns stand in the order of CredentialRecord.
SELECT id, provider, name, weight, enabled, created_at_us, rotated_at_us, ciphertext, nonce, key_id, quotas
FROM credentials
ORDER BY created_at_us, id
