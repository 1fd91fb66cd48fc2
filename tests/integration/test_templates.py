"""Templates on real servers: put, kept in versions, followed by every mailer, looked at and tried out."""

import os
import shutil
from pathlib import Path

import pytest

from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import SystemClock
from shared.consents import CheckConsent, ConsentChecked
from shared.endpoints import Endpoint, serve_subject
from shared.messages import EmailAction, Event, GetPerson, HistoryEvent, Person, PersonFound, SendEmail, Terms, Trigger
from tests.support.command import Ran, beckon
from tests.support.smtp import SmtpServer
from tests.support.stack import PARTITIONS, ROOT, Service, Stack, until
from tests.support.templates import kettle

EXAMPLES = ROOT / "examples" / "templates"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One template, that says hello."""
    folder = tmp_path / "templates"
    write(folder, "hello", "Hello {{ person.first_name }}")
    return folder


def write(folder: Path, name: str, page: str) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    for file, text in (("subject", "Hello"), ("html", f"<p>{page}</p>")):
        (folder / name / f"{file}.liquid").write_text(text)


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    (tmp_path / "nothing").mkdir()
    return tmp_path / "nothing"


async def start(stack: Stack, smtp: SmtpServer, folder: Path, **more: str) -> Service:
    environment = {"SMTP_URL": smtp.url, "MAIL_FROM": "Shop <shop@example.test>", "TEMPLATES_DIR": str(folder), **more}
    return await stack.start("mailer", **environment)


async def people(stack: Stack) -> None:
    """Who answers for everybody: Zoë, who reads German and left a kettle."""

    async def get(request: GetPerson) -> PersonFound:
        now = SystemClock().now()
        profile = {"email": f"{request.person}@example.test", "first_name": "Zoë", "locale": "de"}
        left = HistoryEvent(1, "e1", "added_to_cart", now, now, kettle())
        return PersonFound(Person(request.person, profile, [left], 1), now)

    async def check(_: CheckConsent) -> ConsentChecked:
        return ConsentChecked()

    state, throttle = await stack.bus("state"), await stack.bus("throttle")
    for partition in range(PARTITIONS):
        await serve_subject(state, Endpoint(subjects.people_get(partition), GetPerson, get))
    await serve_subject(throttle, Endpoint(subjects.CONSENTS_CHECK, CheckConsent, check))
    for bus in (state, throttle):
        await bus.nc.flush()


async def send(stack: Stack, smtp: SmtpServer, id_: str, template: str = "hello") -> tuple[str, int]:
    """What a mail says, and which version its outcome names."""
    trigger = Trigger(id_, "ada", "r", 1, SystemClock().now(), Terms(EmailAction(template), verify=False))
    await (await stack.bus("throttle")).publish(Outgoing(subjects.SENDS_EMAIL, encode(SendEmail(trigger)), id_))

    async def told() -> list[Event]:
        return [e for e in await stack.messages(subjects.EVENTS, Event) if e.properties["trigger_id"] == id_]

    async def ended() -> bool:
        return bool(await told())

    await until(ended)
    (event,) = await told()
    mail = next(mail for mail in smtp.received if mail["Message-ID"] == f"<{id_}@example.test>")
    html = mail.get_body(("html",))
    assert html
    return html.get_content().strip(), event.properties["template_version"]


async def followed(mailer: Service, version: int, template: str = "hello") -> None:
    async def check() -> bool:
        lines = mailer.logged("template_followed")
        return any((line["template"], line["version"]) == (template, version) for line in lines)

    await until(check, what=f"version {version} of {template} is followed")


def changed(folder: Path, page: str, at: int) -> None:
    write(folder, "hello", page)
    os.utime(folder / "hello" / "html.liquid", (at, at))


async def test_a_changed_file_counts_for_the_next_mail_in_every_mailer(
    stack: Stack, smtp: SmtpServer, folder: Path, nothing: Path
) -> None:
    await people(stack)
    here, there = await start(stack, smtp, folder), await start(stack, smtp, nothing)
    for mailer in (here, there):
        await followed(mailer, 1)
    assert await send(stack, smtp, "t1") == ("<p>Hello Zoë</p>", 1)

    changed(folder, "Good day {{ person.first_name }}", 2_000_000_000)
    for mailer in (here, there):
        await followed(mailer, 2)
    assert await send(stack, smtp, "t2") == ("<p>Good day Zoë</p>", 2)

    changed(folder, "Good {{ persn }}", 2_000_000_001)

    async def told() -> bool:
        return bool(here.logged("template_flawed"))

    await until(told)
    assert here.logged("template_flawed")[0]["flaw"].startswith("hello/html.liquid line 1 column 12: unknown variable")
    assert await send(stack, smtp, "t3") == ("<p>Good day Zoë</p>", 2), "a flaw spoils no mail"


async def test_a_restart_undoes_nothing_that_an_operator_put(stack: Stack, smtp: SmtpServer, folder: Path) -> None:
    await people(stack)
    operator = stack.nats.url("operator")
    mailer = await start(stack, smtp, folder)
    mine = folder.parent / "mine"
    write(mine, "hello", "From the operator")
    assert await beckon(operator, "templates", "push", str(mine)) == Ran(0, "hello: version 2\n", "")
    assert await beckon(operator, "templates", "push", str(mine / "hello")) == Ran(
        0, "hello: version 2, as it was\n", ""
    )
    assert await send(stack, smtp, "t1") == ("<p>From the operator</p>", 2)

    await mailer.stop()
    mailer = await start(stack, smtp, folder)
    assert await send(stack, smtp, "t2") == ("<p>From the operator</p>", 2)
    await mailer.stop()
    write(folder, "hello", "Changed while nobody looked")
    await start(stack, smtp, folder)
    assert await send(stack, smtp, "t3") == ("<p>Changed while nobody looked</p>", 3)
    rows = await stack.fetch("SELECT version, put_by FROM mailer.templates ORDER BY version")
    assert [tuple(row) for row in rows] == [(1, "TEMPLATES_DIR"), (2, "a-test"), (3, "TEMPLATES_DIR")]


async def test_two_mailers_that_start_together_put_each_template_once(stack: Stack, smtp: SmtpServer) -> None:
    first = await stack.start(
        "mailer", wait=False, SMTP_URL=smtp.url, MAIL_FROM="shop@example.test", TEMPLATES_DIR=str(EXAMPLES)
    )
    second = await start(stack, smtp, EXAMPLES)
    await until(lambda: ready(first))
    for mailer in (first, second):
        assert not mailer.logged("template_flawed")
        await followed(mailer, 1, "win-back")
    rows = await stack.fetch("SELECT count(*) AS count, max(version) AS most FROM mailer.templates")
    assert (rows[0]["count"], rows[0]["most"]) == (10, 1)


async def ready(service: Service) -> bool:
    return service.ready()


async def test_an_operator_looks_after_templates_from_the_command_line(
    stack: Stack, smtp: SmtpServer, folder: Path, nothing: Path, tmp_path: Path
) -> None:
    await people(stack)
    operator = stack.nats.url("operator")
    await start(stack, smtp, nothing, SITE_NAME="Kiln & Kettle", SITE_URL="https://shop.test/")
    assert await beckon(operator, "templates", "list") == Ran(0, "no templates yet\n", "")
    shutil.copytree(EXAMPLES / "_parts", folder / "_parts")
    shutil.copytree(EXAMPLES / "cart-reminder", folder / "cart-reminder")
    (folder / "hello" / "sample.yaml").write_text("person: {first_name: Grace}")
    write(folder, "bad", "{{ persn }}")
    flaw = "bad/html.liquid line 1 column 7: unknown variable 'persn', did you mean 'person'?; there are "
    pushed = await beckon(operator, "templates", "push", str(folder))
    assert (pushed.code, pushed.err) == (1, "beckon: 1 of 3 templates refused\n")
    assert pushed.out.startswith(flaw)
    assert pushed.out.splitlines()[1:] == ["cart-reminder: version 1", "hello: version 1"]
    assert [row.split()[:2] for row in (await beckon(operator, "templates", "list")).out.splitlines()] == [
        ["template", "version"],
        ["cart-reminder", "1"],
        ["hello", "1"],
    ]
    files = (await beckon(operator, "templates", "show", "cart-reminder", "--json")).json()["files"]
    assert "_parts/head.mjml.liquid" in files
    assert files["subject.liquid"] == (EXAMPLES / "cart-reminder" / "subject.liquid").read_text(encoding="utf-8")

    sample = await beckon(operator, "templates", "preview", "hello")
    assert sample == Ran(0, "Subject: Hello\n\nHello Grace\n", "")
    page = tmp_path / "page.html"
    real = await beckon(operator, "templates", "preview", "cart-reminder", "--person", "ada", "--out", str(page))
    assert real.out.startswith("Subject: Zoë, still in your cart: Copper kettle\n\nZoë, you left something behind\n")
    assert "129,50\u00a0€" in page.read_text(encoding="utf-8")

    assert (await beckon(operator, "templates", "preview", "none")).err == (
        "beckon: the mailer says no: there is no template 'none'; there are: cart-reminder, hello\n"
    )
    assert await beckon(operator, "templates", "delete", "hello") == Ran(0, "hello: deleted, which is version 2\n", "")
    assert (await beckon(operator, "templates", "preview", "hello")).code == 1
    assert (await beckon(operator, "templates", "delete", "hello")).err == "beckon: there is no template hello\n"
    assert await beckon(operator, "templates", "push", str(folder / "hello")) == Ran(0, "hello: version 3\n", "")


async def test_a_test_mail_goes_to_test_recipients_and_to_nobody_else(stack: Stack, smtp: SmtpServer) -> None:
    await stack.start("rule_evaluator", RULES_DIR=str(ROOT / "examples/rules"))
    await people(stack)
    operator = stack.nats.url("operator")
    await start(stack, smtp, EXAMPLES, TEST_RECIPIENTS="qa@shop.com")
    for what, address in (("cart-abandonment", "qa@shop.com"), ("win-back", "Me@dev.example")):
        sent = await beckon(operator, "send-test", what, address, "--person", "ada")
        assert sent.code == 0, sent.err
        assert sent.out.startswith(f"sent to {address}: version 1, <test-")
    assert [(mail["To"], str(mail["Subject"])) for mail in smtp.received] == [
        ("qa@shop.com", "[test] Zoë, still in your cart: Copper kettle"),
        ("Me@dev.example", "[test] Zoë, it has been a while"),
    ]
    for address in ("ceo@shop.com", "ada@example.test.evil.com"):
        refused = await beckon(operator, "send-test", "win-back", address)
        assert refused.err == (
            f"beckon: the mailer says no: {address} is not one of TEST_RECIPIENTS, and others are mailed by rules only\n"
        )
    assert len(smtp.received) == 2
    assert await stack.messages(subjects.EVENTS, Event) == [], "it is counted nowhere"


async def test_templates_are_checked_without_any_server(folder: Path) -> None:
    assert await beckon(None, "templates", "check", str(EXAMPLES)) == Ran(
        0, "".join(f"{path.name}: ok\n" for path in sorted(EXAMPLES.iterdir()) if path.name != "_parts"), ""
    )
    write(folder, "hello", "\n<a href={{ shop.ulr }}>a</a>")
    (folder / "hello" / "sample.yaml").write_text("persn: {}")
    checked = await beckon(None, "templates", "check", str(folder / "hello"))
    assert (checked.code, checked.err) == (1, "beckon: 1 of 1 templates flawed\n")
    assert checked.out.startswith("hello/sample.yaml: 'persn' is no variable; there are cart, coupon,")
    (folder / "hello" / "sample.yaml").unlink()
    checked = await beckon(None, "templates", "check", str(folder), "--json")
    assert checked.json() == {
        "hello": ['hello/html.liquid line 2 column 9: a value in <a> needs quotation marks: href="…"']
    }
    assert (await beckon(None, "templates", "check", str(folder / "_parts"))).code == 2
