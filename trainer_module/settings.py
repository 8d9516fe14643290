"""What the learner must be told: features, label, model and training; standard library only.

These dataclasses are the one definition of the corresponding TOML tables. `pipeline.config` reads
the same tables through them, and TFX carries them to Transform and Trainer as plain JSON values
(`to_json`, `from_json`), so that a change of any value is seen by the caches.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.sections import ConfigurationError, check_section, read_section
from trainer_module.features import Feature, by_kind, read_features
from trainer_module.label import Label
from trainer_module.log import EVENTS, Log, read_log
from trainer_module.losses import Loss, read_loss
from trainer_module.models import Model, check_model, read_model
from trainer_module.training.settings import Training, check_training

CHECKS = {"label": check_section(Label), "model": check_model, "training": check_training}
"""How a layer's tables are checked; the keys of ``features`` depend on kinds that other layers may name."""


LEARNER = Path("assets.extra", "learner.json")
"""In a SavedModel: features, label and model sizes, and its variables' names in the checkpoint's order."""


@dataclass(frozen=True)
class Settings:
    """Everything the learner needs to know besides the data itself."""

    features: tuple[Feature, ...]
    label: Label
    model: Model
    training: Training
    loss: Loss | None = None
    """None for the task's own."""
    log: Log | None = None
    """What the rows say, of a behaviour log; the features are then its items'."""

    def __post_init__(self) -> None:
        self._check_log()
        if self.loss is None:
            return
        task, kind = self.label.task, self.loss.kind
        if self.loss.has_classes != self.label.rules.has_classes:
            meant = "classes" if self.loss.has_classes else "numbers"
            raise ConfigurationError(
                f"[loss] kind is {kind!r}, a loss of {meant}, and the task is '{task}': choose another kind."
            )
        if self.loss.link and self.label.log:
            raise ConfigurationError(
                f"[loss] kind {kind!r} has a logarithm of its own: leave [label] log out."
            )

    def _check_log(self) -> None:
        task = self.label.task
        if self.label.rules.reads_log != (self.log is not None):
            fix = "add the table [log]" if self.log is None else "remove [log], or choose another task"
            kind = "a behaviour log" if self.log is None else "a table of rows"
            raise ConfigurationError(f"[label] task '{task}' is learned from {kind}: {fix}.")
        if self.model.reads_log != self.label.rules.reads_log:
            raise ConfigurationError(
                f"[model] kind is '{self.model.kind}', which cannot learn the task '{task}': choose another kind"
                f"{', such as two_tower' if self.log else ''}."
            )
        if self.log is None:
            return
        if self.features and not self.log.items:
            raise ConfigurationError(
                "[features] are those of the item table, and [log] names none: give items the pattern of its files."
            )
        try:
            self.model.check_log(self.log)
        except ValueError as error:
            raise ConfigurationError(f"[model] {error}") from error
        for feature in self.features:
            if feature.share:
                raise ConfigurationError(
                    f"[features] '{feature.name}' has share, which items cannot: remove it, and the feature has a "
                    "vocabulary of its own."
                )
            if feature.name in (*EVENTS, self.log.item, *self.log.context):
                raise ConfigurationError(
                    f"[features] '{feature.name}' is what an example of a log calls its own: remove it, or rename the "
                    "column."
                )

    @property
    def products(self) -> int:
        """Multiplications of a row in the model's dense layers; 0 for unknown."""
        numbers, ids = (sum(each.width for each in kind) for kind in (self.numeric, self.categorical))
        return self.model.products(numbers, ids)

    @property
    def link(self) -> str | None:
        """What of the label is standardised (`trainer_module.standardisation.LINKS`); None where nothing is."""
        if not self.label.rules.is_standardised:
            return None
        return (self.loss and self.loss.link) or ("log1p" if self.label.log else "identity")

    @property
    def numeric(self) -> tuple[Feature, ...]:
        """Features that reach the model as numbers, in their column order."""
        return tuple(feature for feature in self._ordered if not feature.ids)

    @property
    def categorical(self) -> tuple[Feature, ...]:
        """Features that reach the model as ids, in their column order."""
        return tuple(feature for feature in self._ordered if feature.ids)

    @property
    def _ordered(self) -> list[Feature]:
        return [feature for alike in by_kind(self.features).values() for feature in alike]

    @property
    def all_features(self) -> tuple[Feature, ...]:
        """Those of rows or items, and those of a log's requests."""
        return (*self.features, *(self.log.context_features if self.log else ()))

    @property
    def named_files(self) -> dict[str, str]:
        """Setting → the path of a file or directory that it names and that decides what Transform makes."""
        return {
            f"path of [features] '{feature.name}'": feature.file for feature in self.features if feature.file
        }

    @property
    def preprocessing_modules(self) -> tuple[str, ...]:
        """The modules that the configuration chose and that decide what Transform makes."""
        chosen = {type(feature).__module__ for feature in self.all_features}
        return (type(self.label.rules).__module__, *sorted(chosen))

    @property
    def modules(self) -> tuple[str, ...]:
        """All modules that the configuration chose; no import statement names them."""
        loss = (type(self.loss).__module__,) if self.loss else ()
        learner = self.label.rules.learner.rpartition(".")[0]
        return (
            *self.preprocessing_modules,
            type(self.model).__module__,
            *self.model.modules,
            learner,
            *loss,
            *self.training.modules,
        )

    def to_json(self) -> dict[str, Any]:
        """The settings as the tables that `from_json` reads."""
        features = {}
        for feature in self.features:
            features[feature.name] = {"kind": feature.kind, **dataclasses.asdict(feature)}
            del features[feature.name]["name"]
        label = _given(self.label)
        # Only the data gate asks for it: a change of it repeats no training.
        del label["max_missing"]
        return {
            "features": features,
            "label": label,
            "model": {"kind": self.model.kind, **_given(self.model)},
            "training": _given(self.training),
            **({"loss": {"kind": self.loss.kind, **_given(self.loss)}} if self.loss else {}),
            **({"log": _given(self.log)} if self.log else {}),
        }

    @classmethod
    def from_learner(cls, learner: Mapping[str, Any]) -> "Settings":
        """Those that a model was made from, of what its `LEARNER` holds.

        How it was trained is not in it, and of no interest; a batch size is required.

        Raises:
          ConfigurationError: If this version cannot read them.
          KeyError: If there are none.
        """
        return cls.from_json({**learner["settings"], "training": {"global_batch_size": 1}})

    @classmethod
    def from_json(cls, tables: Mapping[str, Any], where: str = "settings:") -> "Settings":
        """Reads the tables ``features``, ``label``, ``model``, ``training``, ``loss`` and ``log``.

        Raises:
          ConfigurationError: In one sentence, with `where` naming the file.
        """
        return cls(
            features=read_features(tables.get("features", {}), f"{where} [features]"),
            label=read_section(Label, tables.get("label", {}), f"{where} [label]"),
            model=read_model(tables.get("model", {}), f"{where} [model]"),
            training=read_section(Training, tables.get("training", {}), f"{where} [training]"),
            loss=read_loss(tables.get("loss", {}), f"{where} [loss]"),
            log=read_log(tables.get("log", {}), f"{where} [log]"),
        )


def _given(section: Any) -> dict[str, Any]:
    return _without_none(dataclasses.asdict(section))


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    def as_read(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _without_none(value)
        return list(value) if isinstance(value, tuple) else value

    return {name: as_read(value) for name, value in table.items() if value is not None}
