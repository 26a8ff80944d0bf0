-- Budgets, their accounts and what processes have leased of those; and what every attempt was held at.
-- Amounts are nanodollars.

ALTER TABLE attempts ADD COLUMN held_nanousd INTEGER;

-- What was removed stays as a row without a name and a rule, so that who follows the changes learns of it.
CREATE TABLE budgets (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT UNIQUE,
    rule TEXT,  -- the whole of it, as JSON: nothing is looked for inside
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX budgets_by_change ON budgets (changed);

CREATE TABLE budget_changes (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    counter INTEGER NOT NULL
) STRICT;
INSERT INTO budget_changes (id, counter) VALUES (1, 0);

-- One budget's account of one subject in one period: an attempt belongs to it where every dimension that is not NULL
-- is the attempt's own and the attempt began in the period. `anchor` names the narrowest of the dimensions ('all' where
-- there is none) and `anchor_value` is its value: by these an attempt finds its accounts.
CREATE TABLE accounts (
    account_id TEXT NOT NULL PRIMARY KEY,
    budget_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    end_us INTEGER,
    anchor TEXT NOT NULL,
    anchor_value TEXT NOT NULL,
    organisation TEXT,
    team TEXT,
    project TEXT,
    key_id TEXT,
    user TEXT,
    session TEXT,
    task TEXT,
    tag TEXT,
    posted_nanousd INTEGER NOT NULL,
    unknown_nanousd INTEGER NOT NULL,
    wanted_at_us INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX accounts_by_anchor ON accounts (anchor, anchor_value, start_us);
CREATE INDEX accounts_by_budget ON accounts (budget_id, start_us);
CREATE INDEX accounts_wanted ON accounts (wanted_at_us) WHERE wanted_at_us > 0;

-- What a process may still spend without asking. What it spends is taken off in the transaction that posts it; below 0
-- a call cost more than was held for it, and until more is leased that counts as nothing.
CREATE TABLE leases (
    account_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    left_nanousd INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    PRIMARY KEY (account_id, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_holder ON leases (holder);
