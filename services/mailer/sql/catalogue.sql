-- name: claim  Take, or keep, the learning for $2 more; answers how far it is, or no row while somebody else has it.
UPDATE mailer.learned SET owner = $1, until = now() + $2::interval WHERE owner = $1 OR until < now() RETURNING sequence;

-- name: release  Leave the learning to whoever wants it.
UPDATE mailer.learned SET until = '-infinity' WHERE owner = $1;

-- name: place  The stream does not reach as far as was learned: it was made anew. Go on where it ends.
UPDATE mailer.learned SET sequence = $2 WHERE owner = $1 AND sequence > $2;

-- name: rows  What is known of products, to weigh what is told of them.
SELECT product_id, name, price, currency, image_url, url, category, availability, stock, source, updated_at, rival, version
FROM mailer.products WHERE product_id = ANY($1::text[]);

-- name: sessions  What people came by lately.
SELECT person, items, at FROM mailer.sessions WHERE person = ANY($1::text[]);

-- name: browsers_products  How many products are known by browsers alone.
SELECT count(*) FROM mailer.products WHERE source = 'browser';

-- name: learn  What a batch taught, and how far the stream is learned with it: all of it once, or, if another process has
-- taken over or this batch was committed before, nothing. A row that a feed wrote meanwhile stands. The commit need not be on
-- the disk before it is answered: if it is lost, how far the stream is learned is lost with it.
WITH mine AS (
    UPDATE mailer.learned SET sequence = $3, until = greatest(until, now() + $4::interval)
    WHERE owner = $1 AND sequence = $2
    RETURNING sequence
), told AS (
    INSERT INTO mailer.products AS known
        (product_id, name, price, currency, image_url, url, category, availability, stock, source, updated_at, rival, version)
    SELECT * FROM unnest($5::text[], $6::text[], $7::numeric[], $8::text[], $9::text[], $10::text[], $11::text[],
        $12::text[], $13::bigint[], $14::text[], $15::timestamptz[], $16::bytea[], $17::int[])
    WHERE EXISTS (SELECT FROM mine)
    ON CONFLICT (product_id) DO UPDATE
    SET name = EXCLUDED.name, price = EXCLUDED.price, currency = EXCLUDED.currency, image_url = EXCLUDED.image_url,
        url = EXCLUDED.url, category = EXCLUDED.category, availability = EXCLUDED.availability, stock = EXCLUDED.stock,
        source = EXCLUDED.source, updated_at = EXCLUDED.updated_at, rival = EXCLUDED.rival, version = EXCLUDED.version,
        written_at = now()
    WHERE known.version = EXCLUDED.version - 1
), weighed AS (
    INSERT INTO mailer.product_weights AS known (product_id, weight)
    SELECT * FROM unnest($18::text[], $19::float8[]) WHERE EXISTS (SELECT FROM mine)
    ON CONFLICT (product_id) DO UPDATE SET weight = known.weight + EXCLUDED.weight, counted_at = now()
), paired AS (
    INSERT INTO mailer.product_pairs AS known (product_id, other, weight)
    SELECT * FROM unnest($20::text[], $21::text[], $22::float8[]) WHERE EXISTS (SELECT FROM mine)
    ON CONFLICT (product_id, other) DO UPDATE SET weight = known.weight + EXCLUDED.weight
), visited AS (
    INSERT INTO mailer.sessions AS known (person, items, at)
    SELECT * FROM unnest($23::text[], $24::bytea[], $25::timestamptz[]) WHERE EXISTS (SELECT FROM mine)
    ON CONFLICT (person) DO UPDATE SET items = EXCLUDED.items, at = EXCLUDED.at, seen_at = now()
)
SELECT EXISTS (SELECT FROM mine), set_config('synchronous_commit', 'off', true);

-- name: stale  Products that were counted since it was worked out what goes with them, longer than $2 ago.
SELECT product_id FROM mailer.product_weights LEFT JOIN mailer.product_neighbours USING (product_id)
WHERE found_at IS NULL OR (found_at < counted_at AND found_at <= now() - $2::interval) LIMIT $1;

-- name: prune  Of the pairs of each product keep the $2 that were seen most.
WITH ranked AS (
    SELECT product_id, other, row_number() OVER (PARTITION BY product_id ORDER BY weight DESC, other) AS place
    FROM mailer.product_pairs WHERE product_id = ANY($1::text[])
)
DELETE FROM mailer.product_pairs AS pair USING ranked
WHERE pair.product_id = ranked.product_id AND pair.other = ranked.other AND ranked.place > $2;

-- name: find_neighbours  Work out what goes best with each product: `similarity` of recommend.py. $3: the shrinkage.
WITH near AS (
    SELECT pair.product_id, pair.other,
        pair.weight / sqrt(one.weight * other.weight) * pair.weight / (pair.weight + $3::float8) AS score
    FROM mailer.product_pairs AS pair
    JOIN mailer.product_weights AS one ON one.product_id = pair.product_id
    JOIN mailer.product_weights AS other ON other.product_id = pair.other
    WHERE pair.product_id = ANY($1::text[])
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY product_id ORDER BY score DESC, other) AS place FROM near
)
INSERT INTO mailer.product_neighbours AS known (product_id, others, scores)
SELECT id, coalesce(array_agg(other ORDER BY place) FILTER (WHERE place <= $2), '{}'),
    coalesce(array_agg(score ORDER BY place) FILTER (WHERE place <= $2), '{}')
FROM unnest($1::text[]) AS id LEFT JOIN ranked ON ranked.product_id = id
GROUP BY id ORDER BY id
ON CONFLICT (product_id) DO UPDATE SET others = EXCLUDED.others, scores = EXCLUDED.scores, found_at = now();

-- name: forget_sessions  They are over; what comes now begins new ones.
DELETE FROM mailer.sessions WHERE seen_at < now() - $1::interval;

-- name: forget_products  Browsers told of them for a while, and never the same.
DELETE FROM mailer.products WHERE source = 'browser' AND name IS NULL AND written_at < now() - $1::interval;

-- name: put  Products as a feed names them: the whole truth about each.
INSERT INTO mailer.products AS known
    (product_id, name, price, currency, image_url, url, category, availability, stock, source, updated_at, feed, version)
SELECT item.*, 'feed', $10, $11, 1
FROM unnest($1::text[], $2::text[], $3::numeric[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
    AS item (product_id)
ORDER BY product_id
ON CONFLICT (product_id) DO UPDATE
SET name = EXCLUDED.name, price = EXCLUDED.price, currency = EXCLUDED.currency, image_url = EXCLUDED.image_url,
    url = EXCLUDED.url, category = EXCLUDED.category, availability = EXCLUDED.availability, stock = EXCLUDED.stock,
    source = 'feed', updated_at = EXCLUDED.updated_at, feed = EXCLUDED.feed, gone = false, rival = NULL,
    version = known.version + 1, written_at = now();

-- name: retire  What a whole feed did not name is gone, unless it named nothing; answers how many that makes.
WITH missing AS (
    SELECT product_id FROM mailer.products
    WHERE feed <> $1 AND NOT gone AND EXISTS (SELECT FROM mailer.products WHERE feed = $1)
    ORDER BY product_id FOR UPDATE
)
UPDATE mailer.products AS known SET gone = true, version = known.version + 1, written_at = now()
FROM missing WHERE known.product_id = missing.product_id
RETURNING 1;

-- name: list  Products after one, in the order of their ids.
SELECT product_id, name, price, currency, image_url, url, category, availability, stock, gone, sold_out, source, updated_at
FROM mailer.products
WHERE product_id > $1 AND ($2 = '' OR category = $2)
ORDER BY product_id LIMIT $3;

-- name: get  Products by their ids.
SELECT product_id, name, price, currency, image_url, url, category, availability, stock, gone, sold_out, source, updated_at
FROM mailer.products WHERE product_id = ANY($1::text[]);

-- name: weight  How much a product was seen.
SELECT coalesce((SELECT weight FROM mailer.product_weights WHERE product_id = $1), 0);

-- name: neighbours  What goes with some products.
SELECT product_id, others, scores FROM mailer.product_neighbours WHERE product_id = ANY($1::text[]);

-- name: popular  The $1 that are seen most of each category, and, under no category, of all; best first.
WITH shown AS (
    SELECT category, product_id, weight
    FROM mailer.products JOIN mailer.product_weights USING (product_id)
    WHERE name IS NOT NULL AND url IS NOT NULL AND NOT sold_out
), ranked AS (
    SELECT category, product_id, weight, row_number() OVER (PARTITION BY category ORDER BY weight DESC, product_id) AS place
    FROM shown WHERE category IS NOT NULL AND category <> ''
    UNION ALL
    SELECT '', product_id, weight, row_number() OVER (ORDER BY weight DESC, product_id) FROM shown
)
SELECT category, array_agg(product_id ORDER BY place) AS products FROM ranked WHERE place <= $1 GROUP BY category;
