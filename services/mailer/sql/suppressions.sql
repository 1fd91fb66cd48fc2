-- name: salt  What addresses are hashed with.
SELECT salt FROM mailer.address_salt;

-- name: against  Why nothing may be sent to an address.
SELECT reason FROM mailer.suppressed_addresses WHERE address_hash = $1;

-- name: reported  The send that a report is about: by its id, or by what its Message-ID comes down to.
SELECT send_id, person, rule, address_hash, facts FROM mailer.deliveries WHERE send_id = $1 OR report_key = $2 LIMIT 1;

-- name: report  Keep a report, and what it means for the address; answers the first of its kind about this send.
SELECT reason, source, reported_at FROM mailer.report($1, $2, $3, $4, $5, $6);

-- name: suppress  Put an address on the list; the latest reason stands.
INSERT INTO mailer.suppressed_addresses (address_hash, reason, since) VALUES ($1, $2, $3)
ON CONFLICT (address_hash) DO UPDATE SET reason = excluded.reason, since = excluded.since;

-- name: lift  Take an address off the list, and count its soft bounces from here on.
WITH lifted AS (
    DELETE FROM mailer.suppressed_addresses WHERE address_hash = $1
)
DELETE FROM mailer.reports WHERE address_hash = $1 AND kind = 'soft';
