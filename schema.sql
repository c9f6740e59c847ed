-- The whole schema: the sum of migrations/, for reading. A test holds the two equal.

-- Agents: who can answer. Exactly one is the default, the one that answers when no other can be chosen.
CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    examples TEXT NOT NULL, -- JSON array of strings
    endpoint TEXT,
    system_prompt TEXT,
    model TEXT,
    enabled INTEGER NOT NULL,
    is_default INTEGER NOT NULL,
    created_at INTEGER NOT NULL, -- unix milliseconds, as every time here
    updated_at INTEGER NOT NULL,
    CHECK (is_default = 0 OR enabled = 1)
) STRICT;
CREATE UNIQUE INDEX agents_one_default ON agents (is_default) WHERE is_default = 1;

-- Settings that the control plane stored; they win over wrangler's [vars].
CREATE TABLE config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL, -- JSON
    updated_at INTEGER NOT NULL
) STRICT;

-- `value` counts the changes of agents, models, providers and config, so that an isolate knows with one small
-- read whether the routing configuration it caches is still true. Triggers, so that no writer can forget.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO revision (id, value) VALUES (1, 1);
CREATE TRIGGER agents_insert_revision AFTER INSERT ON agents BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER agents_update_revision AFTER UPDATE ON agents BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER agents_delete_revision AFTER DELETE ON agents BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER config_insert_revision AFTER INSERT ON config BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER config_update_revision AFTER UPDATE ON config BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER config_delete_revision AFTER DELETE ON config BEGIN UPDATE revision SET value = value + 1; END;

-- What the active model answered, under a hash of everything that the answer depends on.
CREATE TABLE decision_cache (
    key TEXT PRIMARY KEY,
    answer TEXT NOT NULL, -- JSON
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX decision_cache_expires_at ON decision_cache (expires_at);

-- One row an answer of POST /v1/route. Ids begin with the time, so their order is the order in time.
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY, -- what the full text index points to; never reused, never renumbered
    id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    query TEXT NOT NULL, -- empty while `log_queries` is off
    query_hash TEXT, -- SHA-256 of the normalised query, the first 32 hex digits
    user TEXT,
    session TEXT,
    metadata TEXT, -- JSON object
    candidates TEXT, -- JSON array
    status INTEGER NOT NULL, -- HTTP status of the answer
    agent_id TEXT, -- null when the answer was an error ("fallback": false)
    confidence REAL NOT NULL,
    threshold REAL NOT NULL,
    layer TEXT NOT NULL,
    reason TEXT,
    alternatives TEXT NOT NULL, -- JSON array
    model TEXT,
    adapter TEXT,
    cache TEXT NOT NULL,
    attempts TEXT NOT NULL, -- JSON array
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_usd REAL,
    latency_ms REAL NOT NULL,
    gateway_log_id TEXT,
    gateway_cache_status TEXT,
    prompt_version TEXT NOT NULL,
    agents_revision TEXT NOT NULL
) STRICT;

-- Who may do what. A key belongs to a user or stands alone; only its hash is kept.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE, -- lower case
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'labeler', 'admin')),
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hint TEXT NOT NULL, -- the key's first characters, to tell keys apart
    hash TEXT NOT NULL UNIQUE, -- SHA-256, hex
    scopes TEXT NOT NULL, -- JSON array
    user_id TEXT REFERENCES users (id),
    expires_at INTEGER,
    requests_per_minute INTEGER,
    monthly_budget_usd REAL,
    revoked_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- Other vendors behind AI Gateway. `secret` is the name of a Worker secret, never its value.
CREATE TABLE providers (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    base_url TEXT,
    secret TEXT,
    models TEXT NOT NULL, -- JSON array of the vendor's model ids
    priority INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Models that were registered; those of the built-in table and of the vars need no row. A row with a
-- built-in model's id changes that model.
CREATE TABLE models (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL CHECK (type IN ('base', 'lora', 'classifier')),
    base_model TEXT NOT NULL,
    adapter TEXT,
    status TEXT NOT NULL CHECK (status IN ('available', 'not_ready', 'retired')),
    aliases TEXT NOT NULL, -- JSON array
    context_window INTEGER,
    input_price REAL, -- USD per million tokens
    output_price REAL,
    supports_lora INTEGER NOT NULL,
    json_mode INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Every change of the control plane; rows never change (a trigger below says when they may go).
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    actor TEXT NOT NULL, -- the key's id or the user's e-mail address
    request_id TEXT NOT NULL,
    action TEXT NOT NULL, -- create, update, delete, select, …
    resource TEXT NOT NULL, -- agent, model, config, …
    resource_id TEXT NOT NULL,
    before TEXT, -- JSON
    after TEXT -- JSON
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'audit rows do not change'); END;

-- Answers kept for POSTs that are sent again with the same Idempotency-Key.
CREATE TABLE idempotency (
    key_hash TEXT PRIMARY KEY, -- over the caller's key, the path and the Idempotency-Key
    request_hash TEXT NOT NULL,
    status INTEGER, -- null while the first request is at work
    body TEXT,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_expires_at ON idempotency (expires_at);

-- Logs are found by their text, and a question by its normalised form.
CREATE INDEX logs_created_at ON logs (created_at);
-- With all that accuracy reads, so that it looks at the index alone.
CREATE INDEX logs_query_hash ON logs (query_hash, created_at, status, agent_id, layer, reason, model, adapter, key_id);
CREATE VIRTUAL TABLE logs_fts USING fts5 (query, content = 'logs', content_rowid = 'seq', tokenize = 'unicode61');
CREATE TRIGGER logs_insert_fts AFTER INSERT ON logs BEGIN INSERT INTO logs_fts (rowid, query) VALUES (new.seq, new.query); END;
CREATE TRIGGER logs_delete_fts AFTER DELETE ON logs BEGIN INSERT INTO logs_fts (logs_fts, rowid, query) VALUES ('delete', old.seq, old.query); END;

-- What the right answer to a question is, as people say it. `labels` is the history, in the order of `seq`; the
-- latest label of each labeler that was not withdrawn is a vote, and the votes decide which label of a question
-- is in force (store/label_reads.py).
CREATE TABLE labels (
    seq INTEGER PRIMARY KEY, -- the order of the history
    id TEXT NOT NULL UNIQUE,
    query_hash TEXT NOT NULL, -- as in logs
    near_hash TEXT NOT NULL, -- the same for near-duplicates
    query TEXT NOT NULL,
    agent_id TEXT, -- null: no agent fits (out of scope); see `removed`
    removed INTEGER NOT NULL, -- 1: this entry took a label back
    log_id TEXT,
    note TEXT,
    labeler TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('hand', 'bulk', 'import', 'feedback')),
    created_at INTEGER NOT NULL,
    stream TEXT CHECK (stream IN ('hard', 'random')), -- of the label queue, if the question came from there
    final INTEGER NOT NULL DEFAULT 0, -- 1: this label decides alone
    withdrawn INTEGER, -- the labels revision at which this label was withdrawn; null: it counts
    import_id TEXT,
    origin TEXT -- JSON: the labeler, source and time that the imported file names
) STRICT;
CREATE INDEX labels_query_hash ON labels (query_hash, labeler);
CREATE INDEX labels_near_hash ON labels (near_hash, query_hash);
CREATE INDEX labels_log_id ON labels (log_id);
CREATE INDEX labels_import_id ON labels (import_id) WHERE import_id IS NOT NULL;
-- The label in force of each question: what datasets, the queue and accuracy read.
CREATE TABLE current_labels (
    query_hash TEXT PRIMARY KEY,
    query TEXT NOT NULL,
    agent_id TEXT,
    label_id TEXT NOT NULL,
    near_hash TEXT NOT NULL, -- the same for near-duplicates, so that the queue knows them
    split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
    labeler TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX current_labels_label_id ON current_labels (label_id);
CREATE INDEX current_labels_near_hash ON current_labels (near_hash);
CREATE TABLE feedback (
    id TEXT PRIMARY KEY,
    decision_id TEXT NOT NULL,
    value TEXT NOT NULL CHECK (value IN ('up', 'down')),
    correct_agent TEXT,
    comment TEXT,
    key_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX feedback_decision_id ON feedback (decision_id, key_id); -- a key's last feedback counts

-- Sums per hour, kept current by the write of each log row, so that analytics never scan the logs.
CREATE TABLE usage_hours (
    hour INTEGER NOT NULL, -- unix milliseconds of its start
    agent_id TEXT NOT NULL,
    layer TEXT NOT NULL,
    reason TEXT NOT NULL,
    model TEXT NOT NULL,
    adapter TEXT NOT NULL,
    key_id TEXT NOT NULL,
    cache TEXT NOT NULL,
    status INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    without_model INTEGER NOT NULL, -- answers for which no model was asked
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    unpriced_answers INTEGER NOT NULL, -- answers whose cost is not known
    PRIMARY KEY (hour, agent_id, layer, reason, model, adapter, key_id, cache, status)
) STRICT, WITHOUT ROWID;
-- Latencies per hour in buckets of a logarithmic histogram: percentiles over any range by addition.
CREATE TABLE latency_hours (
    hour INTEGER NOT NULL,
    agent_id TEXT NOT NULL,
    layer TEXT NOT NULL,
    reason TEXT NOT NULL,
    model TEXT NOT NULL,
    adapter TEXT NOT NULL,
    key_id TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    PRIMARY KEY (hour, agent_id, layer, reason, model, adapter, key_id, bucket)
) STRICT, WITHOUT ROWID;
-- Attempts per hour by the model that was asked, which need not be the one that answered.
CREATE TABLE attempt_hours (
    hour INTEGER NOT NULL,
    model TEXT NOT NULL,
    adapter TEXT NOT NULL,
    outcome TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (hour, model, adapter, outcome)
) STRICT, WITHOUT ROWID;
-- What each classifier was asked, by the hour, so that drift is seen within one and no classifier is
-- charged with what another one passed on.
CREATE TABLE classifier_hours (
    hour INTEGER NOT NULL, -- unix milliseconds of its start
    classifier TEXT NOT NULL,
    agent_id TEXT NOT NULL, -- that was decided for; empty: none, or the fallback agent
    asked INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    out_of_scope INTEGER NOT NULL,
    PRIMARY KEY (hour, classifier, agent_id)
) STRICT, WITHOUT ROWID;
-- The hours of a finished day summed once more, by each dimension alone (the hour is one), so that
-- long ranges read little. They count only while `current` is 1: a row written late takes it back to 0.
CREATE TABLE summed_days (
    day INTEGER PRIMARY KEY, -- unix milliseconds of its start, in UTC
    current INTEGER NOT NULL
) STRICT;
CREATE TABLE usage_days (
    day INTEGER NOT NULL,
    dimension TEXT NOT NULL,
    value TEXT NOT NULL,
    answers INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    fallback_answers INTEGER NOT NULL,
    cache_hits INTEGER NOT NULL,
    without_model INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    unpriced_answers INTEGER NOT NULL,
    p50 INTEGER, -- percentiles of latency as buckets: those of one day, or of one hour
    p95 INTEGER,
    p99 INTEGER,
    PRIMARY KEY (dimension, day, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE latency_days (
    day INTEGER NOT NULL,
    dimension TEXT NOT NULL,
    value TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    PRIMARY KEY (dimension, day, value, bucket)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER models_insert_revision AFTER INSERT ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_update_revision AFTER UPDATE ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_delete_revision AFTER DELETE ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER providers_insert_revision AFTER INSERT ON providers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER providers_update_revision AFTER UPDATE ON providers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER providers_delete_revision AFTER DELETE ON providers BEGIN UPDATE revision SET value = value + 1; END;

-- What Workers AI's own catalogue said of its models when it was last asked.
CREATE TABLE discovered_models (
    id TEXT PRIMARY KEY,
    facts TEXT NOT NULL, -- JSON
    seen_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER discovered_models_insert_revision AFTER INSERT ON discovered_models BEGIN UPDATE revision SET value = value + 1; END;

-- Chat completions are answers too, and a stream can end before its end.
ALTER TABLE logs ADD COLUMN kind TEXT NOT NULL DEFAULT 'route' CHECK (kind IN ('route', 'chat'));
ALTER TABLE logs ADD COLUMN ending TEXT NOT NULL DEFAULT 'complete' CHECK (ending IN ('complete', 'cut', 'client_gone'));
ALTER TABLE logs ADD COLUMN upstream_ms REAL NOT NULL DEFAULT 0; -- of latency_ms, what was spent waiting for models and agents
ALTER TABLE logs ADD COLUMN trace_id TEXT;

-- What each limited key has used, reserved before an answer and settled after it.
ALTER TABLE keys ADD COLUMN monthly_token_budget INTEGER;
CREATE TABLE key_usage (
    key_id TEXT PRIMARY KEY REFERENCES keys (id),
    minute INTEGER NOT NULL, -- unix minutes
    minute_requests INTEGER NOT NULL,
    month INTEGER NOT NULL, -- 202611, in UTC
    tokens INTEGER NOT NULL, -- in that month, with what is reserved
    cost_usd REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- A vendor's model is there only while its provider lists it; what was changed of it stays.
ALTER TABLE models ADD COLUMN provider TEXT NOT NULL DEFAULT 'workers-ai';

-- How an agent with an endpoint is spoken to.
ALTER TABLE agents ADD COLUMN protocol TEXT NOT NULL DEFAULT 'openai' CHECK (protocol IN ('openai', 'a2a', 'handoff'));

-- Chat answers that may be given again, under a hash of everything that they depend on.
CREATE TABLE chat_cache (
    key TEXT PRIMARY KEY,
    answer TEXT NOT NULL, -- JSON
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX chat_cache_expires_at ON chat_cache (expires_at);

-- Classifiers that were learned from the labels, or are being learned by a job.
CREATE TABLE classifiers (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL, -- the id of a key or a user, or "rule"
    options TEXT NOT NULL, -- JSON: target accuracy, least labels of an agent, seed
    agents TEXT NOT NULL, -- JSON array: the agents that were enabled when the learning began
    labels INTEGER NOT NULL, -- how many were learned from
    last_label_id TEXT, -- the newest of them
    metrics TEXT, -- JSON: of the held-out labels
    per_agent TEXT, -- JSON: labels, threshold and why it is never answered
    size INTEGER, -- bytes of the model
    checksum TEXT -- SHA-256 of the model
) STRICT;
CREATE INDEX classifiers_created_at ON classifiers (created_at, id);
-- The bytes of a model, and what a job keeps between its slices, in parts that fit a row.
CREATE TABLE classifier_parts (
    classifier_id TEXT NOT NULL REFERENCES classifiers (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('examples', 'state', 'model')),
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (classifier_id, kind, part)
) STRICT;
CREATE TRIGGER classifiers_delete_revision AFTER DELETE ON classifiers BEGIN UPDATE revision SET value = value + 1; END;

-- What the layer that did not answer would have said, for a sample of the answers.
CREATE TABLE audit_samples (
    log_id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    layer TEXT NOT NULL CHECK (layer IN ('classifier', 'llm')), -- that gave this opinion
    agent_id TEXT, -- null: no agent fits
    confidence REAL NOT NULL,
    agrees INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_samples_created_at ON audit_samples (created_at);

-- How the classifier answered, in the log row of each answer it was asked for.
ALTER TABLE logs ADD COLUMN classifier TEXT; -- JSON: id, version, agent, score, threshold, sure

-- The counts that drift is measured by: answers that the classifier was called for, answers that it gave, and
-- answers that no agent fits. Days that have sums already are summed again.
ALTER TABLE usage_hours ADD COLUMN classifier_asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN classifier_asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN classifier_answers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN out_of_scope_answers INTEGER NOT NULL DEFAULT 0;
UPDATE summed_days SET current = 0;

-- Adapters that were uploaded to Workers AI, or are being uploaded by a job, step by step.
CREATE TABLE loras (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL, -- the finetune's at Workers AI, and the model's here
    base_model TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('files', 'finetune')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    steps TEXT NOT NULL, -- JSON array
    finetune_id TEXT, -- Workers AI's own
    preflight TEXT NOT NULL, -- JSON array: the rules and what was found
    size INTEGER, -- bytes of the weights
    checksum TEXT, -- SHA-256 of the weights
    rank INTEGER,
    target_modules TEXT NOT NULL -- JSON array
) STRICT;
CREATE INDEX loras_created_at ON loras (created_at, id);
-- The files of an adapter until Workers AI has them, in parts that fit a row.
CREATE TABLE lora_parts (
    lora_id TEXT NOT NULL, -- written before there is a row of loras, which comes with the last part
    file TEXT NOT NULL,
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (lora_id, file, part)
) STRICT;

-- Models measured on held-out labels, by jobs.
CREATE TABLE evaluations (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    model_ids TEXT NOT NULL, -- JSON array
    split TEXT NOT NULL,
    labels INTEGER NOT NULL, -- questions in evaluation_items
    left_out INTEGER NOT NULL, -- labels of agents that are not enabled
    agents_revision TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    threshold REAL NOT NULL,
    results TEXT -- JSON, once it has succeeded
) STRICT;
CREATE INDEX evaluations_created_at ON evaluations (created_at, id);
-- The labels as they were when the job began.
CREATE TABLE evaluation_items (
    evaluation_id TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    query_hash TEXT NOT NULL,
    query TEXT NOT NULL,
    agent_id TEXT, -- null: no agent fits
    PRIMARY KEY (evaluation_id, query_hash)
) STRICT, WITHOUT ROWID;
-- What the router decided with each model. One that failed is tried again, up to a number of tries.
CREATE TABLE evaluation_answers (
    evaluation_id TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    model_id TEXT NOT NULL,
    query_hash TEXT NOT NULL,
    agent_id TEXT, -- that was decided for; null: none fits, or it failed
    is_right INTEGER NOT NULL,
    reason TEXT, -- why the fallback agent answered, or why the model failed
    failed INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost_usd REAL,
    ms REAL NOT NULL,
    PRIMARY KEY (evaluation_id, model_id, query_hash)
) STRICT, WITHOUT ROWID;

-- What the challenger, a model tried beside the active one, would have decided, for a share of its answers.
CREATE TABLE challenger_answers (
    log_id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    model_id TEXT NOT NULL,
    agent_id TEXT, -- null: none fits, or it failed
    reason TEXT,
    failed INTEGER NOT NULL,
    agrees INTEGER NOT NULL,
    cost_usd REAL,
    ms REAL NOT NULL
) STRICT;
CREATE INDEX challenger_answers_model_id ON challenger_answers (model_id, created_at);

-- What was decided: a stage named the agent, the default agent answered instead, or nobody did. Null: nothing
-- was decided, or the row is older than this column (then the layer shows it). `confidence` is what a stage
-- stated for its answer, whatever came of it.
ALTER TABLE logs ADD COLUMN outcome TEXT CHECK (outcome IN ('agent', 'fallback', 'none'));

-- Labels decide at once, in every isolate: this counts the changes of labels in force, and of cached
-- answers that were dropped. 0: there never was one.
ALTER TABLE revision ADD COLUMN labels INTEGER NOT NULL DEFAULT 0;

-- A cached answer that a label corrects is dropped: the question is decided again, without any cache.
ALTER TABLE decision_cache ADD COLUMN query_hash TEXT; -- as in logs; null while `log_queries` is off
ALTER TABLE decision_cache ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
CREATE INDEX decision_cache_query_hash ON decision_cache (query_hash);

-- Hashes of questions are over the canonical text. Older rows may have other hashes; the cron updates them step
-- by step, and deletes the row here when its table is done.
CREATE TABLE rehashing (
    source TEXT PRIMARY KEY CHECK (source IN ('logs', 'labels')),
    after INTEGER NOT NULL, -- the row up to which it has looked
    until INTEGER NOT NULL -- the last older row
) STRICT;

-- What near-duplicates share, computed when a log row is written. Older rows have none.
ALTER TABLE logs ADD COLUMN near_hash TEXT;

-- Rows for which nothing was decided have no query hash; an erasure finds them by this one.
CREATE INDEX logs_undecided ON logs (near_hash, seq) WHERE query_hash IS NULL AND near_hash IS NOT NULL;

-- Audit rows never change, and go only when the setting audit_retention_days says so.
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN NOT EXISTS (
    SELECT 1 FROM config WHERE key = 'audit_retention_days'
    AND old.created_at < unixepoch() * 1000 - CAST(value AS INTEGER) * 86400000
) BEGIN SELECT raise(ABORT, 'audit rows stay'); END;

-- A question that was once drawn at random stays `sampled`: only these measure accuracy.
ALTER TABLE current_labels ADD COLUMN sampled INTEGER NOT NULL DEFAULT 0;

-- Evaluations ask one question of each group of near-duplicates; null: an older one that asked all.
ALTER TABLE evaluations ADD COLUMN near_duplicates INTEGER;

-- The result of a classifier on the test part, whose labels chose nothing of it.
ALTER TABLE classifiers ADD COLUMN test_score TEXT; -- JSON
-- What labels a training that failed needs, and what there are.
ALTER TABLE classifiers ADD COLUMN needs TEXT; -- JSON


-- The part of the data set of each question that was ever labelled, by what near-duplicates share. It is
-- decided once, by the question's place among those of its agent, so that each agent has its share of
-- every part.
CREATE TABLE splits (
    near_hash TEXT PRIMARY KEY,
    agent TEXT NOT NULL, -- of its first label; "none" where no agent fits
    place INTEGER NOT NULL, -- among the questions of that agent, from 0 on
    split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test'))
) STRICT;
CREATE INDEX splits_agent ON splits (agent, place); -- similar questions share a place

-- Changes of keys and users have a number of their own, so that they do not make every isolate read the
-- routing configuration again and close its circuit breakers.
ALTER TABLE revision ADD COLUMN access INTEGER NOT NULL DEFAULT 1;
CREATE TRIGGER keys_insert_access AFTER INSERT ON keys BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER keys_update_access AFTER UPDATE ON keys BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER keys_delete_access AFTER DELETE ON keys BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER users_insert_access AFTER INSERT ON users BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER users_update_access AFTER UPDATE ON users BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER users_delete_access AFTER DELETE ON users BEGIN UPDATE revision SET access = access + 1; END;

-- What a vendor's models cost, as JSON: {model id: {input_per_million, output_per_million, currency}}.
ALTER TABLE providers ADD COLUMN prices TEXT NOT NULL DEFAULT '{}';

-- What a key may use: JSON arrays of ids; null is everything.
ALTER TABLE keys ADD COLUMN agents TEXT;
ALTER TABLE keys ADD COLUMN models TEXT;

-- Parts of words and of sentences without blanks are found by their trigrams. Older rows than the newest
-- 20,000 are found by whole words alone; `logs_trigrams_start` is the last row without trigrams.
CREATE TABLE logs_trigrams_start (
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO logs_trigrams_start (seq) SELECT max(0, coalesce(max(seq), 0) - 20000) FROM logs;
CREATE VIRTUAL TABLE logs_trigrams USING fts5 (query, content = 'logs', content_rowid = 'seq', tokenize = 'trigram', columnsize = 0);
INSERT INTO logs_trigrams (rowid, query) SELECT seq, query FROM logs WHERE query <> '' AND seq > (SELECT seq FROM logs_trigrams_start);
CREATE TRIGGER logs_insert_trigrams AFTER INSERT ON logs WHEN new.query <> '' BEGIN INSERT INTO logs_trigrams (rowid, query) VALUES (new.seq, new.query); END;
CREATE TRIGGER logs_delete_trigrams AFTER DELETE ON logs WHEN old.query <> '' AND old.seq > (SELECT seq FROM logs_trigrams_start) BEGIN INSERT INTO logs_trigrams (logs_trigrams, rowid, query) VALUES ('delete', old.seq, old.query); END;

-- The log rows of one user or session.
CREATE INDEX logs_user ON logs (user, created_at) WHERE user IS NOT NULL;
CREATE INDEX logs_session ON logs (session, created_at) WHERE session IS NOT NULL;

-- What the retrain rule made of a classifier that it trained: JSON, null if a person started the training.
ALTER TABLE classifiers ADD COLUMN rule_outcome TEXT;
-- What to know before it is selected: a JSON array of texts.
ALTER TABLE classifiers ADD COLUMN warnings TEXT;
-- The mix of agents that its thresholds and figures are of: JSON.
ALTER TABLE classifiers ADD COLUMN mix TEXT;
-- Labels that are probably wrong, the surest first: a JSON array of query_hash, agent_id, predicted, score.
ALTER TABLE classifiers ADD COLUMN suspects TEXT;

-- Routing tests: the one set that an operator keeps. A run of it is an evaluation of another source. An
-- evaluation measures models alone, or the pipeline as a request would be routed.
CREATE TABLE routing_tests (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    content TEXT NOT NULL, -- JSON array of the tests, in the file's order
    tests INTEGER NOT NULL,
    sha256 TEXT NOT NULL, -- of the tests, whatever their order
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) STRICT;
ALTER TABLE evaluations ADD COLUMN source TEXT NOT NULL DEFAULT 'labels' CHECK (source IN ('labels', 'routing_tests'));
ALTER TABLE evaluations ADD COLUMN target TEXT NOT NULL DEFAULT 'models' CHECK (target IN ('models', 'pipeline'));
ALTER TABLE evaluations ADD COLUMN label_layer INTEGER NOT NULL DEFAULT 0; -- whether labels decide
ALTER TABLE evaluations ADD COLUMN proposal TEXT; -- JSON: the changes that are tried, and what they come to
ALTER TABLE evaluations ADD COLUMN data TEXT; -- JSON: how many questions, the newest label, a hash of them
ALTER TABLE evaluations ADD COLUMN details TEXT; -- JSON: results by slice and by threshold
ALTER TABLE evaluation_items ADD COLUMN test TEXT; -- JSON: the routing test
ALTER TABLE evaluation_items ADD COLUMN metadata TEXT; -- JSON object: of the log row that was labelled
ALTER TABLE evaluation_items ADD COLUMN turn TEXT; -- in its session: first or later; null: there is none
ALTER TABLE evaluation_answers ADD COLUMN confidence REAL; -- as stated, whatever came of it
ALTER TABLE evaluation_answers ADD COLUMN named_agent TEXT; -- by a stage, before the threshold
ALTER TABLE evaluation_answers ADD COLUMN layer TEXT;

-- Where the confidence of an answer comes from. 'none': there was an answer, and its confidence is unknown
-- (the column `confidence` then has 0). Null: there was no answer, or the row is older than this column.
ALTER TABLE logs ADD COLUMN confidence_source TEXT CHECK (confidence_source IN ('stated', 'logprobs', 'classifier', 'label', 'none'));
-- Whether a model gives the probabilities of its tokens.
ALTER TABLE models ADD COLUMN logprobs INTEGER NOT NULL DEFAULT 0;

ALTER TABLE current_labels ADD COLUMN seq INTEGER NOT NULL DEFAULT 0; -- of the deciding label in `labels`
ALTER TABLE current_labels ADD COLUMN conflict INTEGER NOT NULL DEFAULT 0; -- 1: labelers disagree, and no label is final
CREATE INDEX current_labels_agent_id ON current_labels (agent_id, seq);
CREATE INDEX current_labels_seq ON current_labels (seq);
CREATE INDEX current_labels_conflict ON current_labels (seq) WHERE conflict = 1;

-- Imports of files, so that one can be rolled back.
CREATE TABLE imports (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL, -- the id of a key or a user
    report TEXT NOT NULL, -- JSON: what the import answered
    labels INTEGER NOT NULL, -- how many it wrote
    rolled_back_at INTEGER,
    rolled_back_by TEXT
) STRICT;
-- The rows of a file while it is read. They become labels all at once, or none of them does.
CREATE TABLE import_rows (
    import_id TEXT NOT NULL,
    place INTEGER NOT NULL, -- in the file, without duplicates
    query_hash TEXT NOT NULL,
    near_hash TEXT NOT NULL,
    query TEXT NOT NULL,
    agent_id TEXT,
    split TEXT CHECK (split IN ('train', 'validation', 'test')), -- that the file names
    origin TEXT, -- as in labels
    staged_at INTEGER NOT NULL,
    PRIMARY KEY (import_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_rows_staged_at ON import_rows (staged_at);

-- What questions with the same content words share: they are in one part of the data set and in one fold. Null
-- in older rows, until the cron has computed it.
ALTER TABLE labels ADD COLUMN similar_hash TEXT;
ALTER TABLE splits ADD COLUMN similar_hash TEXT;
CREATE INDEX splits_similar_hash ON splits (similar_hash);
-- What a classifier makes of held-out questions that are written otherwise: JSON, null where it was not measured.
ALTER TABLE classifiers ADD COLUMN robustness TEXT;

-- Which labels were learned from: JSON: how many, the newest, a hash of them.
ALTER TABLE classifiers ADD COLUMN data TEXT;
ALTER TABLE loras ADD COLUMN data TEXT;

ALTER TABLE import_rows ADD COLUMN similar_hash TEXT; -- as in labels

-- What each stage of the pipeline made of the query: a JSON array of name, outcome, reason, ms, scores (at most 5), none_probability.
ALTER TABLE logs ADD COLUMN stages TEXT;

-- Background work of every kind in one table: what runs, when, and what became of it. Trainings, evaluations,
-- runs of the routing tests and uploads of adapters had their own columns for this.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, -- that of the resource, with the prefix "job"
    kind TEXT NOT NULL,
    resource_id TEXT NOT NULL, -- the classifier, evaluation, run, adapter or erasure
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    run_after INTEGER NOT NULL DEFAULT 0, -- no slice begins before
    lease_until INTEGER NOT NULL DEFAULT 0, -- until then the job belongs to the run that acquired it
    attempts INTEGER NOT NULL DEFAULT 0, -- slices begun since the last one that advanced the job
    failures INTEGER NOT NULL DEFAULT 0, -- in a row; after some of them the job has failed
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER, -- null: not known yet
    checkpoint TEXT NOT NULL DEFAULT '{}', -- JSON: what the next slice needs of those before it
    error TEXT -- JSON: code, message and what else the kind reports
) STRICT;
CREATE UNIQUE INDEX jobs_resource_id ON jobs (resource_id);
CREATE INDEX jobs_unfinished ON jobs (updated_at) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_kind ON jobs (kind, id);

ALTER TABLE loras ADD COLUMN retired_at INTEGER;
CREATE UNIQUE INDEX loras_name ON loras (name) WHERE retired_at IS NULL;

-- A classifier that can answer is one with a checksum: the routing configuration has to know of it.
CREATE TRIGGER classifiers_update_revision AFTER UPDATE OF checksum ON classifiers WHEN new.checksum IS NOT NULL BEGIN UPDATE revision SET value = value + 1; END;

-- A job goes with its resource.
CREATE TRIGGER classifiers_delete_job AFTER DELETE ON classifiers BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;
CREATE TRIGGER evaluations_delete_job AFTER DELETE ON evaluations BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;

-- Decision models answer questions with probabilities. A CHECK cannot be changed, so the table is copied.
ALTER TABLE models RENAME TO old_models;
CREATE TABLE models (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL CHECK (type IN ('base', 'lora', 'decision', 'classifier')),
    base_model TEXT NOT NULL,
    adapter TEXT,
    status TEXT NOT NULL CHECK (status IN ('available', 'not_ready', 'retired')),
    aliases TEXT NOT NULL, -- JSON array
    context_window INTEGER,
    input_price REAL, -- USD per million tokens
    output_price REAL,
    supports_lora INTEGER NOT NULL,
    json_mode INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    provider TEXT NOT NULL DEFAULT 'workers-ai',
    logprobs INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO models (id, type, base_model, adapter, status, aliases, context_window, input_price, output_price, supports_lora, json_mode, created_at, updated_at, provider, logprobs)
SELECT
    id,
    CASE
        WHEN type = 'base' AND provider = 'workers-ai' AND base_model IN ('@cf/cloudflare/clef', '@cf/cloudflare/clef-flash', '@cf/cloudflare/clef-omni') THEN 'decision'
        ELSE type
    END,
    base_model, adapter, status, aliases, context_window, input_price, output_price, supports_lora, json_mode, created_at, updated_at, provider, logprobs
FROM old_models;
DROP TABLE old_models;
CREATE TRIGGER models_insert_revision AFTER INSERT ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_update_revision AFTER UPDATE ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_delete_revision AFTER DELETE ON models BEGIN UPDATE revision SET value = value + 1; END;
UPDATE revision SET value = value + 1;

-- Of `models`, those that are decision models: a JSON array, or null for those that are known to be. Models that
-- were listed before were listed for chats.
ALTER TABLE providers ADD COLUMN decision_models TEXT;
UPDATE providers SET decision_models = '[]';

-- Where a confidence comes from has one more value, "decision_model", and SQLite cannot change a CHECK. The column
-- is replaced by one without: older rows keep theirs, and no row is rewritten.
ALTER TABLE logs RENAME COLUMN confidence_source TO confidence_source_before;
ALTER TABLE logs ADD COLUMN confidence_source TEXT;
-- Of what the challenger was asked. Null in older rows: that of the log row.
ALTER TABLE challenger_answers ADD COLUMN prompt_version TEXT;

-- Rows of questions to a decision model: null, or the row's kind. It is read before `kind`, whose CHECK has "route"
-- and "chat" alone, and SQLite changes no CHECK without a copy of the whole table.
ALTER TABLE logs ADD COLUMN other_kind TEXT;

-- How the confidence of a model is mapped to the share of its answers that were right: one row for each model
-- whose calibration an operator has put in force. It counts while the model has this identity (a model that is
-- registered again, or whose address changes, has another one) and the prompt this version.
CREATE TABLE calibrations (
    model_id TEXT PRIMARY KEY,
    identity TEXT NOT NULL, -- a hash
    prompt_version TEXT NOT NULL,
    evaluation_id TEXT NOT NULL, -- whose answers it was made from; it may be deleted
    n INTEGER NOT NULL,
    slope REAL NOT NULL,
    intercept REAL NOT NULL,
    ece_before REAL NOT NULL,
    ece_after REAL NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE TRIGGER calibrations_insert_revision AFTER INSERT ON calibrations BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER calibrations_update_revision AFTER UPDATE ON calibrations BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER calibrations_delete_revision AFTER DELETE ON calibrations BEGIN UPDATE revision SET value = value + 1; END;
-- The evaluated models as they were at the start: a JSON object, by id, of `identity`, `calibration` (a row as above
-- or null) and its `version`. Null in older rows.
ALTER TABLE evaluations ADD COLUMN measured TEXT;
-- The model's own confidence, if a calibration was in force; null: `confidence` is the model's own.
ALTER TABLE evaluation_answers ADD COLUMN raw_confidence REAL;
-- The versions of the calibrations of the active model and the challenger; null: neither had one.
ALTER TABLE challenger_answers ADD COLUMN calibrations TEXT;

-- Rules: the first stage of the pipeline. `position` counts from 1 without gaps; the control plane keeps it so.
CREATE TABLE rules (
    id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    name TEXT,
    conditions TEXT NOT NULL, -- JSON object: `when` in the API
    effect TEXT, -- JSON object: `then` in the API; null: the mentioned agent
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX rules_position ON rules (position);
CREATE TRIGGER rules_insert_revision AFTER INSERT ON rules BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER rules_update_revision AFTER UPDATE ON rules BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER rules_delete_revision AFTER DELETE ON rules BEGIN UPDATE revision SET value = value + 1; END;

-- The turn before the message, as far as it was known: a JSON object of previous_agent, previous_user and
-- previous_assistant. It belongs to the identity of the question: query_hash and near_hash are over both.
ALTER TABLE logs ADD COLUMN context TEXT;
ALTER TABLE labels ADD COLUMN context TEXT;
ALTER TABLE current_labels ADD COLUMN context TEXT;
ALTER TABLE import_rows ADD COLUMN context TEXT;
ALTER TABLE evaluation_items ADD COLUMN context TEXT;

-- The named router that decided; null: the default one.
ALTER TABLE logs ADD COLUMN router TEXT;
-- The decision that this one replaces, after its agent or its caller said that it was wrong.
ALTER TABLE logs ADD COLUMN rerouted_from TEXT;
-- Outcomes beside those that the CHECK of `outcome` knows: it is read before `outcome`.
ALTER TABLE logs ADD COLUMN other_outcome TEXT;

-- Named routers in one installation: each has its own agents, and its own values of some settings. The router
-- "default" has no row: it is all agents with the installation's settings.
CREATE TABLE routers (
    id TEXT PRIMARY KEY,
    name TEXT,
    agents TEXT, -- JSON array of ids; null: all
    default_agent TEXT, -- the fallback agent; null: the installation's, if it is among the agents
    settings TEXT NOT NULL, -- JSON object: the router's own settings by name
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER routers_insert_revision AFTER INSERT ON routers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER routers_update_revision AFTER UPDATE ON routers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER routers_delete_revision AFTER DELETE ON routers BEGIN UPDATE revision SET value = value + 1; END;
-- The router that a rule is for; null: all.
ALTER TABLE rules ADD COLUMN router TEXT;

-- Teams of keys and users, and what each of the three may use: JSON arrays of ids, and the id of a router; null is
-- everything.
CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    agents TEXT,
    models TEXT,
    router TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER teams_insert_access AFTER INSERT ON teams BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER teams_update_access AFTER UPDATE ON teams BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER teams_delete_access AFTER DELETE ON teams BEGIN UPDATE revision SET access = access + 1; END;
ALTER TABLE keys ADD COLUMN team_id TEXT REFERENCES teams (id);
ALTER TABLE keys ADD COLUMN router TEXT;
ALTER TABLE users ADD COLUMN team_id TEXT REFERENCES teams (id);
ALTER TABLE users ADD COLUMN agents TEXT;
ALTER TABLE users ADD COLUMN models TEXT;
ALTER TABLE users ADD COLUMN router TEXT;

-- What is remembered of a conversation between its requests: one row for each session of a key or a user.
CREATE TABLE sessions (
    owner TEXT NOT NULL, -- the id of the key or the user
    key TEXT NOT NULL, -- a hash of the caller's id of the session
    id TEXT, -- the caller's id and user as in `logs`; null while texts are not stored
    user TEXT,
    agent_id TEXT, -- that answered last
    previous_user TEXT, -- the last turn; null while texts are not stored
    previous_assistant TEXT,
    query_hash TEXT, -- of previous_user, as in `logs`: an erasure finds the text by it
    state TEXT NOT NULL, -- a JSON object (domain/session.py, SessionState)
    router TEXT, -- the named router that decided last; null: the default one
    turns INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts the writes of the row, also those of earlier sessions with this id
    ended INTEGER NOT NULL, -- 1: the row stays until it expires, so that no isolate brings the session back
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT;
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- The question hash of what the user said in the turn before the message, without a context of its own: an erasure
-- finds by it the rows whose context has an erased text.
ALTER TABLE logs ADD COLUMN previous_hash TEXT;
ALTER TABLE labels ADD COLUMN previous_hash TEXT;
ALTER TABLE import_rows ADD COLUMN previous_hash TEXT;
CREATE INDEX logs_previous ON logs (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX labels_previous ON labels (previous_hash) WHERE previous_hash IS NOT NULL;

-- Replays: logged queries through a changed configuration. They hold ids of log rows and no texts, so that a text is
-- gone when its log row is.
CREATE TABLE replays (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    request TEXT NOT NULL, -- JSON: the window, sample, seed, filter, baseline, budget and changes
    basis TEXT NOT NULL, -- JSON: fingerprints of the configurations, and what the changes touch as it was
    survey TEXT NOT NULL, -- JSON: rows, looked_at, eligible, left_out, estimate, warnings
    drawn INTEGER NOT NULL,
    report TEXT, -- JSON, once it has succeeded
    applied_at INTEGER,
    applied_by TEXT
) STRICT;
CREATE TABLE replay_items (
    replay_id TEXT NOT NULL REFERENCES replays (id) ON DELETE CASCADE,
    log_id TEXT NOT NULL,
    place INTEGER NOT NULL, -- in the order in which they were drawn
    state TEXT NOT NULL DEFAULT 'open', -- open, done, failed (no model answers), or left_out
    tries INTEGER NOT NULL DEFAULT 0, -- that failed
    reason TEXT, -- why it failed or was left out
    label TEXT, -- in force when it was replayed: an agent, or "none"
    before TEXT, -- JSON: outcome, agent_id, layer, reason, confidence, right
    after TEXT, -- JSON: the same
    before_model INTEGER, -- 1: a model was needed
    after_model INTEGER,
    before_cost REAL, -- USD of the calls that decided; null: not known
    after_cost REAL,
    calls INTEGER NOT NULL DEFAULT 0, -- of models, made for the replay
    spent_usd REAL NOT NULL DEFAULT 0,
    origin TEXT, -- of the ranking afterwards: log, cache, or null
    PRIMARY KEY (replay_id, log_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_items_open ON replay_items (replay_id, tries, place) WHERE state = 'open';
CREATE INDEX replay_items_log_id ON replay_items (log_id);
CREATE TRIGGER replays_delete_job AFTER DELETE ON replays BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;

-- What a classifier learned of conversations: a JSON object; null: a training from before.
ALTER TABLE classifiers ADD COLUMN follow_ups TEXT;

-- Weak feedback on decisions: an agent or a caller said that a decision was wrong (not_mine, rerouted), or what
-- the person wrote next speaks for or against it (rephrased, human_wanted, thanks). Signals decide what is labeled
-- first; they never become labels. They go with their log row.
CREATE TABLE signals (
    id TEXT PRIMARY KEY,
    log_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    agent_id TEXT, -- that of the decision; null: nobody answered
    key_id TEXT NOT NULL, -- the caller whose request it comes from
    reason TEXT -- what the agent or the caller gave as its reason
) STRICT;
-- One of each kind for an agent of a decision.
CREATE UNIQUE INDEX signals_log ON signals (log_id, kind, coalesce(agent_id, ''));
CREATE INDEX signals_created_at ON signals (created_at, kind, agent_id);
CREATE INDEX logs_rerouted_from ON logs (rerouted_from) WHERE rerouted_from IS NOT NULL;

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

-- Embedding models turn texts into vectors. A CHECK cannot be changed, so the table is copied.
ALTER TABLE models RENAME TO old_models;
CREATE TABLE models (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL CHECK (type IN ('base', 'lora', 'decision', 'embedding', 'classifier')),
    base_model TEXT NOT NULL,
    adapter TEXT,
    status TEXT NOT NULL CHECK (status IN ('available', 'not_ready', 'retired')),
    aliases TEXT NOT NULL, -- JSON array
    context_window INTEGER,
    input_price REAL, -- USD per million tokens
    output_price REAL,
    supports_lora INTEGER NOT NULL,
    json_mode INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    provider TEXT NOT NULL DEFAULT 'workers-ai',
    logprobs INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO models (id, type, base_model, adapter, status, aliases, context_window, input_price, output_price, supports_lora, json_mode, created_at, updated_at, provider, logprobs)
SELECT id, type, base_model, adapter, status, aliases, context_window, input_price, output_price, supports_lora, json_mode, created_at, updated_at, provider, logprobs
FROM old_models;
DROP TABLE old_models;
CREATE TRIGGER models_insert_revision AFTER INSERT ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_update_revision AFTER UPDATE ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_delete_revision AFTER DELETE ON models BEGIN UPDATE revision SET value = value + 1; END;
UPDATE revision SET value = value + 1;

-- What a classifier that is not selected would have answered, by the hour: it runs beside what decides.
CREATE TABLE observed_hours (
    classifier TEXT NOT NULL,
    hour INTEGER NOT NULL, -- unix milliseconds of its start
    compared INTEGER NOT NULL, -- queries that a model decided
    answered INTEGER NOT NULL, -- of these it was sure of an agent
    agreed INTEGER NOT NULL, -- of these of the model's
    beside INTEGER NOT NULL, -- queries that the selected classifier decided
    beside_answered INTEGER NOT NULL,
    beside_agreed INTEGER NOT NULL,
    PRIMARY KEY (classifier, hour)
) STRICT, WITHOUT ROWID;
-- The audit samples of the selected classifier since it was selected, 25 a block, in their order.
CREATE TABLE audit_blocks (
    classifier TEXT NOT NULL,
    since INTEGER NOT NULL, -- unix milliseconds of the selection
    block INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    agreed INTEGER NOT NULL,
    PRIMARY KEY (classifier, since, block)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER classifiers_delete_observed AFTER DELETE ON classifiers BEGIN
    DELETE FROM observed_hours WHERE classifier = old.id;
    DELETE FROM audit_blocks WHERE classifier = old.id;
END;

-- Queries that no agent fits, in clusters. Items hold ids of log rows and hashes, and no texts, so that a text is gone
-- when its log row is.
CREATE TABLE clusterings (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    until_seq INTEGER NOT NULL, -- the newest log row when it began
    queries INTEGER, -- that were compared, near-duplicates once
    clustered INTEGER
) STRICT;
CREATE TABLE unmatched_clusters (
    id TEXT PRIMARY KEY,
    clustering_id TEXT NOT NULL REFERENCES clusterings (id) ON DELETE CASCADE,
    place INTEGER NOT NULL, -- the largest first
    name TEXT, -- words that several of its queries share; null: none, or one of them was erased
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'agent', 'labelled', 'dismissed', 'outdated')),
    agent_id TEXT, -- that it became, or was labelled with
    handled_at INTEGER,
    handled_by TEXT
) STRICT;
CREATE INDEX unmatched_clusters_clustering ON unmatched_clusters (clustering_id, place);
CREATE TABLE unmatched_items (
    cluster_id TEXT NOT NULL REFERENCES unmatched_clusters (id) ON DELETE CASCADE,
    log_id TEXT NOT NULL,
    near_hash TEXT NOT NULL,
    place INTEGER NOT NULL, -- the most typical first
    times INTEGER NOT NULL, -- that it was asked, with its near-duplicates
    PRIMARY KEY (cluster_id, log_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX unmatched_items_log_id ON unmatched_items (log_id);
CREATE INDEX unmatched_items_near_hash ON unmatched_items (near_hash);
CREATE INDEX logs_unmatched ON logs (seq) WHERE reason IN ('low_confidence', 'out_of_scope');
CREATE TRIGGER logs_delete_unmatched AFTER DELETE ON logs WHEN old.reason IN ('low_confidence', 'out_of_scope')
BEGIN DELETE FROM unmatched_items WHERE log_id = old.id; END;
CREATE TRIGGER clusterings_delete_job AFTER DELETE ON clusterings BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;

-- How many of a classifier's best agents a model is offered, and why: a JSON object; null: a training from before.
ALTER TABLE classifiers ADD COLUMN shortlist TEXT;
-- The labels that may stand as examples beside an agent in a shorter question to a model. Their texts are read from the
-- labels in force, so an erased or corrected one is gone.
CREATE TABLE classifier_examples (
    classifier_id TEXT NOT NULL REFERENCES classifiers (id) ON DELETE CASCADE,
    query_hash TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    PRIMARY KEY (classifier_id, query_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX classifier_examples_query_hash ON classifier_examples (query_hash);

-- What an embedding model made of the texts that trainings learn from: labels, decisions of models, and what agents
-- say of themselves. A vector goes with the label and the log rows of its question.
CREATE TABLE label_vectors (
    query_hash TEXT NOT NULL, -- of the question
    model TEXT NOT NULL, -- a hash of what says which model made it
    vector TEXT NOT NULL, -- signed bytes, in base64
    of_agent INTEGER NOT NULL, -- 1: an agent's text, which is no question
    used_at INTEGER NOT NULL, -- when a training last wanted it
    PRIMARY KEY (query_hash, model)
) STRICT, WITHOUT ROWID;
-- The second classifier of a classifier, which also sees the query's vector.
CREATE TABLE embedding_classifiers (
    id TEXT PRIMARY KEY, -- also the resource of the job that trains it
    classifier_id TEXT NOT NULL UNIQUE REFERENCES classifiers (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    model_id TEXT NOT NULL, -- the embedding model
    identity TEXT NOT NULL, -- a hash of what says which model that is
    width INTEGER, -- numbers of its vectors
    metrics TEXT, -- JSON: of the held-out labels
    refusal TEXT, -- why it answers nothing
    size INTEGER, -- bytes of the model
    checksum TEXT -- SHA-256 of the model
) STRICT;
CREATE TABLE embedding_parts (
    embedding_id TEXT NOT NULL REFERENCES embedding_classifiers (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('examples', 'state', 'model')),
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (embedding_id, kind, part)
) STRICT;
CREATE TRIGGER embedding_classifiers_update_revision AFTER UPDATE OF checksum ON embedding_classifiers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER embedding_classifiers_delete_revision AFTER DELETE ON embedding_classifiers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER embedding_classifiers_delete_job AFTER DELETE ON embedding_classifiers BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;

-- Log rows are added to the sums after they were written, many at once. 1: so; null: an older row, which is in the
-- sums since it was written.
ALTER TABLE logs ADD COLUMN counted_later INTEGER;
-- The last log row that is in the sums.
CREATE TABLE summed_logs (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO summed_logs (id, seq) SELECT 1, coalesce(max(seq), 0) FROM logs;

-- Answers that D1 refused to log.
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY, -- of the log row, or message_… of a message that cannot be read
    failed_at INTEGER NOT NULL, -- the last time
    error TEXT NOT NULL,
    entry TEXT NOT NULL -- what was to be written, as JSON
) STRICT;

-- Trigrams find words and parts of words, so a text without a letter beyond ASCII needs no other index. Words with
-- diacritics are in logs_fts too, which finds them without. Older rows are in both: `words_until` is the last of them.
ALTER TABLE logs_trigrams_start ADD COLUMN words_until INTEGER NOT NULL DEFAULT 0;
UPDATE logs_trigrams_start SET words_until = (SELECT coalesce(max(seq), 0) FROM logs);
DROP TRIGGER logs_insert_fts;
DROP TRIGGER logs_delete_fts;
CREATE TRIGGER logs_insert_fts AFTER INSERT ON logs WHEN new.query GLOB '*[À-῿]*' BEGIN INSERT INTO logs_fts (rowid, query) VALUES (new.seq, new.query); END;
CREATE TRIGGER logs_delete_fts AFTER DELETE ON logs WHEN old.query GLOB '*[À-῿]*' OR old.seq <= (SELECT words_until FROM logs_trigrams_start) BEGIN INSERT INTO logs_fts (logs_fts, rowid, query) VALUES ('delete', old.seq, old.query); END;
-- The oldest schema version whose Worker may still change this database, for a Worker that was rolled back: it runs on
-- migrations that it does not know. A migration after which an older Worker must not write sets it to its own number.
CREATE TABLE schema_compatibility (
    id INTEGER PRIMARY KEY CHECK (id = 1), -- one row
    writable_from INTEGER NOT NULL
) STRICT;
INSERT INTO schema_compatibility (id, writable_from) VALUES (1, 47);
-- Webhooks: who is told of events. `secret` signs the deliveries; the one before it, too, until `previous_until`.
-- Log rows up to `seen_seq` were counted for the event decision.low_confidence, the last time at `seen_at`.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    events TEXT NOT NULL, -- JSON array
    secret TEXT NOT NULL,
    previous_secret TEXT,
    previous_until INTEGER,
    enabled INTEGER NOT NULL,
    seen_seq INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
-- The outbox: one row for each event and webhook. `once` names what a webhook is told once.
CREATE TABLE webhook_deliveries (
    id TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    once TEXT,
    data TEXT NOT NULL, -- JSON object of ids and figures
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    last_status INTEGER, -- HTTP status of the last answer
    last_error TEXT,
    delivered_at INTEGER
) STRICT;
CREATE UNIQUE INDEX webhook_deliveries_once ON webhook_deliveries (webhook_id, once) WHERE once IS NOT NULL;
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_created_at ON webhook_deliveries (created_at);
-- In the transaction that ends the job: no end is lost, and none is told twice.
CREATE TRIGGER jobs_ended AFTER UPDATE OF state ON jobs WHEN new.state IN ('succeeded', 'failed', 'cancelled') AND old.state NOT IN ('succeeded', 'failed', 'cancelled') BEGIN INSERT INTO webhook_deliveries (id, webhook_id, event, data, state, created_at, next_attempt_at) SELECT printf('whd_%012x%s', new.updated_at, lower(hex(randomblob(10)))), id, 'job.ended', json_object('job_id', new.id, 'kind', new.kind, 'resource_id', new.resource_id, 'state', new.state, 'error_code', iif(json_valid(new.error), new.error ->> '$.code', NULL)), 'waiting', new.updated_at, new.updated_at FROM webhooks WHERE enabled = 1 AND EXISTS (SELECT 1 FROM json_each(events) WHERE value = 'job.ended'); END;

-- How EdgeNeuro signs in at an agent's endpoint: JSON with the names of secrets (domain/agent_auth.py); null: it does
-- not.
ALTER TABLE agents ADD COLUMN auth TEXT;
-- 1: one of the demonstration agents of a new local installation, which nobody has changed.
ALTER TABLE agents ADD COLUMN demonstration INTEGER NOT NULL DEFAULT 0;
UPDATE agents SET demonstration = 1
WHERE (id = 'it_support' AND description = 'Computers, accounts and access: passwords, VPN, Wi-Fi, e-mail, software, hardware, security alerts.')
  OR (id = 'hr' AND description = 'Employment matters: holidays and leave, sick days, benefits, recruiting, onboarding, reviews.')
  OR (id = 'finance' AND description = 'Money: salary payments, expenses and reimbursement, invoices, budgets, purchase orders, taxes.')
  OR (id = 'legal' AND description = 'Contracts and compliance: agreements, NDAs, privacy and data protection, licences, trademarks, disputes.')
  OR (id = 'facilities' AND description = 'Buildings and workplaces: desks, meeting rooms, keys and badges, heating, cleaning, parking, repairs.')
  OR (id = 'general' AND description = 'Anything that no other agent covers: greetings, small talk, general knowledge, unclear requests.');
-- Log rows that the bucket LOG_SINK has: those up to `after_seq`. A slice that is being written ends at `to_seq`; it was
-- begun at `begun_at`, which is in its name, so that it keeps its name if it is written again.
CREATE TABLE log_slices (
    id INTEGER PRIMARY KEY CHECK (id = 1), -- one row
    after_seq INTEGER NOT NULL,
    to_seq INTEGER, -- null: none is being written
    begun_at INTEGER NOT NULL
) STRICT;
INSERT INTO log_slices (id, after_seq, to_seq, begun_at) VALUES (1, 0, NULL, 0);
-- Requests that were refused before they were routed, by five minutes; of older days by the hour. No text and nothing
-- of a request is in it.
CREATE TABLE refusals (
    slot INTEGER NOT NULL, -- unix milliseconds of its start
    key_id TEXT NOT NULL, -- of the key or the user; empty: the credential is none that is known
    reason TEXT NOT NULL, -- domain/refusal.py
    requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (slot, key_id, reason)
) STRICT, WITHOUT ROWID;

-- Sums per five minutes of the last days, for charts of short ranges.
CREATE TABLE usage_slots (
    slot INTEGER NOT NULL, -- unix milliseconds of its start
    layer TEXT NOT NULL,
    answers INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    fallback_answers INTEGER NOT NULL,
    out_of_scope_answers INTEGER NOT NULL,
    classifier_asked INTEGER NOT NULL,
    classifier_answers INTEGER NOT NULL,
    cache_hits INTEGER NOT NULL,
    without_model INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    unpriced_answers INTEGER NOT NULL,
    PRIMARY KEY (slot, layer)
) STRICT, WITHOUT ROWID;
CREATE TABLE latency_slots (
    slot INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    PRIMARY KEY (slot, bucket)
) STRICT, WITHOUT ROWID;

-- The history of selections, without a look at the other entries.
CREATE INDEX audit_selections ON audit (id) WHERE action IN ('select', 'disable', 'update') AND resource IN ('model', 'classifier', 'config');

-- 1: the local emulator answered for the model, so `cost_usd` is at a list price that nobody pays.
ALTER TABLE evaluation_answers ADD COLUMN emulated INTEGER NOT NULL DEFAULT 0;

-- What a training would have come to with other targets (domain/classifier_curve.py); null: it was trained before.
ALTER TABLE classifiers ADD COLUMN curve TEXT;
