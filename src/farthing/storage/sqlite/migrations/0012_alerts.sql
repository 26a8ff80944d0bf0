-- Alerts: conditions that hold or held, facts to be told of them, and their way to each channel.

CREATE TABLE alert_conditions (
    name TEXT NOT NULL PRIMARY KEY,
    times INTEGER NOT NULL,
    level INTEGER NOT NULL,  -- 0: it does not hold
    changed_at_us INTEGER NOT NULL,
    budget_id TEXT,
    until_us INTEGER,
    condition TEXT NOT NULL  -- the whole of it, as JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_conditions_open ON alert_conditions (budget_id, until_us) WHERE level > 0;

CREATE TABLE alert_facts (
    fact_id TEXT NOT NULL PRIMARY KEY,
    at_us INTEGER NOT NULL,
    routed INTEGER NOT NULL DEFAULT 0,
    fact TEXT NOT NULL
) STRICT;
CREATE INDEX alert_facts_by_time ON alert_facts (at_us);
CREATE INDEX alert_facts_unrouted ON alert_facts (at_us) WHERE routed = 0;

CREATE TABLE alert_deliveries (
    fact_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,  -- waiting, delivered, dead
    tries INTEGER NOT NULL DEFAULT 0,
    next_try_at_us INTEGER,
    delivered_at_us INTEGER,
    error TEXT,
    PRIMARY KEY (fact_id, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_deliveries_due ON alert_deliveries (next_try_at_us) WHERE state = 'waiting';

-- Which process tells, and until when nobody else does.
CREATE TABLE alert_leader (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    holder TEXT NOT NULL,
    until_us INTEGER NOT NULL
) STRICT;
INSERT INTO alert_leader (id, holder, until_us) VALUES (1, '', 0);
