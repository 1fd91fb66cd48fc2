"""An SMTP server that keeps what it gets, and a page that shows it. For development: it delivers nothing."""
