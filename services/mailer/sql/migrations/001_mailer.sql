-- One row per send that was tried or has ended. A claim is taken before the content goes to the SMTP server: a claimed row
-- whose attempt is dead may have been sent or not, and is never sent again.
CREATE TABLE mailer.deliveries (
    send_id     text PRIMARY KEY,
    person      text NOT NULL,
    rule        text NOT NULL,
    template    text NOT NULL,
    status      text NOT NULL
        CHECK (status IN ('claimed', 'deferred', 'sent', 'failed', 'expired', 'suppressed', 'uncertain')),
    reason      text NOT NULL DEFAULT '',
    attempts    int NOT NULL DEFAULT 0,
    claim       text NOT NULL DEFAULT '',
    claimed_at  timestamptz,
    message_id  text NOT NULL DEFAULT '',
    accepted_at timestamptz,
    changed_at  timestamptz NOT NULL,
    facts       bytea NOT NULL DEFAULT ''
);

COMMENT ON COLUMN mailer.deliveries.attempts IS 'How often the SMTP server put it off.';
COMMENT ON COLUMN mailer.deliveries.claim IS 'Names the attempt that claimed it last.';
COMMENT ON COLUMN mailer.deliveries.facts IS 'The events that tell the ending, as MessagePack: published again on a repeat.';

-- What operators look for: the few that did not end well.
CREATE INDEX deliveries_by_status ON mailer.deliveries (status, changed_at) WHERE status NOT IN ('sent', 'suppressed');
