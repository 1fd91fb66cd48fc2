"""Every metric of every service: its name, kind, unit and meaning.

Names follow Prometheus' conventions: ``beckon_<what>_<unit>``, counters end in ``_total``. Label values are few and known
beforehand; never a person, never an address.
"""

from prometheus_client import Counter, Gauge, Histogram

FAST_S = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.015,
    0.025,
    0.035,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
)
"""Buckets for latencies that are good in milliseconds, in seconds."""

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Buckets for how many things were handled together."""

# --- Bus --------------------------------------------------------------------------------------------------------------

MESSAGES_HANDLED = Counter(
    "beckon_messages_handled_total",
    "Messages taken from a work queue, by how handling ended: done, retry, invalid, failed, passed_on.",
    ["consumer", "outcome"],
)
DEAD_LETTERS = Counter("beckon_dead_letters_total", "Messages put aside with a reason, by service.", ["service"])
REQUESTS_SERVED = Counter(
    "beckon_requests_served_total",
    "Requests answered on NATS, by subject and outcome: done, refused, failed.",
    ["subject", "outcome"],
)

# --- Tracker ----------------------------------------------------------------------------------------------------------

TRACKER_REQUESTS = Counter(
    "beckon_tracker_requests_total",
    "Requests by call (pixel, events, import, segment, settings, shopify, woocommerce, ses, sendgrid, postmark, "
    "mailgun, open, click, unsubscribe) and outcome: "
    "accepted, invalid, malformed, unknown, unauthorised, forbidden, too_slow, too_large, unsupported, too_fast, full, "
    "unavailable.",
    ["call", "outcome"],
)
TRACKER_EVENTS = Counter(
    "beckon_tracker_events_total", "Events in readable requests: accepted (stored), rejected (not valid).", ["outcome"]
)
TRACKER_BATCH = Histogram("beckon_tracker_batch_events", "Events published together.", buckets=SIZES)
TRACKER_STAGE_S = Histogram(
    "beckon_tracker_stage_seconds",
    "How long each stage took: taken (key, body, decoding and limits; of one request in eight), waited (for its batch to set "
    "out; of the first request of each batch), stored (from handing the batch to JetStream to its acknowledgement).",
    ["stage"],
    buckets=FAST_S,
)

MAIL_LINKS = Counter(
    "beckon_mail_links_total",
    "Links of mails that were used, by event: email_opened, email_clicked, and both _by_machine.",
    ["event"],
)
MAIL_LINKS_LOST = Counter(
    "beckon_mail_links_lost_total", "Opens and clicks that could not be stored, though tried for a minute."
)

# --- State ------------------------------------------------------------------------------------------------------------

STATE_EVENTS = Counter(
    "beckon_state_events_total",
    "Events taken from the stream, by outcome: stored (the site's own), duplicate, dead.",
    ["outcome"],
)
STATE_OUTCOMES = Counter("beckon_state_outcomes_total", "Outcomes, Beckon's own events, committed.")
STATE_FORWARDED = Counter(
    "beckon_state_forwarded_total", "Messages handed on, or handed over, to whom a person turned out to be."
)
IDENTITY_LINKS = Counter(
    "beckon_identity_links_total",
    "Two ids found to be one person: made; refused, because both are known and no trusted alias said so.",
    ["outcome"],
)
HISTORIES_REFILLED = Counter(
    "beckon_histories_refilled_total", "People of whom more had to be looked up, because new rules need more."
)
INTEREST_REVISION = Gauge("beckon_interest_revision", "The revision of the rules this process remembers people for.")
SWEEP_PEOPLE = Counter(
    "beckon_sweep_people_total", "People gone through because other conditions are watched: seen, armed.", ["outcome"]
)
SWEEP_PARTITIONS_LEFT = Gauge("beckon_sweep_partitions_left", "Owned partitions still to be gone through.")
STATE_BATCH = Histogram("beckon_state_batch_steps", "Steps (events and due timers) in one commit.", buckets=SIZES)
STATE_COMMIT_S = Histogram("beckon_state_commit_seconds", "How long one commit took.", buckets=FAST_S)
STATE_EVALUATE_S = Histogram("beckon_state_evaluate_seconds", "How long one round of evaluation took.", buckets=FAST_S)
EVENT_LATENCY_S = Histogram(
    "beckon_event_committed_seconds", "From an event's arrival in the stream to its commit.", buckets=FAST_S
)
TIMER_LATENESS_S = Histogram(
    "beckon_timer_lateness_seconds", "From the instant a timer was due to the commit of what it did.", buckets=FAST_S
)
TIMERS_STRAGGLING = Counter(
    "beckon_timers_straggling_total", "Overdue timers found by the slow sweep instead of the heap. Must stay 0."
)
TRIGGERS_FIRED = Counter("beckon_triggers_fired_total", "Triggers committed.", ["rule"])
PARTITIONS_OWNED = Gauge("beckon_partitions_owned", "Partitions this process holds the lease of.")
FENCED_WRITES = Counter(
    "beckon_fenced_writes_total", "Commits PostgreSQL refused because the lease had gone to another process."
)
CLOCK_OFFSET_S = Gauge("beckon_clock_offset_seconds", "PostgreSQL's clock minus this machine's.")
ACTORS_RESIDENT = Gauge("beckon_actors_resident", "People kept in memory.")
READER_RESTARTS = Counter(
    "beckon_reader_restarts_total", "Times a partition's reader began again at its checkpoint, by reason.", ["reason"]
)
STREAM_TAIL_LOST = Counter(
    "beckon_stream_tail_lost_total", "Checkpoints the stream no longer agrees with: NATS lost acknowledged messages."
)

# --- Rule evaluator ---------------------------------------------------------------------------------------------------

RULES_LIVE = Gauge("beckon_rules_live", "Rules this process evaluates.")
STEPS_EVALUATED = Counter("beckon_steps_evaluated_total", "Events and timers that people were taken through.")
CASES_FAILED = Counter(
    "beckon_cases_failed_total", "People whose rules could not be evaluated: a bug in a condition. Must stay 0."
)

# --- Throttle ---------------------------------------------------------------------------------------------------------

THROTTLE_DECISIONS = Counter(
    "beckon_throttle_decisions_total", "Triggers decided, by outcome: send, suppressed, held_out, expired.", ["outcome"]
)
THROTTLE_RACES = Counter(
    "beckon_throttle_races_total", "Decisions made anew because something about the person had changed meanwhile."
)

# --- Mailer -----------------------------------------------------------------------------------------------------------

DELIVERIES = Counter(
    "beckon_deliveries_total", "Sends that ended, by status: sent, failed, expired, suppressed, uncertain.", ["status"]
)
DELIVERIES_DEFERRED = Counter(
    "beckon_deliveries_deferred_total", "Attempts that the SMTP server put off, or that did not get as far as the mail."
)
MAIL_STAGE_S = Histogram(
    "beckon_mail_stage_seconds",
    "How long a mail that was sent took from the stage before to this one: committed, decided, verified, accepted.",
    ["stage"],
    buckets=FAST_S,
)
DUE_TO_ACCEPTED_S = Histogram(
    "beckon_due_to_accepted_seconds",
    "From the instant a rule became true to the SMTP server's acceptance of its mail.",
    buckets=FAST_S,
)
CATALOGUE_EVENTS = Counter(
    "beckon_catalogue_events_total",
    "Events of sites that the catalogue's learner read, by outcome: learned, passed_over (of no product), dead.",
    ["outcome"],
)
CATALOGUE_LEARN_S = Histogram(
    "beckon_catalogue_learn_seconds", "From a batch of events in hand to its commit.", buckets=FAST_S
)
CATALOGUE_LOOK_S = Histogram(
    "beckon_catalogue_look_seconds",
    "How long a mail took to learn of its products and recommendations.",
    buckets=FAST_S,
)
COUPON_CODES_LEFT = Gauge("beckon_coupon_codes_left", "Codes left in a pool, counted up to 100,000.", ["coupon"])
COUPONS_REDEEMED = Counter("beckon_coupons_redeemed_total", "Purchases with a code that was handed out.", ["coupon"])
DELIVERIES_HELD_BACK = Counter(
    "beckon_deliveries_held_back_total",
    "Sends told to come again because of their recipient's domain: busy (as many in hand as may be), resting (its servers put "
    "mails off).",
    ["reason"],
)
DELIVERIES_REPEATED = Counter(
    "beckon_deliveries_repeated_total", "Uncertain mails that were transmitted once more, as their rule asks."
)
SMTP_CONNECTIONS = Gauge("beckon_smtp_connections", "Open connections by SMTP server (host:port).", ["relay"])
SMTP_RELAY_USABLE = Gauge(
    "beckon_smtp_relay_usable", "1 while mails go to this SMTP server, 0 while it is left alone.", ["relay"]
)
SMTP_MAILS = Counter(
    "beckon_smtp_mails_total",
    "Mails offered to an SMTP server, by outcome: accepted, deferred, refused, uncertain.",
    ["relay", "outcome"],
)
MAIL_REPORTS = Counter(
    "beckon_mail_reports_total",
    "Reports of mails that were sent, by source (smtp, ses, sendgrid, postmark, mailgun) and kind: hard, soft, blocked, "
    "complaint; or unknown (no mail of ours), trial (of a test recipient).",
    ["source", "kind"],
)
BOUNCE_MAILS = Counter(
    "beckon_bounce_mails_total",
    "Mails to the addresses for bounces and complaints, by outcome: reported, ignored (an auto-reply, a delay, nothing that "
    "can be read), forged (no token of ours), busy, unavailable, too_large.",
    ["outcome"],
)

# --- Webhook ----------------------------------------------------------------------------------------------------------

WEBHOOKS = Counter(
    "beckon_webhooks_total", "Webhooks that ended, by status: sent, failed, expired, suppressed.", ["status"]
)
WEBHOOK_ATTEMPTS = Counter(
    "beckon_webhook_attempts_total",
    "Calls of endpoints, by verdict: taken (2xx), refused, gone (410), troubled (no answer, 5xx, 408, 425, 429).",
    ["verdict"],
)
WEBHOOK_ATTEMPT_S = Histogram(
    "beckon_webhook_attempt_seconds", "How long one call of an endpoint took.", buckets=FAST_S
)
DUE_TO_WEBHOOK_S = Histogram(
    "beckon_due_to_webhook_seconds",
    "From the instant a rule became true to its endpoint's taking the webhook, where the first attempt was taken.",
    buckets=FAST_S,
)
WEBHOOK_CIRCUITS_BROKEN = Gauge(
    "beckon_webhook_circuits_broken", "Endpoints that did not answer again and again, and are tried one call at a time."
)
