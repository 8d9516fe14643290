"""One SavedModel of a recommender, of core operations only, always traced under float32.

recommend        histories, what to leave out or to choose among, and k → items as the log has them, and scores
serving_default  serialized examples with a history → the same, of `K_MAX` items
embed_user       histories → vectors
embed_item       items → vectors
ranks            serialized examples of sequences → the rank of each target: what the Evaluator asks
app              item numbers and ages of one history → item numbers and scores: what TFLite and TF.js are made of

All answers come from the same scores and the same mask.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from trainer_module.export import Archive, Tensors, write_archive
from trainer_module.features.vocabulary import escape
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, VOCABULARY, Log
from trainer_module.retrieval import signatures
from trainer_module.retrieval.app import AppRecommender
from trainer_module.retrieval.catalogue import Catalogue
from trainer_module.retrieval.measures import measure_rows
from trainer_module.retrieval.network import IS_ROW
from trainer_module.retrieval.preprocessing import PADDING, UNKNOWN
from trainer_module.retrieval.queries import AFTER_ALL
from trainer_module.retrieval.scores import UNWANTED, exclude
from trainer_module.settings import Settings


def export_recommender(
    trained: keras.Model,
    settings: Settings,
    catalogue: Catalogue,
    transform_output: tft.TFTransformOutput,
    directory: str,
) -> None:
    """Writes the SavedModel for `trained`.

    Args:
      trained: From `RetrievalLearner.build`; only its weights are taken.
      settings: What it was built from.
      catalogue: The same.
      transform_output: With the vocabulary of items.
      directory: Appears only when it is complete.
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
        }
        network(nothing)
        network.set_weights(trained.get_layer(network.name).get_weights())
        files = transform_output.vocabulary_file_by_name
        archive = _archive(network, log, str(files(VOCABULARY)), catalogue.size)
        # No request needs them; a later training finds the rows of features' values by them.
        archive.terms = [
            tf.saved_model.Asset(str(files(feature.vocabulary)))
            for feature in settings.features
            if feature.vocabulary
        ]
        return archive

    write_archive(make, settings, directory)


def _archive(network: Any, log: Log, vocabulary: str, items: int) -> Archive:
    archive = Archive()
    archive.model_variables = list(network.variables)
    archive.catalogue = network.freeze()
    line, whole = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    archive.numbers = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(vocabulary, tf.string, whole, tf.int64, line), UNKNOWN
    )
    archive.names = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(vocabulary, tf.int64, line, tf.string, whole), ""
    )
    answers = _Answers(network, log, archive.numbers.lookup, archive.names.lookup, items)
    texts, whole_numbers = tf.TensorSpec([None, None], tf.string), tf.TensorSpec([None, None], tf.int64)
    history = {"items": texts, "times": whole_numbers}
    asked = {
        **history,
        "exclude": texts,
        "among": tf.TensorSpec([None], tf.string),
        "k": tf.TensorSpec([], tf.int32),
    }
    serialized = tf.TensorSpec([None], tf.string, name="examples")

    @tf.function(input_signature=[_named(asked)])
    def recommend(request: Tensors) -> Tensors:
        return answers.recommend(request)

    @tf.function(input_signature=[_named(history)])
    def embed_user(request: Tensors) -> Tensors:
        return {"vector": network.embed_users(*answers.history(request))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="items")])
    def embed_item(names: tf.Tensor) -> Tensors:
        numbers = answers.lookup(names)
        vectors = network.items(tf.where(numbers >= 0, tf.cast(numbers, tf.int32), items))
        return {"vector": vectors * tf.cast(numbers >= 0, tf.float32)[:, tf.newaxis]}

    @tf.function(input_signature=[serialized])
    def serving_default(examples: tf.Tensor) -> Tensors:
        return answers.of_examples(examples)

    @tf.function(input_signature=[serialized])
    def ranks(examples: tf.Tensor) -> Tensors:
        return answers.ranks(examples)

    in_apps = AppRecommender(network, log, archive.catalogue, min(signatures.K_MAX, items))
    archive.app_variables = in_apps.variables

    archive.endpoints = {
        "serving_default": serving_default,
        signatures.RECOMMEND: recommend,
        signatures.EMBED_USER: embed_user,
        signatures.EMBED_ITEM: embed_item,
        signatures.RANKS: ranks,
        signatures.APP: tf.function(in_apps.recommend, input_signature=[in_apps.signature]),
    }
    return archive


def _named(specs: dict[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()}


class _Answers:
    """What all signatures have in common."""

    def __init__(
        self, network: Any, log: Log, numbers: Callable[..., Any], names: Callable[..., Any], items: int
    ) -> None:
        self._network, self._log, self._numbers, self._names, self._items = (
            network,
            log,
            numbers,
            names,
            items,
        )
        self._k_max = min(signatures.K_MAX, items)

    def lookup(self, names: tf.Tensor) -> tf.Tensor:
        """int64: item numbers; `PADDING` for the empty text, `UNKNOWN` for what the catalogue lacks."""
        numbers = self._numbers(escape(names))
        return tf.where(tf.equal(names, ""), tf.constant(PADDING, tf.int64), numbers)

    def history(self, request: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """The latest `Log.history` events of the catalogue's items, as `Network.scores` is given them."""
        return self._latest(self.lookup(request["items"]), request["times"])

    def _latest(self, ids: tf.Tensor, times: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # One place more, as nothing can be looked for among none.
        ids = tf.pad(ids, [[0, 0], [0, 1]], constant_values=PADDING)
        times = tf.pad(times, [[0, 0], [0, 1]])
        there = ids >= 0
        items = tf.where(there, tf.cast(ids, tf.int32), self._items)
        times = tf.where(there, times, AFTER_ALL)
        # The last of those that are there come last, and then, among the latest, first.
        latest = tf.argsort(tf.cast(there, tf.int32), axis=1, stable=True)[:, -self._log.history :]
        there, items, times = (tf.gather(each, latest, batch_dims=1) for each in (there, items, times))
        order = tf.argsort(tf.cast(~there, tf.int32), axis=1, stable=True)
        return tf.gather(items, order, batch_dims=1), tf.gather(times, order, batch_dims=1)

    def _top(self, scores: tf.Tensor, k: tf.Tensor) -> Tensors:
        values, numbers = tf.math.top_k(scores, self._k_max)
        values, numbers = values[:, :k], tf.cast(numbers[:, :k], tf.int64)
        names = tf.where(values > UNWANTED, _unescape(self._names(numbers)), "")
        return {signatures.RECOMMENDED: names, signatures.SCORES: values}

    def recommend(self, request: Tensors) -> Tensors:
        """Of `k` items at most `K_MAX`."""
        unwanted = tf.cast(self.lookup(request["exclude"]), tf.int32)
        scores = exclude(self._network.scores(*self.history(request)), unwanted)
        among = self.lookup(request["among"])
        chosen = tf.scatter_nd(
            tf.boolean_mask(among, among >= 0)[:, tf.newaxis],
            tf.ones([tf.reduce_sum(tf.cast(among >= 0, tf.int32))]),
            tf.constant([self._items], tf.int64),
        )
        is_free = tf.equal(tf.size(among), 0)
        scores = tf.where(is_free | (chosen > 0), scores, UNWANTED)
        return self._top(scores, request["k"])

    def of_examples(self, examples: tf.Tensor) -> Tensors:
        """What follows all events of each example."""
        parsed = _parse(examples)
        history = self._latest(self.lookup(parsed[ITEM]), parsed[TIME])
        return self._top(self._network.scores(*history), tf.constant(self._k_max))

    def ranks(self, examples: tf.Tensor) -> Tensors:
        """int64 [batch, events]: ranks of targets from 1, ties counted against them; 0 for what is none or has none."""
        parsed = _parse(examples)
        ids, first = self.lookup(parsed[ITEM]), parsed[FIRST_TARGET]
        place = tf.range(tf.shape(ids, tf.int64)[1])
        basket = tf.gather(parsed[BASKET], first, batch_dims=1)
        is_context = (place < first) & (parsed[BASKET] < basket)
        scores = self._network.scores(*self._latest(tf.where(is_context, ids, PADDING), parsed[TIME]))
        is_target = (place >= first) & (ids >= 0)

        def of_row(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            of_items, numbers, wanted = row
            own = tf.gather(of_items, tf.boolean_mask(numbers, wanted))
            at_least = tf.reduce_sum(tf.cast(of_items >= own[:, tf.newaxis], tf.int64), axis=1)
            at_least = tf.where(own > UNWANTED, at_least, 0)
            return tf.scatter_nd(tf.where(wanted), at_least, tf.shape(wanted, tf.int64))

        ranks = tf.map_fn(
            of_row, (scores, ids, is_target), fn_output_signature=tf.TensorSpec([None], tf.int64)
        )
        # What may not be recommended again is none either; what the catalogue lacks is a miss.
        counts = (place >= first) & (ids != PADDING) & ((ids < 0) | (ranks > 0))
        measured = measure_rows(ids, ranks, counts)
        return {signatures.RANKS: ranks, **measured, **self._top(scores, tf.constant(self._k_max))}


def _parse(examples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Dense [batch, events] of each feature, and `FIRST_TARGET` as [batch, 1]."""
    kinds = {ITEM: tf.string, TIME: tf.int64, BASKET: tf.int64, FIRST_TARGET: tf.int64}
    parsed = tf.io.parse_example(examples, {name: tf.io.VarLenFeature(kind) for name, kind in kinds.items()})
    dense = {name: tf.sparse.to_dense(column) for name, column in parsed.items()}
    width = tf.shape(dense[ITEM])[1]
    for name in (TIME, BASKET):
        dense[name] = tf.pad(dense[name], [[0, 0], [0, tf.maximum(width - tf.shape(dense[name])[1], 0)]])
    dense[FIRST_TARGET] = tf.reduce_sum(dense[FIRST_TARGET], axis=1, keepdims=True)
    return dense


def _unescape(names: tf.Tensor) -> tf.Tensor:
    """The opposite of `escape`: an escaped backslash is set aside, so that what follows it is not taken for a sign."""
    aside = "\x00"
    for written, meant in ((r"\\\\", aside), (r"\\n", "\n"), (r"\\r", "\r"), (aside, r"\\")):
        names = tf.strings.regex_replace(names, written, meant)
    return names
