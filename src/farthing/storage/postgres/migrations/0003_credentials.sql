-- Providers' credentials: `ciphertext` is the secret under the master key `key_id`, bound to id and provider; `quotas`
-- is JSON. Running servers poll `changes`.
CREATE TABLE credentials (
    id text COLLATE "C" PRIMARY KEY,
    provider text NOT NULL,
    name text COLLATE "C" NOT NULL UNIQUE,
    weight bigint NOT NULL,
    enabled boolean NOT NULL,
    created_at_us bigint NOT NULL,
    rotated_at_us bigint,
    ciphertext bytea NOT NULL,
    nonce bytea NOT NULL,
    key_id text NOT NULL,
    quotas text NOT NULL
);
