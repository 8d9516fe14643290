"""Asks a recommender that TensorFlow Serving serves, over gRPC or REST: histories in, items and scores out.

    from recommender import Event, RestRecommender

    shop = RestRecommender("http://127.0.0.1:8501", "shop")
    (answer,) = shop.recommend([[Event("1029743", 1507000000000), Event("995242", 1508000000000)]], k=10)
    print([(each.item, each.score) for each in answer])

`GrpcRecommender("127.0.0.1:8500", "shop")` takes the same calls and needs `tensorflow-serving-api`; REST needs nothing. Clients may be
shared by threads. Whatever goes wrong is a `RecommenderError` of one sentence.
"""

import json
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SIGNATURE = "recommend"


class Event(NamedTuple):
    """What a user took, and when: milliseconds since 1970, whatever the log's unit.

    And how, such as "buy", which only a client with `kinds` sends; empty for unknown.
    """

    item: str
    time: int
    kind: str = ""


class Recommended(NamedTuple):
    """An item and its score; of a user's items the best comes first."""

    item: str
    score: float


class RecommenderError(Exception):
    """A server that was not reached in time, or refused a request."""


class Recommender(ABC):
    """What both protocols have in common."""

    def __init__(self, server: str, model: str, timeout: float = 1.0, kinds: bool = False) -> None:
        """Takes the server's address, what it calls the model, and after how many seconds to give up a request.

        And whether the model is told the kinds of events, as its dataset file has with ``[log.events] in_requests``.
        """
        self.server, self.model, self.timeout, self.kinds = server, model, timeout, kinds

    def recommend(
        self,
        histories: Sequence[Sequence[Event]],
        k: int = 10,
        exclude: Sequence[Sequence[str]] = (),
        among: Sequence[str] = (),
        context: Mapping[str, Sequence[str]] | None = None,
    ) -> list[list[Recommended]]:
        """The best items of each user, at most `k`; fewer where fewer are allowed, none of a choice that is unknown.

        Args:
          histories: Each user's events, in any order; none of a new user.
          k: At most 100.
          exclude: What each user is not to be recommended; empty for nothing.
          among: All that may be recommended to anybody; empty for the whole catalogue.
          context: Of a model whose dataset file has ``[log.context]``, and of no other: each of its columns → the text of each
            user's request, such as ``{"store": ["31"]}``, the empty one for unknown. All columns are to be there.

        Raises:
          ValueError: If `exclude` or a column of `context` is of another number of users.
          RecommenderError: If there is no answer.
        """
        if exclude and len(exclude) != len(histories):
            raise ValueError(f"exclude is of {len(exclude)} users and histories of {len(histories)}.")
        for column, values in (context or {}).items():
            if len(values) != len(histories):
                raise ValueError(
                    f"context {column!r} is of {len(values)} users and histories of {len(histories)}."
                )
        if not histories:
            return []
        ordered = [sorted(events, key=lambda event: event.time) for events in histories]
        kinds = _fill_up([[event.kind for event in events] for events in ordered], "")
        answer = self._ask(
            {
                **({"kinds": kinds} if self.kinds else {}),
                **{column: list(values) for column, values in (context or {}).items()},
                "items": _fill_up([[event.item for event in events] for events in ordered], ""),
                "times": _fill_up([[event.time for event in events] for events in ordered], 0),
                "exclude": _fill_up(exclude or [[] for _ in histories], ""),
                "among": list(among),
                "k": k,
            }
        )
        return [
            [Recommended(item, score) for item, score in zip(items, scores) if item]
            for items, scores in zip(answer["items"], answer["scores"])
        ]

    @abstractmethod
    def _ask(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The outputs `items` and `scores`, as lists of lists."""


class RestRecommender(Recommender):
    """Over REST; `server` is such as ``http://127.0.0.1:8501``."""

    def _ask(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        body = json.dumps({"signature_name": SIGNATURE, "inputs": inputs}).encode()
        address = f"{self.server}/v1/models/{self.model}:predict"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                outputs: Mapping[str, Any] = json.load(reply)["outputs"]
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")
            raise RecommenderError(f"{self.server} refused the request ({error.code}): {reason}") from error
        except TimeoutError as error:
            raise RecommenderError(f"{self.server} did not answer within {self.timeout:g} s.") from error
        except OSError as error:
            raise RecommenderError(f"{self.server} cannot be reached: {error}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RecommenderError(f"{self.server} answered what is no recommendation: {error}.") from error
        return outputs


class GrpcRecommender(Recommender):
    """Over gRPC; `server` is such as ``127.0.0.1:8500``. One connection, until `close` or the end of ``with``."""

    def __init__(self, server: str, model: str, timeout: float = 1.0, kinds: bool = False) -> None:
        """See the base class."""
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        super().__init__(server, model, timeout, kinds)
        self._channel = grpc.insecure_channel(server, options=[("grpc.max_receive_message_length", -1)])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __enter__(self) -> "GrpcRecommender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def _ask(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        types = {"times": tf.int64, "k": tf.int32}
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self.model, SIGNATURE
        for name, value in inputs.items():
            shape = [len(value)] if name == "among" else None
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value, types.get(name, tf.string), shape))
        try:
            outputs = self._stub.Predict(request, timeout=self.timeout).outputs
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise RecommenderError(f"{self.server} did not answer within {self.timeout:g} s.") from error
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise RecommenderError(f"{self.server} cannot be reached: {error.details()}.") from error
            raise RecommenderError(
                f"{self.server} refused the request ({error.code().name}): {error.details()}"
            ) from error
        found = {name: tf.make_ndarray(outputs[name]).tolist() for name in ("items", "scores")}
        return {**found, "items": [[item.decode() for item in row] for row in found["items"]]}


def _fill_up(rows: Sequence[Sequence[Any]], nothing: Any) -> list[list[Any]]:
    """Rows of one length, at least one place."""
    width = max(1, *map(len, rows))
    return [[*row, *[nothing] * (width - len(row))] for row in rows]
