-- Sums of attempts by UTC hour and group, so that the costs of a month need not read a month of attempts. They follow
-- the ledger from behind: `rolled_to` is the last row of attempts that is in them, and what came after it is added to
-- an answer from the attempts themselves.

-- What attempts of a group have in common; `identity` is all of it as JSON, in which NULL is told from a text.
CREATE TABLE rollup_groups (
    id INTEGER NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    face TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    team TEXT,
    project TEXT,
    user TEXT,
    tags TEXT
) STRICT;

-- A call may have several attempts, in several hours and groups. It is counted where the first of them came: of all, of
-- those on its model, at its provider, on its UTC day.
CREATE TABLE rollups (
    hour INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    model_calls INTEGER NOT NULL,
    provider_calls INTEGER NOT NULL,
    day_calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_input_tokens INTEGER NOT NULL,
    reasoning_output_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    unknown_cost_attempts INTEGER NOT NULL,
    estimated_attempts INTEGER NOT NULL,
    unknown_usage_attempts INTEGER NOT NULL,
    reported_cost_nanousd INTEGER NOT NULL,
    comparable_cost_nanousd INTEGER NOT NULL,
    reported_only_nanousd INTEGER NOT NULL,
    comparable_attempts INTEGER NOT NULL,
    largest_difference_ppm INTEGER NOT NULL,
    PRIMARY KEY (hour, group_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_state (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    rolled_to INTEGER NOT NULL
) STRICT;
INSERT INTO rollup_state (id, rolled_to) VALUES (1, 0);
