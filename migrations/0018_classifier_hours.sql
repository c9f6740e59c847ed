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
INSERT INTO classifier_hours
SELECT created_at - created_at % 3600000, classifier ->> 'id', iif(layer = 'fallback', '', coalesce(agent_id, '')),
    count(*), sum(layer = 'classifier'), sum(reason IS 'out_of_scope')
FROM logs WHERE classifier IS NOT NULL AND created_at >= unixepoch() * 1000 - 1296000000 GROUP BY 1, 2, 3;
