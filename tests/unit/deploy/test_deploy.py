"""docker-compose.yml and k8s/ against what the services read: every service starts with what it is given."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import fields

from services.mailer.server import place
from shared.dkim import DkimKey, written
from shared.settings import load
from tests.support.hooks import POSTMARK_AUTH, TOPIC, SendGrid

ROOT = Path(__file__).parents[3]
SERVICES = {"tracker", "state", "rule-evaluator", "throttle", "mailer", "webhook", "setup"}


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def read_all(path: str) -> list[Any]:
    return list(yaml.safe_load_all((ROOT / path).read_text(encoding="utf-8")))


def settings_of(service: str) -> Any:
    return importlib.import_module(f"services.{service.replace('-', '_')}.settings").Settings


def variables(service: str) -> set[str]:
    return {field.name.upper() for field in fields(settings_of(service))}


# --- docker-compose.yml -----------------------------------------------------------------------------------------------

COMPOSE = read("docker-compose.yml")["services"]


def compose_environment(service: str, environ: dict[str, str]) -> dict[str, str]:
    """With ``${NAME:-default}`` filled in."""

    def fill(match: re.Match[str]) -> str:
        return environ.get(match[1], match[2])

    given = COMPOSE[service].get("environment", {})
    return {name: re.sub(r"\$\{(\w+):-([^}]*)\}", fill, str(value)) for name, value in given.items()}


@pytest.mark.parametrize("service", sorted({*SERVICES, "shop"}))
def test_compose_starts_each_service_without_an_env_file(service: str) -> None:
    environment = compose_environment(service, {})
    assert set(environment) <= variables(service)
    assert not [name for name, value in environment.items() if "$" in value]
    load(settings_of(service), environment)
    assert COMPOSE[service]["command"] == ["python", "-m", f"services.{service.replace('-', '_')}"]


def test_compose_offers_the_command_line() -> None:
    environment = compose_environment("cli", {})
    assert load(importlib.import_module("services.cli.connection").Settings, environment)
    assert set(environment) == {"NATS_URL"}
    assert COMPOSE["cli"]["profiles"] == ["tools"]


def test_compose_has_a_shop_to_try_it_with() -> None:
    """Its pages send to the tracker with a key that is known there, and mails lead back to it."""
    chosen = {
        "TRACKER_PORT": "1",
        "MAILPIT_PORT": "2",
        "SHOP_PORT": "3",
        "WRITE_KEYS": "first@https://shop.example,second",
    }
    shop = load(settings_of("shop"), compose_environment("shop", chosen))
    assert (shop.tracker_public_url, shop.inbox_url) == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert shop.public_key == "first"
    assert compose_environment("mailer", chosen)["SITE_URL"] == "http://127.0.0.1:3"
    assert COMPOSE["shop"]["ports"] == [f"127.0.0.1:${{SHOP_PORT:-8001}}:{shop.http_port}"]


def test_compose_gives_each_service_the_password_that_its_server_knows() -> None:
    names = re.findall(r"\$(NATS_\w+_PASSWORD)", (ROOT / "k8s/base/nats-users.conf").read_text())
    assert set(names) == set(COMPOSE["nats"]["environment"])
    chosen = {name: f"chosen{number}" for number, name in enumerate(names)}
    roles = {
        "state": "state",
        "rule-evaluator": "rules",
        "throttle": "throttle",
        "mailer": "mailer",
        "webhook": "webhook",
    }
    chosen |= {f"{role.upper()}_DB_PASSWORD": f"{role}word" for role in roles.values()}

    assert compose_environment("nats", chosen) == {name: chosen[name] for name in names}
    setup = compose_environment("setup", chosen)
    for service in SERVICES:
        user = service.replace("-", "_")
        environment = compose_environment(service, chosen)
        assert environment["NATS_URL"] == f"nats://{user}:{chosen[f'NATS_{user.upper()}_PASSWORD']}@nats:4222"
    for service, role in roles.items():
        assert setup[f"{role.upper()}_DB_PASSWORD"] == f"{role}word"
        url = compose_environment(service, chosen)["DATABASE_URL"]
        assert url == f"postgresql://{role}:{role}word@postgres:5432/beckon"


def test_compose_opens_ports_to_this_machine_only_and_every_container_gives_up_its_privileges() -> None:
    for name, service in COMPOSE.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


# --- k8s --------------------------------------------------------------------------------------------------------------

BASE = read("k8s/base/kustomization.yaml")
PRODUCTION = read("k8s/overlays/production/kustomization.yaml")
EXAMPLES = read("examples/kustomization.yaml")
WORKLOADS = {
    resource["metadata"]["name"]: resource
    for resource in [*read_all("k8s/base/services.yaml"), *read_all("k8s/base/setup.yaml")]
    if resource["kind"] in ("Deployment", "Job")
}
PATCH = read("k8s/base/patches/service.yaml")


def literals(kustomization: Any, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for generator in kustomization["configMapGenerator"]:
        if generator["name"] == name:
            found |= dict(literal.split("=", 1) for literal in generator.get("literals", []))
    return found


def container_of(workload: Any) -> Any:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return container


def cluster_environment(service: str, *, production: bool) -> dict[str, str]:
    """As the kubelet puts it together: ConfigMaps first, then the variables in order, each ``$(NAME)`` filled in."""
    maps = ["beckon-settings", *(["beckon-setup"] if service == "setup" else [])]
    environment: dict[str, str] = {}
    for name in maps:
        environment |= literals(BASE, name) | (literals(PRODUCTION, name) if production else {})
    for variable in container_of(WORKLOADS[service])["env"]:
        if "valueFrom" in variable:
            value = secret(**variable["valueFrom"]["secretKeyRef"])
        else:
            value = re.sub(r"\$\((\w+)\)", lambda match: environment[match[1]], variable["value"])
        environment[variable["name"]] = value
    return environment


def secret(name: str, key: str, optional: bool = False) -> str:
    made = {
        "SMTP_URL": "smtp://mail.example.com",
        "ADMIN_DATABASE_URL": "postgresql://admin:x@db.example.com/beckon",
        "WEBHOOK_SECRETS": f"crm=whsec_{'A' * 32}",
        "DKIM_KEYS": written(DkimKey("beckon", Ed25519PrivateKey.generate())),
        "SES_TOPIC_ARNS": TOPIC,
        "SENDGRID_PUBLIC_KEY": SendGrid().public_key,
        "POSTMARK_HOOK_AUTH": POSTMARK_AUTH,
    }
    return made.get(key, f"{name}.{key}-of-thirty-two-characters")


def test_the_same_services_run_in_compose_and_in_the_cluster() -> None:
    assert set(WORKLOADS) == SERVICES
    assert {name for name, service in COMPOSE.items() if "build" in service} - {"cli", "shop"} == SERVICES


@pytest.mark.parametrize("production", [False, True])
@pytest.mark.parametrize("service", sorted(SERVICES))
def test_the_cluster_starts_each_service(service: str, production: bool) -> None:
    environment = cluster_environment(service, production=production)
    load(settings_of(service), environment)
    assert container_of(WORKLOADS[service])["command"] == ["python", "-m", f"services.{service.replace('-', '_')}"]
    own = {variable["name"] for variable in container_of(WORKLOADS[service])["env"]}
    assert own - {"NATS_PASSWORD", "DATABASE_PASSWORD"} <= variables(service)


def test_bounces_that_come_in_by_mail_reach_a_port_the_mailer_listens_at() -> None:
    (patch,) = read("k8s/components/bounces/kustomization.yaml")["patches"]
    container = container_of(yaml.safe_load(patch["patch"]))
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    environment = cluster_environment("mailer", production=True) | given | {"BOUNCE_DOMAIN": "bounces.example.com"}
    _, port = place(load(settings_of("mailer"), environment).bounce_listen)
    (listening,) = container["ports"]
    service, policy = read_all("k8s/components/bounces/service.yaml")
    assert listening["containerPort"] == port
    assert service["spec"]["ports"] == [{"name": "smtp", "port": 25, "targetPort": listening["name"]}]
    assert policy["spec"]["ingress"] == [{"ports": [{"port": port}]}]
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"]


def test_every_setting_of_the_cluster_is_read_by_some_service() -> None:
    known = set[str]().union(*(variables(service) for service in SERVICES))
    for kustomization in (BASE, PRODUCTION):
        for name in ("beckon-settings", "beckon-setup"):
            assert set(literals(kustomization, name)) - {"DATABASE_ADDRESS"} <= known


def test_the_cluster_drains_within_its_grace_period() -> None:
    drain_s = float(literals(BASE, "beckon-settings")["SHUTDOWN_S"])
    before_s = float(container_of(WORKLOADS["tracker"])["lifecycle"]["preStop"]["exec"]["command"][1])
    assert PATCH["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= drain_s + before_s + 10


BUCKET_BYTES = 16 * 2**20
"""What the rules say they need, beside the streams."""


def test_streams_fit_the_servers_and_those_their_volumes() -> None:
    sets = read_all("k8s/base/nats.yaml")[-1], read("k8s/overlays/production/patches/nats.yaml")
    for stateful_set, production in zip(sets, (False, True), strict=True):
        environment = {item["name"]: item.get("value") for item in container_of(stateful_set)["env"]}
        store = int(environment["MAX_FILE_STORE"].removesuffix("GB")) * 2**30
        (claim,) = stateful_set["spec"]["volumeClaimTemplates"]
        volume = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) * 2**30
        setup = cluster_environment("setup", production=production)
        reserved = sum(int(value) for name, value in setup.items() if name.endswith("_MAX_BYTES")) + BUCKET_BYTES
        assert reserved <= store < volume


def test_every_pod_is_restricted() -> None:
    (nats,) = [resource for resource in read_all("k8s/base/nats.yaml") if resource["kind"] == "StatefulSet"]
    for workload in (PATCH, nats, WORKLOADS["setup"]):
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container_of(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    for workload in (*WORKLOADS.values(), nats):
        assert {"requests", "limits"} <= set(container_of(workload)["resources"])


def test_every_shipped_rule_and_template_reaches_the_cluster() -> None:
    listed = {file for generator in EXAMPLES["configMapGenerator"] for file in generator["files"]}
    folders = ("rules", "templates")
    shipped = {path for folder in folders for path in (ROOT / "examples" / folder).rglob("*") if path.is_file()}
    assert listed - {"policy.yaml"} == {str(path.relative_to(ROOT / "examples")) for path in shipped}

    mailer = WORKLOADS["mailer"]["spec"]["template"]["spec"]
    maps = {volume["name"]: volume["configMap"]["name"] for volume in mailer["volumes"]}
    mounts = {
        maps[mount["name"]]: Path(mount["mountPath"]).name
        for mount in container_of(WORKLOADS["mailer"])["volumeMounts"]
    }
    for generator in EXAMPLES["configMapGenerator"]:
        if generator["name"].startswith("template-"):
            assert {Path(file).parent.name for file in generator["files"]} == {mounts[generator["name"]]}


def test_the_guide_names_every_secret_the_manifests_refer_to() -> None:
    guide = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    names = re.findall(r"\$(NATS_\w+_PASSWORD)", (ROOT / "k8s/base/nats-users.conf").read_text())
    for workload in WORKLOADS.values():
        for variable in container_of(workload)["env"]:
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["name"] in guide
                names.append(reference["key"])
    assert [name for name in {*names, "NATS_ROUTE_PASSWORD"} if name not in guide] == []
