-- Addresses are known here by their hashes only. The salt is made once and kept: an address that must get no mail stays
-- known, whichever other secrets change.
CREATE TABLE mailer.address_salt (salt bytea NOT NULL);
INSERT INTO mailer.address_salt VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

CREATE TABLE mailer.suppressed_addresses (
    address_hash bytea PRIMARY KEY,
    reason       text NOT NULL,
    since        timestamptz NOT NULL
);

ALTER TABLE mailer.deliveries ADD COLUMN address_hash bytea, ADD COLUMN report_key bytea;
COMMENT ON COLUMN mailer.deliveries.address_hash IS 'To whom it went; null for a trial.';
COMMENT ON COLUMN mailer.deliveries.report_key IS 'What the Message-ID, or the token in the envelope''s sender, comes down to.';
CREATE INDEX deliveries_by_report_key ON mailer.deliveries (report_key) WHERE report_key IS NOT NULL;

-- What became of mails later. The same about the same mail is one report, whoever says it how often.
CREATE TABLE mailer.reports (
    send_id      text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('hard', 'soft', 'blocked', 'complaint')),
    address_hash bytea,
    source       text NOT NULL,
    reason       text NOT NULL,
    reported_at  timestamptz NOT NULL,
    PRIMARY KEY (send_id, kind)
);
CREATE INDEX reports_soft ON mailer.reports (address_hash, reported_at) WHERE kind = 'soft';

-- Keep a report, and with it what it means for the address: a hard bounce and a complaint suppress it at once, soft bounces
-- on three days within thirty. A report that was kept before changes nothing, so what an operator lifted stays lifted.
CREATE FUNCTION mailer.report(send text, told text, hash bytea, told_by text, why text, at timestamptz)
RETURNS mailer.reports LANGUAGE plpgsql AS $$
DECLARE
    kept mailer.reports;
    against text;
BEGIN
    INSERT INTO mailer.reports (send_id, kind, address_hash, source, reason, reported_at)
    VALUES (send, told, hash, told_by, why, at)
    ON CONFLICT (send_id, kind) DO NOTHING RETURNING * INTO kept;
    IF NOT FOUND THEN
        SELECT * INTO kept FROM mailer.reports WHERE send_id = send AND kind = told;
        RETURN kept;
    END IF;
    against := CASE told WHEN 'hard' THEN 'hard bounce' WHEN 'complaint' THEN 'complaint' END;
    IF told = 'soft' AND 3 <= (
        SELECT count(DISTINCT reported_at::date) FROM mailer.reports
        WHERE address_hash = hash AND kind = 'soft' AND reported_at > at - interval '30 days'
    ) THEN
        against := 'soft bounces';
    END IF;
    IF against IS NOT NULL AND hash IS NOT NULL THEN
        INSERT INTO mailer.suppressed_addresses AS mine (address_hash, reason, since) VALUES (hash, against, at)
        ON CONFLICT (address_hash) DO UPDATE SET reason = excluded.reason
        WHERE excluded.reason = 'complaint';
    END IF;
    RETURN kept;
END $$;
