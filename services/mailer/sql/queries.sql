-- name: find  What has become of a send so far.
SELECT status, reason, attempts, claim, claimed_at, unsure, facts FROM mailer.deliveries WHERE send_id = $1;

-- name: claim  Take a send that nobody holds, unless nothing may be sent to the address ($8): why not, and whether it is ours now, also
-- when asked again by the same attempt.
WITH against AS (
    SELECT reason FROM mailer.suppressed_addresses WHERE address_hash = $8
), mine AS (
    INSERT INTO mailer.deliveries AS mine
        (send_id, person, rule, template, status, claim, claimed_at, changed_at, message_id, address_hash, report_key)
    SELECT $1, $2, $3, $4, 'claimed', $5, $6, $6, $7, $8, $9 WHERE NOT EXISTS (SELECT FROM against)
    ON CONFLICT (send_id) DO UPDATE
    SET status = 'claimed', claim = $5, claimed_at = $6, changed_at = $6, message_id = $7, address_hash = $8, report_key = $9
    WHERE mine.status = 'deferred' OR (mine.status = 'claimed' AND mine.claim = $5)
    RETURNING send_id
)
SELECT (SELECT reason FROM against) AS against, EXISTS (SELECT FROM mine) AS ours;

-- name: defer  The mail is known not to be sent; answers how often that was so, and no row if another attempt holds it.
INSERT INTO mailer.deliveries AS mine (send_id, person, rule, template, status, attempts, claim, changed_at, reason)
VALUES ($1, $2, $3, $4, 'deferred', 1, $5, $6, $7)
ON CONFLICT (send_id) DO UPDATE
SET status = 'deferred', attempts = mine.attempts + 1, changed_at = $6, reason = $7
WHERE mine.status = 'deferred' OR (mine.status = 'claimed' AND mine.claim = $5)
RETURNING attempts;

-- name: repeat  The mail may have been sent or not, and may go once more; answers a row if that is so for the first time.
UPDATE mailer.deliveries
SET status = 'deferred', unsure = unsure + 1, changed_at = $3, reason = $4
WHERE send_id = $1 AND claim = $2 AND status = 'claimed' AND unsure = 0
RETURNING send_id;

-- name: end  Store an ending with its facts, and the bounce that it is, if it is one: its kind ($11), address ($12) and reason ($13).
-- Answers a row if it stands: the send had not ended, or only as uncertain. If nothing was sent, its coupon
-- code is free again.
WITH ended AS (
    INSERT INTO mailer.deliveries AS mine
        (send_id, person, rule, template, status, claim, changed_at, reason, accepted_at, facts)
    VALUES ($1, $2, $3, $4, $8, $5, $6, $7, $9, $10)
    ON CONFLICT (send_id) DO UPDATE
    SET status = $8, changed_at = $6, reason = $7, accepted_at = $9, facts = $10
    WHERE mine.status = 'deferred' OR (mine.status IN ('claimed', 'uncertain') AND mine.claim = $5)
    RETURNING send_id
)
SELECT send_id, CASE WHEN $8 IN ('failed', 'expired', 'suppressed') THEN mailer.release_code(send_id) END AS released,
       CASE WHEN $11::text IS NOT NULL THEN mailer.report(send_id, $11, $12, 'smtp', $13, $6) END AS report FROM ended;
