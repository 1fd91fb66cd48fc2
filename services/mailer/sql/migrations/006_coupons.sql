CREATE TABLE mailer.coupons (
    id       text PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('fixed', 'pool', 'generated')),
    document text NOT NULL,
    put_by   text NOT NULL,
    put_at   timestamptz NOT NULL
);

-- A code of a pool, free while it has no send; one that was generated for a send; or a fixed coupon's, which is no send's.
-- matched is the code as it is compared.
CREATE TABLE mailer.coupon_codes (
    matched     text PRIMARY KEY,
    code        text NOT NULL,
    coupon      text NOT NULL REFERENCES mailer.coupons (id),
    number      bigint GENERATED ALWAYS AS IDENTITY,
    generated   boolean NOT NULL,
    send_id     text UNIQUE,
    person      text,
    reserved_at timestamptz,
    expires_at  timestamptz
);

CREATE INDEX coupon_codes_free ON mailer.coupon_codes (coupon, number) WHERE send_id IS NULL;
CREATE INDEX coupon_codes_taken ON mailer.coupon_codes (coupon, number) WHERE send_id IS NOT NULL;

-- A purchase with a code; the event's id makes a repeat harmless.
CREATE TABLE mailer.coupon_redemptions (
    event_id    text NOT NULL,
    matched     text NOT NULL,
    coupon      text NOT NULL REFERENCES mailer.coupons (id),
    person      text NOT NULL,
    redeemed_at timestamptz NOT NULL,
    total       numeric NOT NULL,
    currency    text NOT NULL,
    PRIMARY KEY (event_id, matched)
);

CREATE INDEX coupon_redemptions_of_code ON mailer.coupon_redemptions (matched);
CREATE INDEX coupon_redemptions_of_coupon ON mailer.coupon_redemptions (coupon);

-- The send came to nothing: the pool gets its code back, and one that was made for the send is no code any more.
CREATE FUNCTION mailer.release_code(send text) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    DELETE FROM mailer.coupon_codes WHERE send_id = send AND generated;
    UPDATE mailer.coupon_codes SET send_id = NULL, person = NULL, reserved_at = NULL WHERE send_id = send;
END;
