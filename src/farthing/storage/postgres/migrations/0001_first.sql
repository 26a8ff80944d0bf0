-- The first tables: attempts, their daily totals, client keys.
-- Times are microseconds since 1970 UTC, money is nanodollars, NULL is unknown. Texts compare by their characters'
-- numbers, as in Python and SQLite, wherever the server stands. Names that clients choose are in no index as they are:
-- an entry holds 2,700 bytes at most, and a longer name would keep its line out of the ledger.

-- One row: which installation this is, its version, and what tells that a host has the pepper of the others.
CREATE TABLE farthing (
    id integer PRIMARY KEY CHECK (id = 1),
    version integer NOT NULL,
    identity text NOT NULL,
    pepper_check bytea
);
INSERT INTO farthing (id, version, identity) VALUES (1, 0, gen_random_uuid()::text);

-- What stands for a text in an index. The server calls convert_to changeable; in a database of UTF8 it is not.
CREATE FUNCTION farthing_digest(text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT sha256(convert_to($1, 'UTF8')) $$;

CREATE TABLE attempts (
    attempt_id text COLLATE "C" NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    ordinal bigint NOT NULL,
    started_at_us bigint NOT NULL,
    face text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    model_asked text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    streamed boolean NOT NULL,
    input_tokens_estimate bigint NOT NULL,
    -- for whom and for what
    key_id text COLLATE "C" NOT NULL,
    key_name text COLLATE "C" NOT NULL,
    organisation text COLLATE "C" NOT NULL,
    team text COLLATE "C",
    project text COLLATE "C",
    "user" text COLLATE "C",
    session text COLLATE "C",
    conversation text COLLATE "C",
    task text COLLATE "C",
    parent_call_id text COLLATE "C",
    sub_agent text COLLATE "C",
    branch text COLLATE "C",
    pull_request text COLLATE "C",
    tags text COLLATE "C",
    held_nanousd bigint,
    -- how it ended
    ended_at_us bigint NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    http_status bigint,
    cost_nanousd bigint,
    cost_basis text COLLATE "C" NOT NULL,
    price_id text COLLATE "C",
    reported_cost_nanousd bigint,
    model_served text COLLATE "C",
    service_tier text COLLATE "C",
    first_output_us bigint,
    upstream_request_id text COLLATE "C",
    error_code text COLLATE "C",
    error_message text COLLATE "C",
    losses text COLLATE "C",
    -- what it used; parts are inclusive, see types/usage.py
    input_tokens bigint,
    output_tokens bigint,
    cache_read_input_tokens bigint NOT NULL,
    cache_creation_5m_input_tokens bigint NOT NULL,
    cache_creation_1h_input_tokens bigint NOT NULL,
    input_audio_tokens bigint NOT NULL,
    cache_read_audio_tokens bigint NOT NULL,
    reasoning_output_tokens bigint NOT NULL,
    output_audio_tokens bigint NOT NULL,
    input_image_tokens bigint NOT NULL,
    output_image_tokens bigint NOT NULL,
    web_search_requests bigint NOT NULL,
    usage_flags text COLLATE "C",
    credential text COLLATE "C",
    PRIMARY KEY (attempt_id)
);
CREATE INDEX attempts_by_call ON attempts (call_id);
CREATE INDEX attempts_by_start ON attempts (started_at_us);

-- Kept in the same statement as the attempts they add up; `day` is the UTC day an attempt began on.
CREATE TABLE daily_totals (
    day text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL,
    unknown_cost_attempts bigint NOT NULL,
    estimated_attempts bigint NOT NULL,
    unknown_usage_attempts bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_input_tokens bigint NOT NULL,
    cache_creation_5m_input_tokens bigint NOT NULL,
    cache_creation_1h_input_tokens bigint NOT NULL,
    reasoning_output_tokens bigint NOT NULL,
    web_search_requests bigint NOT NULL,
    cost_nanousd bigint NOT NULL
);
CREATE UNIQUE INDEX daily_totals_by_group ON daily_totals (day, key_id, provider, farthing_digest(model));

-- The key itself is not here: `digest` is its HMAC under the pepper, `shown` its first characters. A deleted key's row
-- stays: its spend shows under its name, and its id never comes back. `changed` is the value of the counter when a row
-- changed last, so that running servers read what is new and nothing else. Lists are JSON, NULL where they are empty.
CREATE TABLE keys (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    shown text NOT NULL,
    digest bytea NOT NULL,
    created_at_us bigint NOT NULL,
    revoked_at_us bigint,
    organisation text NOT NULL,
    team text,
    project text,
    "user" text,
    session text,
    task text,
    branch text,
    pull_request text,
    expires_at_us bigint,
    tags text,
    bound_model text,
    models text,
    faces text,
    disabled_at_us bigint,
    deleted_at_us bigint,
    rotated_at_us bigint,
    old_secrets text,
    changed bigint NOT NULL
);
CREATE UNIQUE INDEX keys_by_name ON keys (name) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX keys_by_digest ON keys (digest) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX keys_by_change ON keys (changed);

-- One row that grows with every change to the keys; running servers poll it. Who changes a key holds it until that is
-- committed, so that whoever has read up to a number has missed nothing.
CREATE TABLE changes (
    id integer PRIMARY KEY CHECK (id = 1),
    counter bigint NOT NULL
);
INSERT INTO changes (id, counter) VALUES (1, 0);
