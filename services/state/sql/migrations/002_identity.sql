-- n: the event's number in its person's order of arrival. copied_from: whose event it was before the two turned out to be one.
ALTER TABLE state.events ADD COLUMN n int NOT NULL DEFAULT 0, ADD COLUMN copied_from text;
UPDATE state.events AS e SET n = numbered.n
FROM (SELECT person, id, row_number() OVER (PARTITION BY person ORDER BY arrived_at, sequence) AS n FROM state.events) AS numbered
WHERE e.person = numbered.person AND e.id = numbered.id;

-- Who turned out to be whom. Flat: nobody's person is an alias, so chains and circles cannot be.
CREATE TABLE state.aliases (
    alias text PRIMARY KEY,
    person text NOT NULL
);
CREATE INDEX aliases_of_person ON state.aliases (person);

-- Every link in the order in which they were made; the outbox of those who must be told.
CREATE TABLE state.links (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition int NOT NULL,
    previous text NOT NULL,
    person text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('identify', 'alias')),
    event text NOT NULL,
    tied_at timestamptz NOT NULL,
    linked_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX links_unpublished ON state.links (partition) WHERE published_at IS NULL;

-- How far each partition has been gone through for the conditions watched since a revision of the rules.
CREATE TABLE state.sweeps (
    partition int PRIMARY KEY,
    revision bigint NOT NULL,
    at_person text NOT NULL,
    seen bigint NOT NULL,
    armed bigint NOT NULL,
    began_at timestamptz NOT NULL,
    done_at timestamptz
);

-- Decide what comes of a tie, that p_previous is p_person: who gives way to whom, if anybody does. An anonymous id that belongs to somebody
-- else already only changes hands (a device that is shared); two that are known are one only if a trusted alias says so.
CREATE FUNCTION state.link(
    p_partition int, p_previous text, p_person text, p_kind text, p_trusted boolean, p_event text, p_at bigint,
    OUT id bigint, OUT previous text, OUT into_person text, OUT refused boolean
) LANGUAGE plpgsql AS $$
DECLARE
    root text;
    changes_hands boolean;
BEGIN
    refused := false;
    IF EXISTS (SELECT 1 FROM state.aliases AS a WHERE a.alias = p_previous AND a.person = p_person) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('state.link'));  -- one after the other, or two could give way to each other
    root := coalesce((SELECT a.person FROM state.aliases AS a WHERE a.alias = p_person), p_person);
    previous := coalesce((SELECT a.person FROM state.aliases AS a WHERE a.alias = p_previous), p_previous);
    IF previous = root THEN
        previous := NULL;
        RETURN;
    END IF;
    changes_hands := p_kind = 'identify' AND previous <> p_previous;
    IF changes_hands THEN
        previous := p_previous;
        UPDATE state.aliases AS a SET person = root WHERE a.alias = p_previous;
    ELSE
        refused := NOT (p_kind = 'alias' AND p_trusted)
            AND EXISTS (SELECT 1 FROM state.events AS e WHERE e.person = link.previous AND e.user_id = link.previous);
        IF refused THEN
            RETURN;
        END IF;
        UPDATE state.aliases AS a SET person = root WHERE a.person = link.previous;
        INSERT INTO state.aliases (alias, person) VALUES (previous, root);
    END IF;
    into_person := root;
    INSERT INTO state.links (partition, previous, person, kind, event, tied_at)
    VALUES (p_partition, previous, root, p_kind, p_event, state.at(p_at)) RETURNING links.id INTO id;
END
$$;

DROP FUNCTION state.commit;

-- The one write of the actor loop: fence, checkpoint, actors, events, triggers, fates, ties, and the events of
-- those who turned out to be somebody else. All or nothing, in one call, so that no client stands inside an open transaction.
-- Statements without rows are run as well: they cost microseconds, and so an empty commit has everything planned beforehand.
-- BK001 is raised if any partition is no longer held in the given epoch. Answers what the ties came to.
CREATE FUNCTION state.commit(
    p_owner text,
    p_ids int[], p_epochs bigint[], p_checkpoints bigint[], p_times bigint[],
    a_partitions int[], a_people text[], a_remembered bytea[], a_due bigint[],
    e_people text[], e_ids text[], e_names text[], e_happened bigint[], e_arrived bigint[], e_sequences bigint[],
    e_sources text[], e_trusted boolean[], e_users text[], e_anonymous text[], e_properties text[], e_contexts text[],
    e_numbers int[],
    t_ids text[], t_partitions int[], t_people text[], t_rules text[], t_versions int[], t_fired bigint[], t_messages bytea[],
    f_ids text[], f_outcomes text[], f_reasons text[], f_at bigint[],
    b_sources text[], b_people text[], b_offsets int[], b_arrived bigint[],
    c_partitions int[], c_previous text[], c_people text[], c_kinds text[], c_trusted boolean[], c_events text[], c_at bigint[]
) RETURNS TABLE (link_id bigint, link_previous text, link_person text, link_refused boolean) LANGUAGE plpgsql AS $$
DECLARE
    held int;
BEGIN
    -- In the order of ids, as everywhere, so that a commit and a renewal never wait for each other in a circle.
    PERFORM 1 FROM state.partitions AS p WHERE p.id = ANY (p_ids) ORDER BY p.id FOR UPDATE;
    UPDATE state.partitions AS p
    SET checkpoint = n.checkpoint, checkpoint_time = coalesce(state.at(n.time), p.checkpoint_time)
    FROM unnest(p_ids, p_epochs, p_checkpoints, p_times) AS n (id, epoch, checkpoint, time)
    WHERE p.id = n.id AND p.owner = p_owner AND p.epoch = n.epoch;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(p_ids) THEN
        RAISE EXCEPTION 'fenced: % of % partitions are held by %', held, cardinality(p_ids), p_owner
            USING ERRCODE = 'BK001';
    END IF;

    INSERT INTO state.actors AS a (partition, person, remembered, next_due)
    SELECT n.partition, n.person, n.remembered, state.at(n.due)
    FROM unnest(a_partitions, a_people, a_remembered, a_due) AS n (partition, person, remembered, due)
    ON CONFLICT (partition, person) DO UPDATE
    SET remembered = excluded.remembered, next_due = excluded.next_due, updated_at = now();

    INSERT INTO state.events AS e
        (person, id, name, happened_at, arrived_at, sequence, source, trusted, user_id, anonymous_id, properties, context, n)
    SELECT n.person, n.id, n.name, state.at(n.happened), state.at(n.arrived), n.sequence, n.source, n.trusted,
           n.user_id, n.anonymous_id, n.properties::jsonb, n.context::jsonb, n.number
    FROM unnest(e_people, e_ids, e_names, e_happened, e_arrived, e_sequences, e_sources, e_trusted,
                e_users, e_anonymous, e_properties, e_contexts, e_numbers)
        AS n (person, id, name, happened, arrived, sequence, source, trusted, user_id, anonymous_id, properties, context, number)
    ON CONFLICT (person, id) DO NOTHING;

    INSERT INTO state.events AS e
        (person, id, name, happened_at, arrived_at, sequence, source, trusted, user_id, anonymous_id, properties, context, n,
         copied_from)
    SELECT b.person, e.id, e.name, e.happened_at, state.at(b.arrived), e.sequence, e.source, e.trusted, e.user_id,
           e.anonymous_id, e.properties, e.context, b.offset_n + e.n, b.source
    FROM unnest(b_sources, b_people, b_offsets, b_arrived) AS b (source, person, offset_n, arrived)
    JOIN state.events AS e ON e.person = b.source
    ON CONFLICT (person, id) DO NOTHING;

    INSERT INTO state.triggers AS t (id, partition, person, rule, version, fired_at, message)
    SELECT n.id, n.partition, n.person, n.rule, n.version, state.at(n.fired), n.message
    FROM unnest(t_ids, t_partitions, t_people, t_rules, t_versions, t_fired, t_messages)
        AS n (id, partition, person, rule, version, fired, message)
    ON CONFLICT ON CONSTRAINT triggers_pkey DO NOTHING;

    UPDATE state.triggers AS t
    SET outcome = n.outcome, reason = n.reason, outcome_at = state.at(n.at)
    FROM unnest(f_ids, f_outcomes, f_reasons, f_at) AS n (id, outcome, reason, at)
    WHERE t.id = n.id;

    RETURN QUERY
    SELECT l.id, l.previous, l.into_person, l.refused
    FROM unnest(c_partitions, c_previous, c_people, c_kinds, c_trusted, c_events, c_at)
        WITH ORDINALITY AS c (partition, previous, person, kind, trusted, event, at, place)
    CROSS JOIN LATERAL state.link(c.partition, c.previous, c.person, c.kind, c.trusted, c.event, c.at) AS l
    WHERE l.previous IS NOT NULL
    ORDER BY c.place;
END
$$;

-- What a sweep found for some people of a partition: fence, timers, how far it is. A timer is set only where nothing was
-- committed for its person since the sweep looked (at p_seen_at). Answers the people whose timers were set.
CREATE FUNCTION state.rearm(
    p_owner text, p_partition int, p_epoch bigint, p_revision bigint, p_at_person text, p_seen bigint, p_done boolean,
    p_people text[], p_dues bigint[], p_seen_at timestamptz[]
) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM state.partitions WHERE id = p_partition AND owner = p_owner AND epoch = p_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced: partition % is not held by %', p_partition, p_owner USING ERRCODE = 'BK001';
    END IF;
    RETURN QUERY
    UPDATE state.actors AS a SET next_due = state.at(n.due)
    FROM unnest(p_people, p_dues, p_seen_at) AS n (person, due, seen_at)
    WHERE a.partition = p_partition AND a.person = n.person AND a.updated_at = n.seen_at
    RETURNING a.person;
    INSERT INTO state.sweeps AS s (partition, revision, at_person, seen, armed, began_at, done_at)
    VALUES (p_partition, p_revision, p_at_person, p_seen, cardinality(p_people), now(), CASE WHEN p_done THEN now() END)
    ON CONFLICT (partition) DO UPDATE
    SET at_person = excluded.at_person, done_at = excluded.done_at, revision = excluded.revision,
        seen = CASE WHEN s.revision = excluded.revision THEN s.seen ELSE 0 END + excluded.seen,
        armed = CASE WHEN s.revision = excluded.revision THEN s.armed ELSE 0 END + excluded.armed,
        began_at = CASE WHEN s.revision = excluded.revision THEN s.began_at ELSE now() END;
END
$$;
