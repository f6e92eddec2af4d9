-- What writing help costs, by calendar month (UTC): the calls of its provider, and the tokens that it counted.

CREATE TABLE assist_months (
    month           TEXT PRIMARY KEY CHECK (length(month) = 7), -- such as 2026-11
    calls           INTEGER NOT NULL CHECK (calls > 0),
    failed_calls    INTEGER NOT NULL CHECK (failed_calls BETWEEN 0 AND calls),    -- those that gave no text
    estimated_calls INTEGER NOT NULL CHECK (estimated_calls BETWEEN 0 AND calls), -- those whose tokens nobody told
    input_tokens    INTEGER NOT NULL CHECK (input_tokens >= 0),
    output_tokens   INTEGER NOT NULL CHECK (output_tokens >= 0),
    cost_micros     INTEGER NOT NULL CHECK (cost_micros >= 0)  -- millionths of the currency of the prices
) STRICT, WITHOUT ROWID;
