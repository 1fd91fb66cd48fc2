"""The inbox's mailbox: mails survive, the oldest go first, whatever a mail says is only text."""

from email.message import EmailMessage
from pathlib import Path

from services.local.inbox.mailbox import Mailbox
from shared.clock import MILLISECOND, SECOND, rfc3339

NOW = 1_760_000_000 * SECOND


def content(subject: str = "Grüße ☕", due: str = "", html: str | None = "<p>Hi</p>") -> bytes:
    message = EmailMessage()
    message["From"] = "Shop <shop@example.test>"
    message["To"] = "ada@example.test"
    message["Subject"] = subject
    message["X-Beckon-Trigger"] = "t1"
    if due:
        message["X-Beckon-Due"] = due
    message.set_content("Hällo")
    if html:
        message.add_alternative(html, subtype="html")
        message.set_boundary("boundary")
    return message.as_bytes()


def put(mailbox: Mailbox, mail: bytes) -> int:
    return mailbox.add("bounce@example.test", ["ada@example.test"], mail, NOW).id


def test_a_mail_as_a_person_and_a_developer_see_it(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, keep=10)
    summary = mailbox.add("bounce@example.test", ["ada@example.test", "b@example.test"], content(), NOW)
    assert (summary.subject, summary.sender, summary.shown_from) == (
        "Grüße ☕",
        "bounce@example.test",
        "Shop <shop@example.test>",
    )
    assert summary.recipients == ["ada@example.test", "b@example.test"]
    mail = mailbox.read(summary.id)
    assert mail is not None
    assert mail.html is not None
    assert mail.text is not None
    assert (mail.html.strip(), mail.text.strip()) == ("<p>Hi</p>", "Hällo")
    assert ("X-Beckon-Trigger", "t1") in mail.headers
    assert mailbox.source(summary.id) == content()


def test_mails_survive_a_restart_and_numbers_go_on(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, keep=10)
    put(mailbox, content("one"))
    put(mailbox, content("two"))
    again = Mailbox(tmp_path, keep=10)
    assert put(again, content("three")) == 3
    assert [mail.subject for mail in again.latest(after=0, limit=10)] == ["three", "two", "one"]
    assert [mail.subject for mail in again.latest(after=1, limit=1)] == ["three"]


def test_a_crash_while_a_mail_is_written_leaves_no_half_mail(tmp_path: Path) -> None:
    (tmp_path / "000000001.eml").write_bytes(b"half a ma")
    mailbox = Mailbox(tmp_path, keep=10)
    assert len(mailbox) == 0
    assert put(mailbox, content("whole")) == 1
    assert mailbox.source(1) == content("whole")


def test_the_oldest_go_first(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, keep=2)
    for subject in ("one", "two", "three"):
        put(mailbox, content(subject))
    assert [mail.subject for mail in mailbox.latest(after=0, limit=10)] == ["three", "two"]
    assert mailbox.read(1) is None
    assert mailbox.source(1) is None
    assert len(list(tmp_path.glob("*.eml"))) == 2


def test_latency_is_from_due_to_taken(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, keep=10)
    put(mailbox, content(due=rfc3339(NOW - 45 * MILLISECOND)))
    put(mailbox, content(due="yesterday"))
    put(mailbox, content(due="2026-01-01T00:00:00"))
    assert [mail.latency_ms for mail in mailbox.latest(after=0, limit=10)] == [None, None, 45.0]


def test_what_is_hardly_a_mail_is_kept_all_the_same(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, keep=10)
    put(mailbox, b"no headers at all")
    put(mailbox, b"Content-Type: text/plain; charset=klingon\r\n\r\nqapla\r\n")
    put(mailbox, content(html=None))
    texts = [mail.text for number in (1, 2, 3) if (mail := mailbox.read(number))]
    assert [(text or "").strip() for text in texts] == ["no headers at all", "qapla", "Hällo"]
    assert mailbox.read(3) is not None
