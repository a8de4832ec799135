"""Dashboard and alert rules ask for what the service tells, and say what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.app import build_app
from service.settings import Settings
from tests.service.fake_bundle import fake_bundle

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BOARD = json.loads((DEPLOY / "grafana/dashboards/kembar.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
RUNBOOK = (
    "the-service-is-down not-ready disk-full storage-damaged overloaded slow server-errors wrong-matches queue index"
)
EXPRESSIONS = (
    [target["expr"] for panel in PANELS for target in panel["targets"]]
    + [note["expr"] for note in BOARD["annotations"]["list"]]
    + [rule["expr"] for rule in RULES]
)
# What Prometheus itself adds to every target, and what it makes of the rules.
OWN_LABELS = {"job": {"kembar"}, "instance": set[str]()}
OWN = {"up": OWN_LABELS, "ALERTS": OWN_LABELS | {"alertstate": {"firing"}, "alertname": {"KembarDown"}}}
OWN |= {rule["record"]: OWN_LABELS for rule in RULES if "record" in rule}
Told = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Of a service after some calls: by sample its labels, and their values."""
    found: Told = dict(OWN)
    app = build_app(Settings(data_dir=tmp_path_factory.mktemp("data")), lambda *_: fake_bundle())
    with TestClient(app) as client:
        client.put("/v1/postings/a?matches=true", files={"title": (None, "mug")})
        client.get("/v1/postings/a/matches")
        client.post("/v1/matches", json={"title": "mug"})
        client.post("/v1/bulk", content=b"{}", headers={"content-type": "application/x-ndjson"})
        app.state.admission.drain()
        client.post("/v1/matches", json={"title": "mug"})
        for path in ("/livez", "/readyz", "/metrics"):
            client.get(path)
        for family in text_string_to_metric_families(client.get("/metrics").text):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {name: set(values) for name, values in OWN_LABELS.items()})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
    return found


def selectors(expression: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """
    Each metric of an expression with its matchers.

    >>> selectors('sum by (le) (rate(a_b{c!="d"}[5m])) > up')
    [('a_b', [('c', '!=', 'd')]), ('up', [])]
    """
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", expression)
    pattern = r'"[^"]*"|\[[^]]*\]|\b([a-zA-Z_][\w:]*)\b(?!\s*\()(\{(?:[^}"]|"[^"]*")*\})?'
    words = {"or", "and", "unless", "offset", "by", "d", "Inf"}
    found = [(match[1], match[2] or "") for match in re.finditer(pattern, bare) if match[1] and match[1] not in words]
    return [(name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers)) for name, matchers in found]


def grouped(expression: str) -> set[str]:
    lists = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return {name.strip() for names in lists for name in names.split(",")}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_what_the_service_tells(told: Told, expression: str) -> None:
    """Each metric and label exists, and each value that is looked for or left out is one that occurs."""
    assert selectors(expression)
    for metric, matchers in selectors(expression):
        assert metric in told
        labels = told[metric]
        assert grouped(expression) <= set(labels)
        for label, operator, value in matchers:
            wanted = value.split("|") if "~" in operator else [re.escape(value)]
            assert all(any(re.fullmatch(one, there) for there in labels[label]) for one in wanted), (label, value)


def test_every_metric_of_ours_is_shown(told: Told) -> None:
    """Nothing is counted that no panel and no rule looks at."""
    used = {name for expression in EXPRESSIONS for name, _ in selectors(expression)}
    stems = {re.sub("_(bucket|sum|count)$", "", name) for name in used}
    ours = {re.sub("_(bucket|sum|count|created)$", "", name) for name in told if name.startswith("kembar_")}
    assert {name for name in ours if f"{name}_total" not in told} <= stems


def test_a_panel_says_what_it_tells_and_what_to_do() -> None:
    """Each has a title of its own, two sentences, the provisioned source and a unit; together they fill the grid."""
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    cells = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) == 24 * (1 + max(y for _, y in cells))
    assert (
        len({panel["title"] for panel in PANELS}) == len({panel["id"] for panel in BOARD["panels"]}) - 5 == len(PANELS)
    )
    for panel in PANELS:
        assert len(re.findall(r"\w[.?](?: |$)", panel["description"])) >= 2, panel["title"]
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        assert panel["type"] != "timeseries" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            by = grouped(target["expr"]) | {"fingerprint", "instance"}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= by, panel["title"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    """What happened, one sentence on what to do, how urgent it is, and a place in the runbook that exists."""
    notes, anchors = rule["annotations"], RUNBOOK.split()
    assert set(notes) == {"summary", "description", "runbook"}
    assert re.fullmatch(r"[A-Z][^.]*\.", notes["description"])
    assert rule["labels"]["severity"] in {"page", "ticket", "info"}
    assert notes["runbook"] in {f"docs/runbook.md#{anchor}" for anchor in anchors}


def test_the_runbook_has_the_places_that_alerts_name() -> None:
    """Each anchor is a heading of docs/runbook.md, and each agreed one has an alert."""
    named = {rule["annotations"]["runbook"].partition("#")[2] for rule in ALERTS}
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    there = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    assert named == set(RUNBOOK.split())
    assert named <= there


def promtool(*words: str | Path) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_files_and_the_panels_queries(tmp_path: Path) -> None:
    """Its own checker finds no fault with the configuration, the rules, or any expression of the dashboard."""
    rules = [{"record": "a", "expr": text.replace("$__rate_interval", "1m")} for text in EXPRESSIONS]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(RULES)} rules found" in promtool("check", "config", DEPLOY / "prometheus.yml")
    assert f"{len(EXPRESSIONS)} rules found" in promtool("check", "rules", "--lint=none", tmp_path / "panels.yml")


def test_alerts_fire_for_their_fault_alone() -> None:
    """On made-up series with one fault each, exactly the named alerts fire; on sound ones none (alerts_test.yml)."""
    assert "SUCCESS" in promtool("test", "rules", ROOT / "tests/deploy/alerts_test.yml")
