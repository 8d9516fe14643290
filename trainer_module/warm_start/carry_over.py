"""Training that starts from the live model's variables instead of from random ones.

What is carried over is what means the same in both models (`Model.axes`): an embedding's row by
vocabulary term, a weight by the feature and the unit that it joins. Everything else keeps its fresh
value. The optimizer starts anew: its moments belong to the gradients of the old data.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from foundation.sections import ConfigurationError
from trainer_module.export import CHECKPOINT_KEY, variable_name
from trainer_module.features import Keys
from trainer_module.features.vocabulary import read_terms
from trainer_module.label import Label
from trainer_module.model import PREDICTIONS
from trainer_module.settings import LEARNER, Settings

_LOG = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Group:
    """One feature's rows of the embedding table, or one other variable.

    `unit` is what is counted; `dropped` are those of the live model that have no place here.
    """

    name: str
    unit: str
    carried: int
    new: int
    dropped: int


@dataclass(frozen=True)
class WarmStart:
    """What was carried over; `reason` says why where nothing was, and `weights` names what came of it."""

    base_model: str
    groups: tuple[Group, ...] = ()
    reason: str | None = None
    weights: str = ""


class _Unusable(Exception):
    """The live model cannot be started from; the message says why."""


def start_from(
    base_model: str, model: keras.Model, settings: Settings, transform_output: tft.TFTransformOutput
) -> WarmStart:
    """Gives `model` what `base_model` and it have in common, and says in one line a group what that is.

    Called by every worker, which all read the same files and so start equal.

    Args:
      base_model: A SavedModel that `export_model` wrote; "" where nothing is live yet.
      model: From `build_model`, fresh.
      settings: What it was built from.
      transform_output: Its vocabularies.
    """
    try:
        old = _read(base_model)
        new = _axes(settings, lambda name: Path(str(transform_output.vocabulary_file_by_name(name))))
        groups, weights = _carry(old, model, new, settings)
    except _Unusable as error:
        _LOG.info("warm start: %s; training starts from scratch", error)
        return WarmStart(base_model, reason=str(error))
    for group in groups:
        _LOG.info(
            "warm start: %s: %d %s carried over, %d new, %d dropped",
            group.name, group.carried, group.unit, group.new, group.dropped,
        )  # fmt: skip
    if not any(group.carried for group in groups):
        reason = "nothing of the live model fits this one"
        _LOG.info("warm start: %s; training starts from scratch", reason)
        return WarmStart(base_model, tuple(groups), reason)
    model.set_weights(weights)
    # Of what the model has now: of this worker's replica, where there are several.
    digest = hashlib.sha256(b"".join(value.tobytes() for value in model.get_weights())).hexdigest()[:16]
    _LOG.info("warm start from %s: weights %s, the optimizer starts anew", base_model, digest)
    return WarmStart(base_model, tuple(groups), weights=digest)


@dataclass(frozen=True)
class _Live:
    settings: Settings
    variables: dict[str, Array]
    axes: dict[str, tuple[Keys, ...]]


def _read(base_model: str) -> _Live:
    directory = Path(base_model)
    if not base_model or not (directory / "saved_model.pb").is_file():
        raise _Unusable("there is no live model yet")
    if not (directory / LEARNER).is_file():
        raise _Unusable(f"the live model does not say what it was made from ({LEARNER} is missing)")
    try:
        learner = json.loads((directory / LEARNER).read_text())
        settings = Settings.from_learner(learner)
        checkpoint = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
        variables = {
            name: checkpoint.get_tensor(CHECKPOINT_KEY.format(index))
            for index, name in enumerate(learner["variables"])
        }
        keys = _axes(settings, (directory / "assets").joinpath)
    except (OSError, ValueError, KeyError, tf.errors.OpError, ConfigurationError) as error:
        raise _Unusable(f"the live model cannot be read ({error})") from error
    return _Live(settings, variables, keys)


def _axes(settings: Settings, file_of: Callable[[str], Path]) -> dict[str, tuple[Keys, ...]]:
    """What each place of each axis of each variable stands for, of all that the model can tell of.

    The same row of two models' tables is rarely the same thing: vocabularies are ordered by frequency, and features
    come and go. Equal keys mean the same in both.

    Args:
      settings: What the model was built from.
      file_of: Where the terms of a vocabulary are.
    """
    terms = {
        each.name: read_terms(file_of(each.vocabulary)) for each in settings.all_features if each.vocabulary
    }
    requested = settings.log.context_features if settings.log else ()
    classes = settings.label.rules.class_vocabulary
    return settings.model.axes(
        numbers=[
            ("number", feature.name, *([column] if feature.width > 1 else []))
            for feature in settings.numeric
            for column in range(feature.width)
        ],
        rows={
            (feature.name, feature.kind): []
            if feature.share
            else feature.id_keys(terms.get(feature.name, ()))
            for feature in (*settings.categorical, *requested)
        },
        outputs=[("class", each) for each in read_terms(file_of(classes))]
        if classes
        else _heads(settings.label),
    )


def _heads(label: Label) -> Keys:
    """What the outputs stand for: of heads by name and by what they predict, wherever the others have put them."""
    return [
        ("output", *((name, part.column, part.expression, part.positive) if name else ()))
        for name, part in label.parts.items()
    ]


def _but_heads(label: Label) -> dict[str, Any]:
    return {name: value for name, value in vars(label).items() if name != "heads"}


def _carry(
    old: _Live, model: keras.Model, new: dict[str, tuple[Keys, ...]], settings: Settings
) -> tuple[list[Group], list[Array]]:
    # Heads come and go; a single label is another one.
    if _but_heads(old.settings.label) != _but_heads(settings.label):
        raise _Unusable("the live model predicts another label")
    if settings.link and f"{PREDICTIONS}/scale" not in old.variables:
        raise _Unusable("the live model was trained on a label that was not standardised")
    if settings.link != old.settings.link:
        raise _Unusable("the live model was trained on another scale of the label")
    groups: list[Group] = []
    weights: list[Array] = []
    for variable, fresh in zip(model.variables, model.get_weights()):
        name = variable_name(variable)
        value = np.array(fresh)
        weights.append(value)
        source = old.variables.get(name)
        if source is None:
            groups.append(Group(name, "values", 0, value.size, 0))
            continue
        if not np.isfinite(source).all():
            raise _Unusable(f"{name} of the live model has values that are not finite")
        ours, theirs = new.get(name), old.axes.get(name)
        if ours is None or theirs is None or _shape(ours) != value.shape or _shape(theirs) != source.shape:
            # The model does not say what it stands for: name and shape must do.
            fits = source.shape == value.shape
            if fits:
                value[...] = source
            groups.append(_values(name, value.size * fits, value, source))
            continue
        matches = [_match(here, there) for here, there in zip(ours, theirs)]
        value[np.ix_(*(here for here, _ in matches))] = source[np.ix_(*(there for _, there in matches))]
        if name in settings.model.tables:
            groups += _rows(ours[0], theirs[0], same_width=bool(matches[1][0]))
        else:
            carried = int(np.prod([len(here) for here, _ in matches]))
            groups.append(_values(name, carried, value, source))
    present = {variable_name(variable) for variable in model.variables}
    groups += [
        Group(name, "values", 0, 0, source.size)
        for name, source in old.variables.items()
        if name not in present
    ]
    return groups, weights


def _shape(axes: tuple[Keys, ...]) -> tuple[int, ...]:
    return tuple(len(keys) for keys in axes)


def _match(ours: Keys, theirs: Keys) -> tuple[list[int], list[int]]:
    """Places of equal keys, in ours and in theirs."""
    places = {key: place for place, key in enumerate(theirs) if key is not None}
    both = [(here, places[key]) for here, key in enumerate(ours) if key in places]
    return [here for here, _ in both], [there for _, there in both]


def _values(name: str, carried: int, value: Array, source: Array) -> Group:
    shapes = f" {source.shape} -> {value.shape}" if source.shape != value.shape else ""
    return Group(f"{name}{shapes}", "values", carried, value.size - carried, source.size - carried)


def _rows(ours: Keys, theirs: Keys, same_width: bool) -> list[Group]:
    """One group for each feature; nothing is carried over from embeddings of another width."""

    def by_feature(keys: Keys) -> dict[str, set[Hashable]]:
        rows: dict[str, set[Hashable]] = {}
        for key in keys:
            if isinstance(key, tuple):
                rows.setdefault(key[0], set()).add(key)
        return rows

    here, there = by_feature(ours), by_feature(theirs)
    groups = []
    for feature in [*here, *(name for name in there if name not in here)]:
        mine, live = here.get(feature, set()), there.get(feature, set())
        carried = len(mine & live) if same_width else 0
        groups.append(Group(feature, "rows", carried, len(mine) - carried, len(live) - carried))
    return groups
