"""Who is told what: each service its own user, its own role, and nothing it has no use for."""

from itertools import count
from pathlib import Path

import pytest

from services.local import plan
from services.local.keys import load_keys
from services.local.plan import Doors, Program, Servers
from services.webhook.addresses import insecure, read_allowed
from services.webhook.settings import Settings
from services.webhook.signing import read_keys
from shared.settings import load
from shared.webaddress import web_address

DOORS = Doors(8080, 8025, "smtp://127.0.0.1:1025", 8001)


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, Program]:
    keys = load_keys(tmp_path / "secrets.json")
    servers = Servers(lambda user: f"nats://{user}", lambda role: f"postgresql://{role}")
    ports = count(20_000)
    planned = plan.services(keys, servers, DOORS, {"RULES_DIR": "mine"}, lambda: next(ports))
    return {program.name: program for program in [*planned, plan.setup_job(keys, servers)]}


def test_each_service_has_its_own_nats_user_and_role(programs: dict[str, Program]) -> None:
    users = {name: program.environ["NATS_URL"] for name, program in programs.items()}
    assert users == {name: f"nats://{name.replace('-', '_')}" for name in programs}
    roles = {name: program.environ.get("DATABASE_URL") for name, program in programs.items()}
    assert roles["rule-evaluator"] == "postgresql://rules"
    assert roles["mailer"] == "postgresql://mailer"
    assert roles["tracker"] is None


def test_no_two_programs_share_a_port(programs: dict[str, Program]) -> None:
    health = [program.environ["HEALTH_PORT"] for program in programs.values() if program.health]
    assert len(set(health)) == len(health) == 6
    assert all(program.environ["HEALTH_PORT"] in program.health for program in programs.values() if program.health)


def test_the_environment_chooses_what_is_run(programs: dict[str, Program]) -> None:
    assert programs["rule-evaluator"].environ["RULES_DIR"] == "mine"
    assert Path(programs["mailer"].environ["TEMPLATES_DIR"]).is_dir()


def test_webhooks_may_go_to_this_machine_and_are_signed(programs: dict[str, Program]) -> None:
    """With the settings as the service itself reads them."""
    settings = load(Settings, programs["webhook"].environ)
    assert list(read_keys(settings.webhook_secrets)) == ["local"]
    allowed = read_allowed(settings.webhook_allow)
    assert not insecure(web_address("http://127.0.0.1:9000/hook"), allowed)
    assert insecure(web_address("http://192.168.0.1/"), allowed)


def test_mails_lead_to_the_sample_shop_and_the_shop_to_the_tracker(
    programs: dict[str, Program], tmp_path: Path
) -> None:
    keys = load_keys(tmp_path / "secrets.json")
    shop = plan.shop(keys, DOORS, 20_100)
    assert programs["mailer"].environ["SITE_URL"] == DOORS.shop == "http://127.0.0.1:8001"
    assert (shop.environ["TRACKER_PUBLIC_URL"], shop.environ["WRITE_KEY"]) == (DOORS.tracker, keys.write_key)
    assert shop.environ["HEALTH_PORT"] in shop.health
    assert Doors(8080, 8025, "smtp://127.0.0.1:1025").shop == ""


def test_mails_that_go_elsewhere_need_no_inbox() -> None:
    assert Doors(8080, 0, "smtp://mail.example").inbox == ""
    assert plan.inbox(Path("mails"), DOORS).environ["SMTP_PORT"] == "1025"


@pytest.mark.parametrize(
    ("admin", "url"),
    [
        ("postgresql://root:x@db:5432/beckon", "postgresql://mailer:p%40ss@db:5432/beckon"),
        ("postgresql://db/beckon?sslmode=require", "postgresql://mailer:p%40ss@db/beckon?sslmode=require"),
        ("postgresql://root:a%40b@[::1]:5/x", "postgresql://mailer:p%40ss@[::1]:5/x"),
    ],
)
def test_a_role_logs_in_where_the_administrator_does(admin: str, url: str) -> None:
    assert plan.database_url(admin, "mailer", "p@ss") == url
