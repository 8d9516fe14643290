"""Leaves out what TFX and Beam import and a run on this machine never uses.

Importing is most of a cached re-run: TensorFlow alone takes 4 s on two cores, which nothing here can
change. Of the rest, 0.8 s are TFX's components that the graph does not have (each with a library of its
own: Kubernetes for InfraValidator, Keras Tuner for Tuner), and 0.7 s are Google's clients for BigQuery and
Pub/Sub, which Beam imports where they are installed.
"""

import importlib.util
import sys
from typing import Any


def import_lean(beam_runner: str) -> None:
    """Must be called before the first import of TFX or Beam; later it does nothing.

    Args:
      beam_runner: Only Beam's DirectRunner runs on this machine; others may need Google's clients.
    """
    # On Python 3.11 and later that is TFX 1.21, where `tfx.components.evaluator` alone finds a
    # `tensorflow_model_analysis` without EvalConfig. Can go once that is understood.
    if sys.version_info < (3, 11) and "tfx.components" not in sys.modules:
        _import_on_demand("tfx.components")
    if beam_runner == "DirectRunner":
        for client in ("google.cloud.bigquery", "google.cloud.pubsub"):
            # Python's own way to say that a module is not there, and `apache_beam.io` does without them.
            sys.modules.setdefault(client, None)  # type: ignore[arg-type]


def _import_on_demand(package: str) -> None:
    """Makes ``import <package>.<module>`` not run the package's ``__init__``, until a name in it is read."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.loader
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def load(name: str) -> Any:
        # `from package import *` and pickle ask for such names too; the package has none of them.
        if name.startswith("__"):
            raise AttributeError(name)
        del module.__getattr__
        loader.exec_module(module)
        return getattr(module, name)

    module.__getattr__ = load  # type: ignore[method-assign]
    sys.modules[package] = module
    parent, _, child = package.rpartition(".")
    setattr(sys.modules[parent], child, module)
