"""What the signatures of a SavedModel take and answer, read without TensorFlow, whose import takes seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TensorType:
    """An input or an output; `dtype` as in "string", "float" or "int64", a None in `shape` is any size."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        sizes = (
            "..."
            if self.shape is None
            else ", ".join("?" if each is None else f"{each}" for each in self.shape)
        )
        return f"{self.name}: {self.dtype} [{sizes}]"


@dataclass(frozen=True)
class Signature:
    """One of a SavedModel's functions, with its tensors by name."""

    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.inputs))}) -> ({', '.join(map(str, self.outputs))})"


def read_signatures(model: Path) -> dict[str, Signature]:
    """The signatures of a SavedModel's first graph, by name.

    Raises:
      ValueError: If `model` is no directory with a readable saved_model.pb.
    """
    # Here, because importing them takes a tenth of a second.
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.attr_value_pb2 import AttrValue
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    try:
        # TensorBoard has every message of a SavedModel but the outermost, whose graphs are its field 2: so are the
        # texts of a ListValue (tensorflow/core/protobuf/saved_model.proto, framework/attr_value.proto).
        graphs = AttrValue.ListValue.FromString((model / "saved_model.pb").read_bytes()).s
        graph = MetaGraphDef.FromString(graphs[0])
    except (OSError, DecodeError, IndexError) as error:
        raise ValueError(f"{model} is not a SavedModel ({error})") from error
    return {
        name: Signature(_tensors(signature.inputs), _tensors(signature.outputs))
        for name, signature in sorted(graph.signature_def.items())
        # TensorFlow's own, such as __saved_model_init_op.
        if not name.startswith("__")
    }


def _tensors(tensors: Mapping[str, Any]) -> tuple[TensorType, ...]:
    from tensorboard.compat.proto.types_pb2 import DataType

    found = []
    for name, info in sorted(tensors.items()):
        sizes = tuple(None if each.size < 0 else each.size for each in info.tensor_shape.dim)
        shape = None if info.tensor_shape.unknown_rank else sizes
        found.append(TensorType(name, DataType.Name(info.dtype).removeprefix("DT_").lower(), shape))
    return tuple(found)
