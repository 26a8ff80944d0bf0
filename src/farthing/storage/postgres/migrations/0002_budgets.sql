-- Budgets, their accounts and what processes have leased of those. Amounts are nanodollars.

-- What was removed stays as a row without a name and a rule, so that who follows the changes learns of it.
CREATE TABLE budgets (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" UNIQUE,
    rule text,  -- the whole of it, as JSON: nothing is looked for inside
    changed bigint NOT NULL
);
CREATE INDEX budgets_by_change ON budgets (changed);

CREATE TABLE budget_changes (
    id integer PRIMARY KEY CHECK (id = 1),
    counter bigint NOT NULL
);
INSERT INTO budget_changes (id, counter) VALUES (1, 0);

-- One budget's account of one subject in one period: an attempt belongs to it where every dimension that is not NULL
-- is the attempt's own and the attempt began in the period. `anchor` names the narrowest of the dimensions ('all' where
-- there is none) and `anchor_value` is its value: by these an attempt finds its accounts. Rows are locked in the order
-- of their numbers. An account's id names all its values, which together may be longer than an index takes.
CREATE TABLE accounts (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    budget_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    start_us bigint NOT NULL,
    end_us bigint,
    anchor text COLLATE "C" NOT NULL,
    anchor_value text COLLATE "C" NOT NULL,
    organisation text COLLATE "C",
    team text COLLATE "C",
    project text COLLATE "C",
    key_id text COLLATE "C",
    "user" text COLLATE "C",
    session text COLLATE "C",
    task text COLLATE "C",
    tag text COLLATE "C",
    posted_nanousd bigint NOT NULL,
    unknown_nanousd bigint NOT NULL,
    wanted_at_us bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX accounts_by_id ON accounts (farthing_digest(account_id));
CREATE INDEX accounts_by_anchor ON accounts (anchor, anchor_value, start_us);
CREATE INDEX accounts_by_budget ON accounts (budget_id, start_us);
CREATE INDEX accounts_wanted ON accounts (wanted_at_us) WHERE wanted_at_us > 0;

-- What a process may still spend without asking. What it spends is taken off in the statement that posts it; below 0
-- a call cost more than was held for it, and until more is leased that counts as nothing.
CREATE TABLE leases (
    account bigint NOT NULL REFERENCES accounts (number) ON DELETE CASCADE,
    holder text COLLATE "C" NOT NULL,
    left_nanousd bigint NOT NULL,
    until_us bigint NOT NULL,
    PRIMARY KEY (account, holder)
);
CREATE INDEX leases_by_holder ON leases (holder);
