"""Stands in for a model server: loads a SavedModel in a process of its own and answers requests.

    python -I components/serving_check/process.py < PATHS

PATHS is one line of JSON that names model, requests, answers and progress; until it comes, the process
imports TensorFlow and waits. It imports no project code, so that a model that needs some is found out here
and not in production. It loads the way TensorFlow Serving does: the graph into a Session, the variables, the
initializer, and then the tensors that the SignatureDef names. Requests and answers are TFRecord files of
PredictionLog; progress gets one JSON line at each step, which tells what a process that hangs or dies was
doing.
"""

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

# As `foundation.process` does.
gc.disable()
import tensorflow as tf  # noqa: E402
from tensorflow_serving.apis import prediction_log_pb2  # noqa: E402

gc.freeze()
gc.enable()


def main(model: str, requests: str, answers: str, progress: str) -> None:
    """Loads `model`, answers every request, and says so."""
    with Path(progress).open("a", buffering=1) as lines:

        def say(step: str, **details: Any) -> None:
            lines.write(json.dumps({"step": step, **details}) + "\n")

        say("load")
        started = time.monotonic()
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], model)
            say("loaded", seconds=time.monotonic() - started)
            logs: list[Any] = []
            with tf.io.TFRecordWriter(answers) as writer:
                for index, record in enumerate(_read(requests)):
                    say("answer", index=index)
                    log = prediction_log_pb2.PredictionLog.FromString(record)
                    _answer(session, graph.signature_def, log.predict_log, logs)
                    logs.append(log.predict_log)
                    writer.write(log.SerializeToString())
        say("done")


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone: nobody else would end a model that hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _read(path: str) -> list[bytes]:
    # Not tf.data: its graph would be built inside the model's.
    return list(tf.compat.v1.io.tf_record_iterator(path))


def _answer(session: Any, signatures: Any, log: Any, before: list[Any]) -> None:
    """Fills in the response, and the inputs of a request that continues with the answer before it."""
    signature = signatures[log.request.model_spec.signature_name]
    if not log.request.inputs:
        source = next(
            earlier.response.outputs
            for earlier in reversed(before)
            if set(signature.inputs) <= set(earlier.response.outputs)
        )
        for name, info in signature.inputs.items():
            values = tf.make_ndarray(source[name]).astype(tf.dtypes.as_dtype(info.dtype).as_numpy_dtype)
            log.request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    feeds = {
        signature.inputs[name].name: tf.make_ndarray(tensor) for name, tensor in log.request.inputs.items()
    }
    fetched = session.run({name: info.name for name, info in signature.outputs.items()}, feeds)
    for name, values in fetched.items():
        log.response.outputs[name].CopyFrom(tf.make_tensor_proto(values))


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # Nothing comes if the run that started this did not need it in the end.
    if paths := sys.stdin.readline():
        main(**json.loads(paths))
