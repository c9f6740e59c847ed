-- What a log row's decision cost, of its cost_usd, which in a chat is that of the answer too. Null: no price is known,
-- nothing was routed, or the row is from before.
ALTER TABLE logs ADD COLUMN routing_cost_usd REAL;
-- Decisions per hour by the stage that made them: what those without a model call have saved.
CREATE TABLE decision_hours (
    hour INTEGER NOT NULL,
    stage TEXT NOT NULL, -- "model": a model was called; "single_flight": another request made the call
    decisions INTEGER NOT NULL,
    priced INTEGER NOT NULL, -- decisions whose cost is known
    cost_usd REAL NOT NULL, -- of those
    ms REAL NOT NULL, -- that the stages took
    emulated INTEGER NOT NULL, -- decisions that called a development emulator
    PRIMARY KEY (hour, stage)
) STRICT, WITHOUT ROWID;
