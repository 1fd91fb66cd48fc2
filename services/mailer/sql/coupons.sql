-- name: put  A coupon's document; answers no row if the id belongs to a coupon of another kind ($3) already.
INSERT INTO mailer.coupons AS there (id, document, kind, put_by, put_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET document = excluded.document, put_by = excluded.put_by, put_at = excluded.put_at
WHERE there.kind = excluded.kind
RETURNING id

-- name: put_fixed  The one code of a fixed coupon $1, as it is written and as it is compared; answers no row if it is another coupon's.
INSERT INTO mailer.coupon_codes AS there (matched, code, coupon, generated) VALUES ($3, $2, $1, false)
ON CONFLICT (matched) DO UPDATE SET code = excluded.code WHERE there.coupon = excluded.coupon
RETURNING matched

-- name: document  A coupon's document.
SELECT document FROM mailer.coupons WHERE id = $1

-- name: add  Put codes into a pool; answers how many were new. $2 as they are written, $3 as they are compared.
WITH added AS (
    INSERT INTO mailer.coupon_codes (matched, code, coupon, generated)
    SELECT matched, code, $1, false FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (code, matched, place) ORDER BY place
    ON CONFLICT (matched) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM added

-- name: reserved  The code that a send has.
SELECT code, expires_at FROM mailer.coupon_codes WHERE send_id = $1

-- name: take  The next free code of pool $1 for send $2 to person $3; no row if there is none. Whoever takes at the same moment skips it.
UPDATE mailer.coupon_codes SET send_id = $2, person = $3, reserved_at = $4
WHERE matched = (
    SELECT matched FROM mailer.coupon_codes WHERE coupon = $1 AND send_id IS NULL
    ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING code

-- name: make  A new code $5 (compared as $6), good until $7, of coupon $1 for send $2 to person $3; no row if there is such a code.
INSERT INTO mailer.coupon_codes (coupon, send_id, person, reserved_at, code, matched, expires_at, generated)
VALUES ($1, $2, $3, $4, $5, $6, $7, true)
ON CONFLICT (matched) DO NOTHING
RETURNING code

-- name: list  Every coupon, with what became of its codes.
SELECT coupons.id, coupons.document,
       (SELECT count(*) FROM mailer.coupon_codes AS c WHERE c.coupon = coupons.id AND c.send_id IS NULL) AS free,
       (SELECT count(*) FROM mailer.coupon_codes AS c WHERE c.coupon = coupons.id AND c.send_id IS NOT NULL) AS handed_out,
       (SELECT count(*) FROM mailer.coupon_redemptions AS r WHERE r.coupon = coupons.id) AS redeemed,
       (SELECT coalesce(jsonb_object_agg(currency, total), '{}')::text FROM (
           SELECT currency, sum(total)::float8 AS total FROM mailer.coupon_redemptions AS r WHERE r.coupon = coupons.id GROUP BY currency
       ) AS summed) AS revenue
FROM mailer.coupons ORDER BY coupons.id

-- name: taken  What was handed out of coupon $1 after number $2, at most $3.
SELECT number, code, person, send_id, reserved_at, expires_at,
       (SELECT min(redeemed_at) FROM mailer.coupon_redemptions AS r WHERE r.matched = c.matched) AS redeemed_at
FROM mailer.coupon_codes AS c WHERE coupon = $1 AND send_id IS NOT NULL AND number > $2 ORDER BY number LIMIT $3

-- name: check  A code as it is compared.
SELECT coupon, number, code, person, send_id, reserved_at, expires_at,
       (SELECT min(redeemed_at) FROM mailer.coupon_redemptions AS r WHERE r.matched = c.matched) AS redeemed_at
FROM mailer.coupon_codes AS c WHERE matched = $1

-- name: redeem  Purchases with codes: those that are none of ours are passed over, and what is known already changes nothing.
INSERT INTO mailer.coupon_redemptions (event_id, matched, coupon, person, redeemed_at, total, currency)
SELECT used.event_id, matched, c.coupon, used.person, used.at, used.total, used.currency
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::text[])
    AS used (event_id, matched, person, at, total, currency)
JOIN mailer.coupon_codes AS c USING (matched)
ON CONFLICT (event_id, matched) DO NOTHING
RETURNING coupon

-- name: pools  How many codes are left in each pool, counted up to $1.
SELECT id, document, (
    SELECT count(*) FROM (SELECT 1 FROM mailer.coupon_codes WHERE coupon = id AND send_id IS NULL LIMIT $1) AS counted
) AS free
FROM mailer.coupons WHERE kind = 'pool' ORDER BY id
