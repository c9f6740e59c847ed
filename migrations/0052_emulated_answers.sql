-- 1: the local emulator answered for the model, so `cost_usd` is at a list price that nobody pays.
ALTER TABLE evaluation_answers ADD COLUMN emulated INTEGER NOT NULL DEFAULT 0;
