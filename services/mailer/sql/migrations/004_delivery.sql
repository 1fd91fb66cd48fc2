-- A mail that was cut off between its end and the answer to it may go once more, if its rule says so; never twice more.
ALTER TABLE mailer.deliveries ADD COLUMN unsure int NOT NULL DEFAULT 0;

COMMENT ON COLUMN mailer.deliveries.unsure IS 'How often it is not known whether it was sent, of the times it was tried again.';
