-- Alerts: conditions that hold or held, facts to be told of them, and their way to each channel.

CREATE TABLE alert_conditions (
    name text COLLATE "C" NOT NULL,
    times bigint NOT NULL,
    level bigint NOT NULL,  -- 0: it does not hold
    changed_at_us bigint NOT NULL,
    budget_id text COLLATE "C",
    until_us bigint,
    condition text NOT NULL  -- the whole of it, as JSON
);
CREATE UNIQUE INDEX alert_conditions_by_name ON alert_conditions (farthing_digest(name));
CREATE INDEX alert_conditions_open ON alert_conditions (budget_id, until_us) WHERE level > 0;

CREATE TABLE alert_facts (
    fact_id text COLLATE "C" PRIMARY KEY,
    at_us bigint NOT NULL,
    routed bigint NOT NULL DEFAULT 0,
    fact text NOT NULL
);
CREATE INDEX alert_facts_by_time ON alert_facts (at_us);
CREATE INDEX alert_facts_unrouted ON alert_facts (at_us) WHERE routed = 0;

CREATE TABLE alert_deliveries (
    fact_id text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    state text NOT NULL,  -- waiting, delivered, dead
    tries bigint NOT NULL DEFAULT 0,
    next_try_at_us bigint,
    delivered_at_us bigint,
    error text,
    PRIMARY KEY (fact_id, channel)
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (next_try_at_us) WHERE state = 'waiting';

-- Which process tells, and until when nobody else does.
CREATE TABLE alert_leader (
    id integer PRIMARY KEY CHECK (id = 1),
    holder text COLLATE "C" NOT NULL,
    until_us bigint NOT NULL
);
INSERT INTO alert_leader (id, holder, until_us) VALUES (1, '', 0);

-- Whether an attempt counts as the provider's failure; the statuses are those that say that the request was wrong.
CREATE FUNCTION farthing_failed(outcome text, http_status bigint) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT outcome IN ('provider_cut', 'unreachable', 'timeout') OR (
            outcome = 'provider_error'
            AND coalesce(http_status, 0) NOT IN (400, 404, 405, 406, 410, 411, 413, 414, 415, 422)
        )
    $$;
