"""One SavedModel of a recommender, of core operations only, always traced under float32.

recommend        histories, what to leave out or to choose among, and k → items as the log has them, and scores
serving_default  serialized examples with a history → the same, of `K_MAX` items
embed_user       histories → vectors
embed_item       items → vectors
rank             histories, and items of each → a score of each of these
ranks            serialized examples of sequences → the rank of each target: what the Evaluator asks
app              item numbers and ages of one history → item numbers and scores: what TFLite and TF.js are made of

All answers come from the same scores and the same mask.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from foundation.request_names import request_name
from trainer_module.export import Archive, Tensors, write_archive
from trainer_module.log import (
    BASKET,
    EVENT_KIND,
    FIRST_TARGET,
    ITEM,
    TIME,
    VOCABULARY,
    Log,
    context_name,
)
from trainer_module.retrieval import signatures
from trainer_module.retrieval.app import AppRecommender
from trainer_module.retrieval.catalogue import Catalogue
from trainer_module.retrieval.context import joined
from trainer_module.retrieval.network import IS_ROW
from trainer_module.retrieval.preprocessing import UNKNOWN
from trainer_module.retrieval.serving.answers import Answers
from trainer_module.retrieval.serving.indexed import IndexedAnswers
from trainer_module.retrieval.serving.inverted_file import make_index
from trainer_module.retrieval.serving.search import Search
from trainer_module.second_stage.pairs import Find
from trainer_module.second_stage.stage import Stage
from trainer_module.settings import Settings

Fit = Callable[[Any, Find | None], Stage]
"""Trains the second stage of a frozen network, of candidates that an index finds where there is one."""


def export_recommender(
    trained: keras.Model,
    settings: Settings,
    catalogue: Catalogue,
    transform_output: tft.TFTransformOutput,
    directory: str,
    fit_second: Fit | None = None,
) -> None:
    """Writes the SavedModel for `trained`.

    Args:
      trained: From `RetrievalLearner.build`; only its weights are taken.
      settings: What it was built from.
      catalogue: The same.
      transform_output: With the vocabulary of items.
      directory: Appears only when it is complete.
      fit_second: Trains the second stage of the network that is exported.
    """

    def make() -> Archive:
        network = settings.model.build_network(settings, catalogue)
        log = settings.log
        assert log is not None
        # Called and not built, so that its variables have the names by which a later training finds them.
        places = tf.zeros([1, 2], tf.int64)
        nothing = {
            ITEM: places,
            TIME: places,
            BASKET: places,
            FIRST_TARGET: places[:, 0],
            IS_ROW: tf.ones([1]),
            EVENT_KIND: places,
            **{context_name(column): places for column in log.context},
        }
        network(nothing)
        network.set_weights(trained.get_layer(network.name).get_weights())
        files = transform_output.vocabulary_file_by_name
        preprocessing = transform_output.transform_features_layer() if log.context else None
        archive = _archive(network, log, str(files(VOCABULARY)), catalogue.size, fit_second, preprocessing)
        # No request needs them; a later training finds the rows of features' values by them.
        archive.terms = [
            tf.saved_model.Asset(str(files(feature.vocabulary)))
            for feature in settings.all_features
            if feature.vocabulary
        ]
        return archive

    write_archive(make, settings, directory)


def _archive(
    network: Any,
    log: Log,
    vocabulary: str,
    items: int,
    fit_second: Fit | None = None,
    preprocessing: Callable[[Tensors], Tensors] | None = None,
) -> Archive:
    archive = Archive()
    archive.preprocessing = preprocessing
    archive.model_variables = list(network.variables)
    archive.catalogue = network.freeze()
    archive.index = make_index(network, archive.catalogue)
    search = Search(network, archive.catalogue, archive.index) if archive.index is not None else None
    find = search.find if search else None
    stage = archive.second_stage = fit_second(network, find) if fit_second else None
    line, whole = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    archive.numbers = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(vocabulary, tf.string, whole, tf.int64, line), UNKNOWN
    )
    archive.names = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(vocabulary, tf.int64, line, tf.string, whole), ""
    )
    encode = functools.partial(_encode, preprocessing, sorted(log.context)) if preprocessing else None
    answers = Answers(network, log, archive.numbers.lookup, archive.names.lookup, items, stage, encode)
    if search is not None:
        answers = IndexedAnswers(answers, search)
    texts, whole_numbers = tf.TensorSpec([None, None], tf.string), tf.TensorSpec([None, None], tf.int64)
    history = {"items": texts, "times": whole_numbers}
    if log.told_kinds:
        history[signatures.KINDS] = texts
    history |= {request_name(column): tf.TensorSpec([None], tf.string) for column in log.context}
    asked = {
        **history,
        "exclude": texts,
        "among": tf.TensorSpec([None], tf.string),
        "k": tf.TensorSpec([], tf.int32),
    }
    serialized = tf.TensorSpec([None], tf.string, name="examples")

    # No code here branches on tensors, and autograph takes seconds to find that out.
    @tf.function(input_signature=[_named(asked)], autograph=False)
    def recommend(request: Tensors) -> Tensors:
        return answers.recommend(request)

    @tf.function(input_signature=[_named({**history, signatures.CANDIDATES: texts})], autograph=False)
    def rank(request: Tensors) -> Tensors:
        return answers.rank(request)

    @tf.function(input_signature=[_named(history)], autograph=False)
    def embed_user(request: Tensors) -> Tensors:
        return {"vector": network.embed_users(*answers.history(request))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="items")], autograph=False)
    def embed_item(names: tf.Tensor) -> Tensors:
        numbers = answers.lookup(names)
        vectors = network.items(tf.where(numbers >= 0, tf.cast(numbers, tf.int32), items))
        return {"vector": vectors * tf.cast(numbers >= 0, tf.float32)[:, tf.newaxis]}

    @tf.function(input_signature=[serialized], autograph=False)
    def serving_default(examples: tf.Tensor) -> Tensors:
        return answers.of_examples(examples)

    @tf.function(input_signature=[serialized], autograph=False)
    def ranks(examples: tf.Tensor) -> Tensors:
        return answers.ranks(examples)

    archive.endpoints = {
        "serving_default": serving_default,
        signatures.RECOMMEND: recommend,
        signatures.EMBED_USER: embed_user,
        signatures.EMBED_ITEM: embed_item,
        signatures.RANK: rank,
        signatures.RANKS: ranks,
    }
    if stage is None and not log.told_kinds and not log.context:
        in_apps = AppRecommender(network, log, archive.catalogue, min(signatures.K_MAX, items))
        archive.app_variables = in_apps.variables
        app = tf.function(in_apps.recommend, input_signature=[in_apps.signature])
        archive.endpoints = {**archive.endpoints, signatures.APP: app}
    return archive


def _encode(preprocessing: Callable[[Tensors], Tensors], columns: Sequence[str], texts: Tensors) -> tf.Tensor:
    """int32 [users, columns]: the ids of a request's texts, string [users] of each column, as the examples' were made."""
    rows = tf.stack(
        [tf.range(tf.shape(texts[columns[0]], tf.int64)[0]), tf.zeros_like(texts[columns[0]], tf.int64)],
        axis=1,
    )
    shape = tf.stack([tf.shape(rows, tf.int64)[0], 1])
    raw = {column: tf.SparseTensor(rows, texts[column], shape) for column in columns}
    # What is made of the columns that a request does not have is left out.
    made = preprocessing(raw)
    return joined([made[context_name(column)].values for column in columns])


def _named(specs: dict[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()}
