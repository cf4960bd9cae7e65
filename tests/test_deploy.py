"""`compose.yaml` and `deploy/`: their collectors' configurations are valid, fit together, and bring spans to Jaeger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from ruamel.yaml import YAML

from interop.engines import (
    Jaeger,
    Otelcol,
    jaeger_validate,
    needs_jaeger,
    needs_otelcol,
    otelcol_validate,
    spans_of,
)

REPOSITORY = Path(__file__).resolve().parents[1]
KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
MAIN, OVERLAY = REPOSITORY / "otel-collector.yaml", REPOSITORY / "otel-collector-jaeger.yaml"


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe").load_all(path.read_text(encoding="utf-8")))


def document(path: Path) -> Any:
    [only] = documents(path)
    return only


COMPOSE = document(REPOSITORY / "compose.yaml")["services"]
RESOURCES = {
    (resource["kind"], resource["metadata"]["name"]): resource
    for name in document(KUBERNETES / "kustomization.yaml")["resources"]
    for resource in documents(KUBERNETES / name)
}


@pytest.fixture
def config_of(tmp_path: Path):
    """Writes the configuration that a ConfigMap embeds to a file."""

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(RESOURCES["ConfigMap", name]["data"]["config.yaml"], encoding="utf-8")
        return path

    return write


def container(name: str) -> dict[str, Any]:
    [only] = RESOURCES["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return only


def test_compose_listens_on_loopback_only():
    published = [port for service in COMPOSE.values() for port in service["ports"]]
    assert published == ["127.0.0.1:4317:4317", "127.0.0.1:4318:4318", "127.0.0.1:16686:16686"]


def test_compose_mounts_files_that_are_there():
    mounted = [REPOSITORY / volume.split(":")[0] for volume in COMPOSE["collector"]["volumes"]]
    assert mounted == [MAIN, OVERLAY, REPOSITORY / "deploy" / "compose" / "data"]
    assert [path for path in mounted if not path.exists()] == []


def test_what_compose_adds_drops_nothing_of_our_configuration():
    main, overlay = document(MAIN)["service"], document(OVERLAY)["service"]
    assert set(main.get("extensions", [])) <= set(overlay["extensions"])
    assert overlay["pipelines"].keys() <= main["pipelines"].keys()
    for name, pipeline in overlay["pipelines"].items():
        assert pipeline.keys() == {"exporters"}
        assert set(main["pipelines"][name]["exporters"]) < set(pipeline["exporters"])


def test_kubernetes_runs_the_versions_that_compose_runs_and_the_tests_build():
    manifest = document(REPOSITORY / "scripts" / "otelcol-builder.yaml")
    assert {name: service["image"] for name, service in COMPOSE.items()} == {
        name: container(name)["image"] for name in COMPOSE
    }
    assert COMPOSE["collector"]["image"].split(":")[1] == manifest["dist"]["version"]


def test_instrumented_pods_send_to_a_port_of_the_collector_s_service():
    endpoint = document(KUBERNETES / "instrumentation.yaml")["spec"]["exporter"]["endpoint"]
    service = RESOURCES["Service", "collector"]
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert endpoint == f"http://collector.{service['metadata']['namespace']}.svc:{ports['otlp-http']}"


@pytest.mark.parametrize("name", ["collector", "jaeger"])
def test_a_service_reaches_the_ports_that_its_container_names(name: str):
    targets = {port["targetPort"] for port in RESOURCES["Service", name]["spec"]["ports"]}
    [rule] = RESOURCES["NetworkPolicy", name]["spec"]["ingress"]
    opened = {port["port"] for port in rule["ports"]}
    assert opened <= targets <= {port["name"] for port in container(name)["ports"]}


@pytest.mark.interop
@needs_otelcol
def test_the_official_collector_takes_what_compose_gives_it():
    assert otelcol_validate(MAIN, OVERLAY) == (0, "")


@pytest.mark.interop
@needs_otelcol
def test_the_official_collector_takes_what_kubernetes_gives_it(config_of):
    assert otelcol_validate(config_of("collector")) == (0, "")


@pytest.mark.interop
@needs_jaeger
def test_jaeger_takes_what_kubernetes_gives_it(config_of):
    assert jaeger_validate(config_of("jaeger"))[0] == 0


@pytest.mark.interop
@needs_otelcol
@needs_jaeger
def test_with_the_configuration_of_compose_a_span_is_in_the_file_and_in_jaeger(tmp_path: Path):
    for name in ("jaeger", "collector"):
        (tmp_path / name).mkdir()
    with Jaeger(tmp_path / "jaeger") as jaeger:
        environ = {"JAEGER_ENDPOINT": jaeger.otlp_grpc}
        with Otelcol([MAIN, OVERLAY], tmp_path / "collector", environ) as collector:
            provider = TracerProvider(resource=Resource({"service.name": "agent"}))
            provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{collector.otlp_http}/v1/traces")))
            with provider.get_tracer("scope").start_as_current_span("chat", attributes={"city": "Zürich"}) as span:
                pass
            provider.shutdown()
        arrived = jaeger.wait_for_trace(format(span.get_span_context().trace_id, "032x"), spans=1)
    written = json.loads((tmp_path / "collector" / "traces.jsonl").read_text(encoding="utf-8"))
    assert list(spans_of(arrived)) == list(spans_of(written))
    [there] = spans_of(written)
    assert (there["name"], there["attributes"]) == ("chat", {"city": {"stringValue": "Zürich"}})
