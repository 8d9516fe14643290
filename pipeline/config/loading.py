"""One configuration from a dataset file, a profile and command-line overrides.

Nothing here imports TensorFlow: a mistake is reported in well under a second, in one sentence that
names the file, the key and the fix. Each section's dataclass is defined where it is used, under the same rule.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from components.app_exporter.settings import App
from components.data_gate.settings import Drift
from components.evaluator.settings import Metric, read_metrics
from components.example_gen.behaviour_log.reading import LogReading
from components.example_gen.reading.dialect import Reading
from components.example_gen.splits import TRAIN, Splits
from components.pusher.settings import Card
from components.scoring.settings import Scoring
from components.serving_check.settings import Serving
from foundation import project
from foundation.sections import (
    ConfigurationError,
    Tables,
    check_section,
    inside,
    lay_over,
    parse_override,
    read_section,
    read_toml,
    refuse_unknown_keys,
)
from pipeline.config import places
from pipeline.config.agreement import check_agreement
from pipeline.config.ceiling import read_ceiling
from pipeline.config.columns import log_reading_of, named_columns, reading_of
from pipeline.config.dataset import Evaluation, Gate, Source
from pipeline.config.profile import Beam
from pipeline.config.tables import DATASET, PROFILE, Table
from pipeline.config.window import Retention, Window
from pipeline.kubeflow.settings import Kubeflow, Step, check_steps, read_kubeflow, read_steps
from pipeline.metadata.database import Database, read_database
from pipeline.nodes import NODES, STEPS
from pipeline.notify.settings import NOTIFY_SECTION, Notify
from trainer_module.features import read_features
from trainer_module.label import Label
from trainer_module.log import ITEMS, Log, read_log
from trainer_module.losses import read_loss
from trainer_module.models import check_model, read_model
from trainer_module.settings import Settings
from trainer_module.training.settings import Training, check_training
from trainer_module.tuning.settings import Tuning, check_tuning, read_tuning

ROOT = project.PACKAGE


def _read_gates(table: Any, where: str) -> dict[str, Gate]:
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} must be a table of gates, not {table!r}.")
    return {metric: read_section(Gate, gate, inside(where, metric)) for metric, gate in table.items()}


_LEARN = ("Tuner", "Trainer", "ServingCheck", "AppExporter", "RunReport")
_READ_ROWS = ("DataGate", "Transform", *_LEARN)
_READ_LOG = ("Transform", "Tuner", "Trainer", "Evaluator", "ServingCheck", "RunReport")


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run does, except where its files are (`pipeline.workspace`).

    This is the one declaration of each table of the TOML files: see `pipeline.config.tables`.
    """

    name: str
    profile: str
    dataset_file: Path
    source: Source = field(metadata={"source": Table((DATASET,), ("ExampleGen", "SchemaGen"), Source)})
    splits: Splits = field(metadata={"splits": Table((DATASET,), ("ExampleGen",), Splits)})
    window: Window = field(metadata={"window": Table((DATASET,), ("ExampleGen",), Window)})
    retention: Retention = field(metadata={"retention": Table((DATASET, PROFILE), ("Pusher",), Retention)})
    settings: Settings = field(
        metadata={
            "features": Table((DATASET,), ("ExampleGen", *_READ_ROWS), read_features),
            "label": Table((DATASET,), ("ExampleGen", *_READ_ROWS, "Evaluator", "Pusher"), Label),
            "model": Table((DATASET,), _LEARN, read_model, check_model),
            "training": Table((DATASET, PROFILE), _LEARN, Training, check_training),
            "loss": Table((DATASET,), (*_LEARN, "Pusher"), read_loss),
            "log": Table((DATASET,), ("ExampleGen", *_READ_LOG), read_log, check_section(Log)),
        }
    )
    tuning: Tuning = field(
        metadata={"tuning": Table((DATASET, PROFILE), ("Tuner",), read_tuning, check_tuning)}
    )
    evaluation: Evaluation = field(metadata={"evaluation": Table((DATASET,), ("Evaluator",), Evaluation)})
    metrics: dict[str, Metric] = field(metadata={"metrics": Table((DATASET,), ("Evaluator",), read_metrics)})
    gates: dict[str, Gate] = field(metadata={"gates": Table((DATASET,), ("Evaluator",), _read_gates)})
    card: Card = field(metadata={"card": Table((DATASET,), ("Pusher",), Card)})
    drift: Drift = field(metadata={"drift": Table((DATASET, PROFILE), ("DataGate",), Drift)})
    scoring: Scoring = field(metadata={"scoring": Table((DATASET, PROFILE), (), Scoring)})
    beam: Beam = field(metadata={"beam": Table((PROFILE,), (), Beam)})
    metadata: Database | None = field(
        metadata={"metadata": Table((PROFILE,), (), read_database, check_section(Database))}
    )
    serving: Serving = field(metadata={"serving": Table((PROFILE,), ("ServingCheck", "Pusher"), Serving)})
    app: App = field(metadata={"app": Table((PROFILE,), ("AppExporter",), App)})
    kubeflow: Kubeflow | None = field(
        metadata={"kubeflow": Table((PROFILE,), (), read_kubeflow, check_section(Kubeflow))}
    )
    steps: dict[str, Step] = field(metadata={"steps": Table((PROFILE,), (), read_steps, check_steps)})
    notify: Notify = field(metadata={"notify": Table((PROFILE,), (), NOTIFY_SECTION)})
    compared_columns: tuple[str, ...] = ()
    """Columns that are read, if they are there, although nothing names them: see `pipeline.schema`."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Ids of the nodes that the graph has under this configuration."""
        return tuple(node for node in NODES if STEPS[node].is_wanted(self))

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are read, and what names each, in words that follow "which"."""
        return named_columns(self)

    @property
    def reading(self) -> Reading:
        """What the source's format needs to know besides the files."""
        return reading_of(self)

    @property
    def learned_splits(self) -> list[str]:
        """The splits that vocabularies and models are made of: of a log, its items too."""
        return [TRAIN, *([ITEMS] if self.settings.log else [])]

    @property
    def log_reading(self) -> LogReading | None:
        """What is to be known of a behaviour log and its item table; None of a table that is none."""
        return log_reading_of(self)

    @property
    def ceiling(self) -> dict[str, float]:
        """Metric → what no recommender can exceed; empty where the dataset file does not say.

        Raises:
          ConfigurationError: If the file that it names cannot be read.
        """
        log, file = self.settings.log, self.evaluation.ceiling
        if log is None or not file:
            return {}
        return read_ceiling(self.dataset_file.parent / file, log.split, "[evaluation] ceiling")

    @property
    def schema_file(self) -> Path | None:
        """The reviewed schema, or None where SchemaGen is to infer one."""
        return self.dataset_file.parent / self.source.schema if self.source.schema else None

    @property
    def serving_logs(self) -> Path | None:
        """The directory of logged requests that the newest data is compared with."""
        return None if self.drift.action == "off" else self.request_log

    @property
    def request_log(self) -> Path | None:
        """The same directory, also while nothing is compared with it."""
        return self.dataset_file.parent / self.drift.serving_logs if self.drift.serving_logs else None


_TABLES: dict[str, Table] = {
    name: declared for each in fields(Config) for name, declared in each.metadata.items()
}
_CHECKS = {name: check for name, declared in _TABLES.items() if (check := declared.checks())}


def load(dataset: str, profile: str, overrides: Sequence[str] = ()) -> Config:
    """Reads and checks a whole configuration.

    Args:
      dataset: A name in ``datasets/``, of the project or else of the package, or a path to a TOML file.
      profile: A name in ``profiles/``, likewise, or a path to a TOML file.
      overrides: ``section.key=value`` texts; the value is TOML, or a bare text.

    Later layers win: dataset, profile (after what it extends), overrides.

    Raises:
      ConfigurationError: In one sentence that names the file or flag, the key and the fix.
    """
    project.check_rooms()
    dataset_file = places.find("dataset", dataset, project.folders("datasets"))
    profile_file = places.find("profile", profile, project.folders("profiles"))
    layers = [
        (places.shown(dataset_file), _read_layer(dataset_file, DATASET)),
        *_read_profile(profile_file, seen=()),
        *((f"--set {text}", parse_override(text, _TABLES)) for text in overrides),
    ]
    tables: Tables = {}
    for where, layer in layers:
        lay_over(tables, layer, _CHECKS, where)
    return _build(tables, dataset_file, profile_file.stem)


def _read_layer(path: Path, owner: str) -> Tables:
    tables = read_toml(path, places.shown(path))
    known = [key for key, declared in _TABLES.items() if owner in declared.owners]
    refuse_unknown_keys(
        tables, [*known, {DATASET: "name", PROFILE: "extends"}[owner]], f"{places.shown(path)}:"
    )
    return tables


def _read_profile(path: Path, seen: tuple[Path, ...]) -> list[tuple[str, Tables]]:
    if path in seen:
        raise ConfigurationError(f"{places.shown(path)} extends itself: remove one 'extends'.")
    tables = _read_layer(path, PROFILE)
    extended = tables.pop("extends", None)
    if extended is None:
        return [(places.shown(path), tables)]
    if not isinstance(extended, str):
        raise ConfigurationError(f"{places.shown(path)}: extends must be the name of a profile.")
    lower = _read_profile(places.find_extended(extended, path, (*seen, path)), (*seen, path))
    return [*lower, (places.shown(path), tables)]


def _build(tables: Tables, dataset_file: Path, profile: str) -> Config:
    where = f"{places.shown(dataset_file)}:"
    name = tables.get("name")
    # A pipeline name is a folder, a TF Serving model name and a Kubernetes label at once.
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?", name):
        raise ConfigurationError(
            f"{where} name is {name!r}; it must be lower-case letters, digits and hyphens, for example 'taxi'."
        )

    # What both kinds of file may have is named without one: `load` has checked each file's own part.
    named: dict[tuple[str, ...], str] = {(DATASET,): where, (PROFILE,): f"profile {profile}:"}
    values = {
        key: declared.value(tables.get(key, {}), f"{named.get(declared.owners, '')} [{key}]".lstrip())
        for key, declared in _TABLES.items()
    }
    settings = Settings(
        **{key: values.pop(key) for key in ("features", "label", "model", "training", "loss", "log")}
    )
    features = tuple(feature.within(dataset_file.parent) for feature in settings.features)
    settings = replace(settings, features=features)
    config = Config(name=name, profile=profile, dataset_file=dataset_file, settings=settings, **values)
    check_agreement(config, where)
    return config
