"""What a profile says about a cluster: the sections `[kubeflow]` and `[steps.<id>]`; standard library only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from foundation.sections import (
    ConfigurationError,
    Tables,
    check_keys,
    inside,
    read_section,
    refuse_unknown_keys,
    require,
    require_distinct,
)
from pipeline.nodes import CLUSTER_NODES, NODES, SCORING_NODES

DEFAULT_STEP = "default"
"""`[steps.default]` holds for every step, under what the step's own section says."""

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_CPU = re.compile(r"[0-9]+(\.[0-9]+)?|[0-9]+m")
_MEMORY = re.compile(r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?")
# RFC 1123 subdomain: what Kubernetes asks of the names of secrets, claims and service accounts.
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Toleration:
    """Lets a step run on a tainted node; the fields are Kubernetes' own."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    def __post_init__(self) -> None:
        require(
            bool(self.key) or self.operator == "Exists",
            'has no key: only operator = "Exists" tolerates every taint.',
        )
        require(
            not self.value or self.operator == "Equal",
            f'has the value {self.value!r}, which operator = "Exists" ignores: set operator = "Equal".',
        )


@dataclass(frozen=True)
class Step:
    """What one step's pod asks of the cluster. Requests and limits are equal."""

    image: str = ""
    """Instead of the image of `[kubeflow]`, for example one with GPU libraries."""
    cpu: str = "1"
    memory: str = "4Gi"
    gpus: int = 0
    gpu_resource: str = "nvidia.com/gpu"
    shared_memory: str = ""
    retries: int = 1
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Secret name → key in the secret → environment variable."""
    volumes: dict[str, str] = field(default_factory=dict)
    """Claim name → mount path, besides the volumes of `[kubeflow]` that the step needs anyway."""
    run_as_user: int | None = None

    def __post_init__(self) -> None:
        _require_image(self.image or "none")
        require(bool(_CPU.fullmatch(self.cpu)), f'cpu is {self.cpu!r}; it must be like "2" or "500m".')
        for name in ("memory", "shared_memory"):
            value = getattr(self, name)
            require(
                bool(_MEMORY.fullmatch(value)) or (name == "shared_memory" and not value),
                f'{name} is {value!r}; it must be like "4Gi" or "500Mi".',
            )
        require(self.gpus >= 0, f"gpus is {self.gpus}; it must be 0 or more.")
        require(0 <= self.retries <= 10, f"retries is {self.retries}; it must be from 0 to 10.")
        for secret in self.secrets:
            _require_name("secrets", secret)
        _require_volumes(self.volumes)


@dataclass(frozen=True)
class Kubeflow:
    """Where the steps' code, data and models are on the cluster."""

    image: str
    data_directory: str
    """Mounted folder of all datasets; this one's files are in `<data_directory>/<name>`."""
    models_directory: str
    """Mounted folder of all pushed models; laid out like a local work directory."""
    training_directory: str | None = None
    """Mounted folder that all workers of a training share; needed with several workers, and with pods for trials."""
    shared_directory: str | None = None
    """Mounted folder that Beam's workers elsewhere see at the same path; needed with a runner other than DirectRunner."""
    volumes: dict[str, str] = field(default_factory=dict)
    """Claim name → mount path; a step mounts those that hold a directory it uses."""
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str | None = None
    """Of the run's pods; None for the one that the installation sets."""
    pipeline_root: str | None = None
    """Where artifacts go, for example "s3://bucket/prefix"; None for the installation's default."""
    version: str = "2.14"
    """The oldest Kubeflow Pipelines that must accept the compiled file."""

    def __post_init__(self) -> None:
        _require_image(self.image)
        for name in ("data_directory", "models_directory", "training_directory", "shared_directory"):
            value = getattr(self, name)
            require(
                value is None or value.startswith("/"),
                f"{name} is {value!r}; it must be an absolute path inside the containers.",
            )
        require(
            bool(re.fullmatch(r"2\.[0-9]+", self.version)),
            f'version is {self.version!r}; it must be a Kubeflow Pipelines release such as "2.14".',
        )
        require_distinct(self.image_pull_secrets, "image_pull_secrets")
        for secret in self.image_pull_secrets:
            _require_name("image_pull_secrets", secret)
        if self.service_account is not None:
            _require_name("service_account", self.service_account)
        require(
            self.pipeline_root is None or bool(re.match(r"(minio|s3|gs)://[^/]+", self.pipeline_root)),
            f"pipeline_root is {self.pipeline_root!r}; it must begin with minio://, s3:// or gs://.",
        )
        _require_volumes(self.volumes)

    @property
    def release(self) -> tuple[int, int]:
        """`version` as numbers that compare."""
        major, minor = self.version.split(".")
        return int(major), int(minor)


def read_kubeflow(table: Any, where: str) -> Kubeflow | None:
    """Where to run on a cluster; None for a profile that says nothing of one."""
    return read_section(Kubeflow, table, where) if table else None


def read_steps(table: Any, where: str) -> dict[str, Step]:
    """Every node's step, its own section over `[steps.default]`.

    Raises:
      ConfigurationError: On a section for a node that the graph lacks, an unknown key or a bad value.
    """
    check_steps(table, {}, where)
    default = table.get(DEFAULT_STEP, {})
    return {
        node: read_section(Step, {**default, **table.get(node, {})}, inside(where, node))
        for node in (*NODES, *CLUSTER_NODES, *SCORING_NODES)
    }


def check_steps(table: Any, lower: Tables, where: str) -> None:
    """Checks names and types of one layer of `[steps]`: a `foundation.sections.Check`.

    Raises:
      ConfigurationError: On an unknown step or key, or a wrong type.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} must hold sections such as [steps.Trainer].")
    refuse_unknown_keys(table, {*NODES, *CLUSTER_NODES, *SCORING_NODES, DEFAULT_STEP}, where)
    for node, step in table.items():
        check_keys(Step, step, inside(where, node))


def _require_image(image: str) -> None:
    require(
        bool(re.fullmatch(r"[^\s{}$]+", image)),
        f"image is {image!r}; it must be an image reference, best with a digest: name@sha256:….",
    )


def _require_name(key: str, name: str) -> None:
    require(
        bool(_KUBERNETES_NAME.fullmatch(name)),
        f"{key} names {name!r}; Kubernetes names are lower-case letters, digits, hyphens and dots.",
    )


def _require_volumes(volumes: Mapping[str, str]) -> None:
    for claim, path in volumes.items():
        _require_name("volumes", claim)
        require(path.startswith("/"), f"volumes mounts {claim} at {path!r}; it must be an absolute path.")
