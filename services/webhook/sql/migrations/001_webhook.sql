-- Every URL a webhook ever went to.
CREATE TABLE webhook.endpoints (
    id          text PRIMARY KEY,
    url         text NOT NULL,
    disabled_at timestamptz,
    reason      text NOT NULL DEFAULT ''
);

COMMENT ON COLUMN webhook.endpoints.id IS 'A digest of the URL, which may hold a credential: what logs and commands name it by.';
COMMENT ON COLUMN webhook.endpoints.disabled_at IS 'It answered 410 Gone. Nothing is sent to it until an operator enables it.';

-- One row per webhook, from the moment the throttle allowed it.
CREATE TABLE webhook.deliveries (
    id             text PRIMARY KEY,
    endpoint       text NOT NULL REFERENCES webhook.endpoints,
    person         text NOT NULL,
    rule           text NOT NULL,
    trigger        bytea NOT NULL,
    status         text NOT NULL CHECK (status IN ('pending', 'sent', 'failed', 'expired', 'suppressed')),
    created_at     timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    last_chance_at timestamptz NOT NULL,
    claim          text NOT NULL DEFAULT '',
    begun_at       timestamptz,
    body           bytea NOT NULL DEFAULT '',
    attempts       int NOT NULL DEFAULT 0,
    log            jsonb NOT NULL DEFAULT '[]',
    reason         text NOT NULL DEFAULT '',
    replayed       boolean NOT NULL DEFAULT false,
    ended_at       timestamptz,
    fact           bytea NOT NULL DEFAULT '',
    untold         boolean NOT NULL DEFAULT false
);

COMMENT ON COLUMN webhook.deliveries.id IS 'The trigger''s, and the webhook-id that the endpoint sees.';
COMMENT ON COLUMN webhook.deliveries.trigger IS 'As the throttle sent it, as MessagePack.';
COMMENT ON COLUMN webhook.deliveries.due_at IS 'Nobody touches it before. Whoever claims it moves this on: a claim lapses by itself.';
COMMENT ON COLUMN webhook.deliveries.last_chance_at IS 'It ends if it was not taken by then; moved on by the first attempt.';
COMMENT ON COLUMN webhook.deliveries.claim IS 'Names the attempt in whose hands it is; empty: nobody''s.';
COMMENT ON COLUMN webhook.deliveries.body IS 'The same bytes at every attempt, made for the first.';
COMMENT ON COLUMN webhook.deliveries.attempts IS 'Those that were answered, or not, since it was begun or replayed.';
COMMENT ON COLUMN webhook.deliveries.log IS 'The latest attempts, oldest first.';
COMMENT ON COLUMN webhook.deliveries.fact IS 'The event that tells the ending, as MessagePack; a replay tells none.';
COMMENT ON COLUMN webhook.deliveries.untold IS 'The event is not known to be published yet.';

CREATE INDEX deliveries_due ON webhook.deliveries (endpoint, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_last_chance ON webhook.deliveries (last_chance_at) WHERE status = 'pending';
CREATE INDEX deliveries_untold ON webhook.deliveries (ended_at) WHERE untold;
CREATE INDEX deliveries_ended ON webhook.deliveries (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX deliveries_created ON webhook.deliveries (created_at);
