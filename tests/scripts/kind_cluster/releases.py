"""Small stand-ins for the files that kind-up downloads, in the form of the real ones."""

import io
import tarfile


def definition(name: str, kind: str) -> str:
    group = name.partition(".")[2]
    return (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        f"metadata: {{name: {name}}}\nspec: {{group: {group}, names: {{kind: {kind}}}}}\n"
    )


def deployment(name: str, namespace: str, container: str, image: str, more: str = "") -> str:
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n"
        f"  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n"
        f"    spec:\n      containers:\n      - {{name: {container}, image: {image}, imagePullPolicy: Always{more}}}\n"
    )


def namespace(name: str) -> str:
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"


def certificate(name: str) -> str:
    return f"apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {{name: {name}, namespace: kserve}}\n"


CERT_MANAGER = "---\n".join(
    [
        namespace("cert-manager"),
        definition("certificates.cert-manager.io", "Certificate"),
        deployment(
            "cert-manager-webhook",
            "cert-manager",
            "webhook",
            "quay.io/jetstack/cert-manager-webhook:v1",
            ', args: ["--acme-http01-solver-image=quay.io/jetstack/cert-manager-acmesolver:v1"]',
        ),
    ]
)

KSERVE = "---\n".join(
    [
        definition("inferenceservices.serving.kserve.io", "InferenceService"),
        definition("clusterstoragecontainers.serving.kserve.io", "ClusterStorageContainer"),
        definition("llminferenceservices.serving.kserve.io", "LLMInferenceService"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inferenceservice-config, namespace: kserve}\n"
        'data:\n  deploy: |-\n    {"defaultDeploymentMode": "Serverless"}\n  router: "{}"\n'
        '  logger: |-\n    {"image": "kserve/agent:v0.21.0"}\n',
        deployment("kserve-controller-manager", "kserve", "manager", "kserve/kserve-controller:v0.21.0"),
        deployment("llmisvc-controller-manager", "kserve", "manager", "kserve/llmisvc-controller:v0.21.0"),
        deployment("kserve-localmodel-controller-manager", "kserve", "manager", "kserve/localmodel:v0.21.0"),
        certificate("serving-cert"),
        certificate("llmisvc-serving-cert"),
        "apiVersion: serving.kserve.io/v1alpha1\nkind: ClusterStorageContainer\nmetadata: {name: default}\n"
        "spec: {container: {name: storage-initializer, image: kserve/storage-initializer:v0.21.0}}\n",
    ]
)

ARGO_URL = "https://github.com/argoproj/argo-workflows/manifests"
PIPELINES = {
    "frontend/kustomization.yaml": "resources: [https://example.com/not-ours]\n",
    "manifests/kustomize/cluster-scoped-resources/kustomization.yaml": (
        "namespace: kubeflow\nresources:\n- namespace.yaml\n- application.yaml\n- ../third-party/argo/cluster-scoped\n"
    ),
    "manifests/kustomize/cluster-scoped-resources/namespace.yaml": namespace("kubeflow"),
    "manifests/kustomize/cluster-scoped-resources/application.yaml": definition(
        "applications.app.k8s.io", "Application"
    ),
    "manifests/kustomize/third-party/argo/cluster-scoped/kustomization.yaml": (
        f"resources:\n# Minimal.\n- {ARGO_URL}/base/crds/minimal?ref=v4.0.8\n"
    ),
    "manifests/kustomize/third-party/argo/base/kustomization.yaml": (
        f"namespace: kubeflow\nresources:\n- {ARGO_URL}/base/workflow-controller?ref=v4.0.8&timeout=60s\n"
    ),
    "manifests/kustomize/env/platform-agnostic/kustomization.yaml": (
        "namespace: kubeflow\nresources:\n- ../../third-party/argo/base\n- secret.yaml\n- mysql.yaml\n"
    ),
    "manifests/kustomize/env/platform-agnostic/secret.yaml": (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: mlpipeline-minio-artifact}\n"
        "stringData: {accesskey: minio, secretkey: minio123}\n"
    ),
    "manifests/kustomize/env/platform-agnostic/mysql.yaml": deployment(
        "mysql",
        "kubeflow",
        "mysql",
        "mysql:8.4",
        ", env: [{name: V2_DRIVER_IMAGE, value: 'ghcr.io/kubeflow/kfp-driver:2.17.0'}]",
    ),
}
ARGO = {
    "manifests/base/crds/minimal/kustomization.yaml": "resources: [workflows.yaml]\n",
    "manifests/base/crds/minimal/workflows.yaml": definition("workflows.argoproj.io", "Workflow"),
    "manifests/base/workflow-controller/kustomization.yaml": "resources: [controller.yaml]\n",
    "manifests/base/workflow-controller/controller.yaml": deployment(
        "workflow-controller", "argo", "controller", "quay.io/argoproj/workflow-controller:v4.0.8"
    ),
}


def archive(top: str, files: dict[str, str]) -> bytes:
    """The sources of a release as github.com packs them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


FILES = {
    "kind-linux-amd64": b'#!/bin/sh\nexec kind-by-its-path "$@"\n',
    "cert-manager.yaml": CERT_MANAGER.encode(),
    "kserve.yaml": KSERVE.encode(),
    "pipelines.tar.gz": archive("pipelines-2.17.0", PIPELINES),
    "argo-workflows.tar.gz": archive("argo-workflows-4.0.8", ARGO),
}
"""By the last part of their addresses."""
