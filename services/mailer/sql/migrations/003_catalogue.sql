-- What the shop sells, as its feeds and events tell. A row whose name is unknown is not shown to anybody.
CREATE TABLE mailer.products (
    product_id   text PRIMARY KEY,
    name         text,
    price        numeric,
    currency     text,
    image_url    text,
    url          text,
    category     text,
    availability text CHECK (availability IN ('in_stock', 'out_of_stock', 'preorder')),
    stock        bigint,
    gone         boolean NOT NULL DEFAULT false,
    source       text NOT NULL CHECK (source IN ('feed', 'event', 'browser')),
    updated_at   timestamptz NOT NULL,
    feed         text NOT NULL DEFAULT '',
    rival        bytea,
    version      int NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT now(),
    sold_out     boolean NOT NULL GENERATED ALWAYS AS (
        gone OR coalesce(availability = 'out_of_stock', false)
        OR (coalesce(availability <> 'preorder', true) AND coalesce(stock <= 0, false))
    ) STORED
);

COMMENT ON COLUMN mailer.products.gone IS 'A whole feed did not name it any more.';
COMMENT ON COLUMN mailer.products.source IS 'Whose word the facts are.';
COMMENT ON COLUMN mailer.products.updated_at IS 'As of when the facts are.';
COMMENT ON COLUMN mailer.products.feed IS 'The import that named it last.';
COMMENT ON COLUMN mailer.products.rival IS 'What browsers tell and what does not stand yet, as MessagePack.';

-- Sessions in which a product, and two products together, were seen. Weights grow with the instant of the session and are
-- never lowered: see services/mailer/catalogue/recommend.py. Half-empty pages, so that counting rewrites a row in its page.
CREATE TABLE mailer.product_weights (
    product_id text PRIMARY KEY,
    weight     double precision NOT NULL
) WITH (fillfactor = 60);

CREATE TABLE mailer.product_pairs (
    product_id text,
    other      text,
    weight     double precision NOT NULL,
    PRIMARY KEY (product_id, other)
) WITH (fillfactor = 60);

-- What people came by in the session at hand.
CREATE TABLE mailer.sessions (
    person  text PRIMARY KEY,
    items   bytea NOT NULL,
    at      timestamptz NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60);

COMMENT ON COLUMN mailer.sessions.items IS 'Product ids, the latest first, as MessagePack.';

-- How far EVENTS is learned from, and who does it: one row.
CREATE TABLE mailer.learned (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    sequence bigint NOT NULL,
    owner    text NOT NULL DEFAULT '',
    until    timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO mailer.learned (sequence) VALUES (0);
