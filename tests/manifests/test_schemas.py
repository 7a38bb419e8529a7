"""Every object of every overlay is one that the API server knows, field by field."""

import pytest

from tests.manifests.objects import OVERLAYS, Object, find, render
from tests.manifests.schemas import Schemas, find_schemas


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return find_schemas()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid(overlay: str, schemas: Schemas) -> None:
    complaints = {f"{o['kind']} {o['metadata']['name']}": schemas.complaints(o) for o in render(overlay)}
    assert {name: found for name, found in complaints.items() if found} == {}


def inference_service() -> Object:
    return find(render("abtest"), "InferenceService", "newsrec")


def test_an_unknown_kind_is_an_error(schemas: Schemas) -> None:
    service = {**inference_service(), "kind": "InferenceServices"}
    assert schemas.complaints(service) == ["unknown kind InferenceServices of serving.kserve.io/v1beta1"]
    deployment = {**find(render("kind"), "Deployment", "collector"), "apiVersion": "apps/v2"}
    assert schemas.complaints(deployment) == ["unknown kind Deployment of apps/v2"]


def test_an_unknown_field_of_kubernetes_is_an_error(schemas: Schemas) -> None:
    deployment = find(render("kind"), "Deployment", "collector")
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    (complaint,) = schemas.complaints(deployment)
    assert "'readynessProbe' was unexpected" in complaint


@pytest.mark.parametrize("where", ["predictor", "canary"])
def test_an_unknown_field_of_kserve_is_an_error(where: str, schemas: Schemas) -> None:
    service = inference_service()
    predictor = service["spec"]["predictor"] if where == "predictor" else service["spec"]["canary"][0]["predictor"]
    predictor["containers"][0]["readinessProbe"]["httpGet"]["prot"] = 8080
    (complaint,) = schemas.complaints(service)
    assert "'prot' was unexpected" in complaint


def test_a_wrong_type_and_a_missing_field_are_errors(schemas: Schemas) -> None:
    service = inference_service()
    service["spec"]["predictor"]["minReplicas"] = "2"
    del service["spec"]["canary"][0]["trafficPercent"]
    complaints = schemas.complaints(service)
    assert sorted(complaints) == [
        "spec.canary.0: 'trafficPercent' is a required property",
        "spec.predictor.minReplicas: '2' is not of type 'integer'",
    ]


def test_metadata_of_a_custom_resource_is_checked_too(schemas: Schemas) -> None:
    service = inference_service()
    service["metadata"]["annotation"] = {}
    (complaint,) = schemas.complaints(service)
    assert "'annotation' was unexpected" in complaint


def test_tracing_is_the_one_field_that_may_be_newer_than_the_schemas(schemas: Schemas) -> None:
    service = inference_service()
    service["spec"]["tracing"] = {}
    assert schemas.complaints(service) == []
    service["spec"]["traces"] = {}
    assert len(schemas.complaints(service)) == 1


def test_a_service_monitor_is_strict_as_well(schemas: Schemas) -> None:
    monitor = find(render("production"), "ServiceMonitor", "predictor")
    monitor["spec"]["endpoints"][0]["intervall"] = "30s"
    (complaint,) = schemas.complaints(monitor)
    assert "'intervall' was unexpected" in complaint
