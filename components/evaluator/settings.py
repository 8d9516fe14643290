"""The ``[metrics]`` table of a dataset file: what is measured besides the task's metrics; standard library only."""

import ast
import importlib.util
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation import registry
from foundation.sections import ConfigurationError

EXAMPLE_COUNT = "example_count"
"""What the Evaluator measures whatever the task."""

_OURS = "trainer_module.metrics"
_GROUPED = f"{_OURS}.group_auc.GroupAUC"
_LIBRARIES = ("keras", "tf_keras", "tensorflow", "tensorflow_model_analysis")


@dataclass(frozen=True)
class Metric:
    """A metric to be measured: its class, by import path or by its name in TFMA or Keras, and what it is given."""

    path: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def column(self) -> str | None:
        """The column that it reads besides label and prediction: that of its groups."""
        return self.options.get("group") if self.path == _GROUPED else None


def read_metrics(table: Any, where: str) -> dict[str, Metric]:
    """Name by which gates and summaries know a metric → the metric.

    An entry is a kind, or a table with a kind and the metric's options. A kind is a file of
    `trainer_module.metrics`, a class of TFMA or Keras, or the import path of a subclass of their `Metric`.
    Classes are looked for in the source of their modules: importing those would import TensorFlow.

    Raises:
      ConfigurationError: If there is no such class, or it is no metric.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} must be a table of metrics, not {table!r}.")
    metrics = {}
    for name, entry in table.items():
        options = dict(entry) if isinstance(entry, Mapping) else {"kind": entry}
        kind = options.pop("kind", None)
        metrics[name] = Metric(_find_class(kind, f"{where} {name} is {kind!r}"), options)
        if metrics[name].path == _GROUPED and not isinstance(options.get("group"), str):
            raise ConfigurationError(
                f'{where} {name} needs the column that names the groups, for example group = "user".'
            )
    return metrics


def _find_class(kind: Any, called: str) -> str:
    ours = registry.names(_OURS)
    if kind in ours:
        (path,) = _classes(f"{_OURS}.{kind}")
        return f"{_OURS}.{kind}.{path}"
    if not isinstance(kind, str) or ("." not in kind and kind not in set(_library_classes())):
        raise ConfigurationError(
            f"{called}; it must be one of {', '.join(ours)}, a class of TFMA or Keras such as 'F1Score', or the "
            "import path of a class, for example 'my_package.metrics.Name'."
        )
    if "." not in kind:
        return kind
    module, _, class_name = kind.rpartition(".")
    try:
        is_there, is_metric = _look_up(module, class_name)
    except Exception as error:  # whatever is wrong with a module of the user's own
        raise ConfigurationError(
            f"{called}, whose module cannot be read ({error}): correct the path, the module or PYTHONPATH."
        ) from error
    if not is_there:
        raise ConfigurationError(f"{called}, and {module} has no class {class_name}: correct the path.")
    if not is_metric:
        raise ConfigurationError(f"{called}, which is no metric: derive it from tf_keras.metrics.Metric.")
    return kind


def _library_classes() -> Iterator[str]:
    """Names of the classes of TFMA's and Keras's metrics, from what their packages import."""
    for package, place in (
        ("tensorflow_model_analysis", "metrics"),
        ("tf_keras", "api/_v2/keras/metrics"),
    ):
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            source = Path(spec.origin).parent / place / "__init__.py"
            yield from _imported(ast.parse(source.read_bytes()), package) if source.is_file() else ()


def _classes(module: str) -> list[str]:
    spec = importlib.util.find_spec(module)
    assert spec and spec.origin
    return [
        node.name
        for node in ast.parse(Path(spec.origin).read_bytes()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def check_names(metrics: Collection[str], taken: Collection[str], where: str) -> None:
    """Raises ConfigurationError where a metric has a name that the evaluation has already."""
    for name in metrics:
        if name in taken or name == EXAMPLE_COUNT:
            raise ConfigurationError(f"{where} [metrics] '{name}' is measured already: choose another name.")


def check_doubled(names: Sequence[str], where: str) -> None:
    """Raises ConfigurationError where two metrics of a label with heads would have one name."""
    if doubled := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(
            f"{where} [label] has heads of which two metrics would be called '{min(doubled)}': rename a head."
        )


def _look_up(module: str, name: str) -> tuple[bool, bool]:
    """Whether `module` has the class, and whether its bases lead to a library's metrics."""
    if module.partition(".")[0] in _LIBRARIES:
        return True, "metrics" in module.split(".")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {module!r}")
    tree = ast.parse(Path(spec.origin).read_bytes())
    imported = _imported(tree, spec.parent or "")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            bases = [ast.unparse(base).partition(".") for base in node.bases]
            paths = [imported.get(first, f"{module}.{first}") + dot + rest for first, dot, rest in bases]
            return True, any(_look_up(*_split(path))[1] for path in paths if "." in path)
    return _look_up(*_split(imported[name])) if name in imported else (False, False)


def _imported(tree: ast.Module, package: str) -> dict[str, str]:
    """Name → dotted path of what the module's import statements bind."""
    names: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {alias.asname or alias.name: f"{source}.{alias.name}" for alias in node.names}
    return names


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.rpartition(".")
    return module, name
