-- Every version of every template, with all the files it needs; the newest of a name is in force. What was sent stays readable.
CREATE TABLE mailer.templates (
    name     text NOT NULL,
    version  int NOT NULL,
    files    jsonb,
    checksum text NOT NULL,
    put_by   text NOT NULL,
    put_at   timestamptz NOT NULL,
    PRIMARY KEY (name, version)
);

COMMENT ON COLUMN mailer.templates.files IS 'The text of each file by its name; null: this version says that the template is no more.';
