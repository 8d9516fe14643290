"""How long, how fast and where to train: the ``[training]`` table; standard library only."""

from dataclasses import dataclass
from typing import Any, Literal

from foundation.sections import Tables, check_keys, require
from trainer_module.optimizers import load_rule, names_for_layers, names_for_tables, table_rule

_MOST = {
    "epochs": 1_000_000, "global_batch_size": 1 << 24, "batch_size_per_replica": 1 << 22, "workers": 10_000,
    "steps_per_execution": 100_000, "startup_timeout_seconds": 7 * 24 * 3600,
}  # fmt: skip
"""Beyond these a number is a slip, which would fail late, for want of memory or of days."""


@dataclass(frozen=True)
class Training:
    """How long, how fast and on what to train. Epochs, never steps (trap 10).

    With `warm_start` it starts from the variables of the model that is live (`trainer_module.warm_start.carry_over`), and
    with 0 epochs beside it stays there: what is exported is the live model, for the new vocabularies and items.
    Give `global_batch_size` (all replicas together) or `batch_size_per_replica`, never both.
    `optimizer` is one of `trainer_module.optimizers`, and `embedding_optimizer` that of tables: "lazy_adam", "adagrad" and so
    on update the rows that a batch touches and no others, "same" is that of everything else, and "auto" beside an Adam is lazy_adam where
    a batch touches little of a table, and always in a recommender. `momentum` is SGD's, 0.9 where it is not given;
    `weight_decay` is AdamW's own there; gradients, all of them together, are shortened to a length of `clip_norm`. The learning rate rises from 0 over `warmup_epochs`, and is constant from there, or falls to 0 along a cosine.
    Tables may lie in the memory of the host where one GPU's is too small: `table_placement`. On GPUs XLA compiles what it can of a
    step, unless `jit_compile` is off. `profile_steps` is the first and the last step that TensorBoard's profiler records; a patience of 0
    turns early stopping off. Rows that take more than `cache_mib` in memory are cached on disk.
    """

    epochs: int = 10
    global_batch_size: int | None = None
    batch_size_per_replica: int | None = None
    learning_rate: float = 0.001
    optimizer: str = "adam"
    embedding_optimizer: str = "auto"
    table_placement: Literal["device", "host"] = "device"
    momentum: float | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = 0.0
    learning_rate_scaling: Literal["none", "linear", "sqrt"] = "none"
    early_stopping_patience: int = 3
    cache: Literal["memory", "disk", "none"] = "memory"
    cache_mib: int = 2048
    shuffle_rows: int = 100_000
    seed: int = 42
    steps_per_execution: int = 16
    jit_compile: bool = True
    profile_steps: tuple[int, ...] = ()
    strategy: Literal["auto", "none", "one_device", "mirrored", "multi_worker"] = "auto"
    workers: int = 1
    startup_timeout_seconds: int = 300
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    warm_start: bool = False

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"epochs is {self.epochs}; it must be 0 or more.")
        require(
            self.epochs > 0 or self.warm_start,
            "epochs is 0, which exports the live model again for new vocabularies and items: set warm_start = true beside it.",
        )
        counts = ("workers", "steps_per_execution", "shuffle_rows", "cache_mib")
        sizes = ("global_batch_size", "batch_size_per_replica")
        for name in (*counts, "startup_timeout_seconds", *sizes):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} is {value}; it must be at least 1.")
        require(self.seed >= 0, f"seed is {self.seed}; it must be 0 or more.")
        for name, most in _MOST.items():
            value = getattr(self, name)
            require(value is None or value <= most, f"{name} is {value}; it must be at most {most:,}.")
        require(
            self.early_stopping_patience >= 0,
            f"early_stopping_patience is {self.early_stopping_patience}; it must be 0 (off) or more.",
        )
        require(
            0 < self.learning_rate <= 10,
            f"learning_rate is {self.learning_rate}; it must be above 0 and at most 10.",
        )
        rule = load_rule(self.optimizer)
        require(
            rule.is_for_layers,
            f"optimizer is {self.optimizer!r}, which is for tables: set embedding_optimizer to it, and optimizer to one of "
            f"{', '.join(names_for_layers())}.",
        )
        for_tables = ["auto", "same", *names_for_tables()]
        require(
            self.embedding_optimizer in for_tables or "." in self.embedding_optimizer,
            f"embedding_optimizer is {self.embedding_optimizer!r}; it must be one of {', '.join(for_tables)}, or the import path "
            "of a module of your own.",
        )
        if "." in self.embedding_optimizer:
            own = load_rule(self.embedding_optimizer, key="embedding_optimizer")
            require(
                own.is_for_tables,
                f"embedding_optimizer is {self.embedding_optimizer!r}, which is not for tables.",
            )
        require(
            self.momentum is None or rule.takes_momentum,
            f'momentum means nothing to {self.optimizer}: remove it, or set optimizer = "sgd".',
        )
        require(
            self.momentum is None or 0 <= self.momentum < 1,
            f"momentum is {self.momentum}; it must be from 0 to below 1.",
        )
        require(
            self.weight_decay is None or 0 <= self.weight_decay < 1,
            f"weight_decay is {self.weight_decay}; it must be from 0 to below 1.",
        )
        require(
            self.clip_norm is None or self.clip_norm > 0,
            f"clip_norm is {self.clip_norm}; it must be above 0.",
        )
        require(
            0 <= self.warmup_epochs < max(self.epochs, 1),
            f"warmup_epochs is {self.warmup_epochs:g} of {self.epochs} epochs; it must be 0 or more, and fewer.",
        )
        require(
            not self.profile_steps
            or (len(self.profile_steps) == 2 and 1 <= self.profile_steps[0] <= self.profile_steps[1]),
            f"profile_steps is {list(self.profile_steps)}; give the first and the last step, like [100, 110].",
        )
        require(
            (self.global_batch_size is None) != (self.batch_size_per_replica is None),
            "needs either 'global_batch_size' or 'batch_size_per_replica', and not both.",
        )
        require(
            self.learning_rate_scaling == "none" or self.batch_size_per_replica is not None,
            f"learning_rate_scaling is {self.learning_rate_scaling!r}, but a global_batch_size does not grow "
            'with the replicas: give batch_size_per_replica, or set learning_rate_scaling = "none".',
        )
        require(
            self.workers == 1 or self.strategy == "multi_worker",
            f"workers is {self.workers} with strategy '{self.strategy}': "
            'several workers need strategy = "multi_worker".',
        )
        require(
            self.table_placement == "device" or self.strategy in ("auto", "none", "one_device"),
            f"table_placement is 'host' with strategy '{self.strategy}': one GPU can read tables from the host's memory, so set "
            'strategy = "one_device".',
        )
        require(
            self.global_batch_size is None or self.global_batch_size % self.workers == 0,
            f"global_batch_size {self.global_batch_size} cannot be divided among {self.workers} workers: "
            f"make it a multiple of {self.workers}.",
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that it chooses and no import statement names; "auto" takes Adam for tables."""
        tables = self.embedding_optimizer
        rules = (self.optimizer, "adam" if tables in ("auto", "same") else table_rule(tables))
        return tuple(dict.fromkeys(type(load_rule(rule)).__module__ for rule in rules))

    def rows_of_replica(self, replicas: int) -> int:
        """Rows of a step on one of `replicas`, rounded down."""
        return self.batch_size_per_replica or (self.global_batch_size or 0) // replicas


def check_training(table: Any, lower: Tables, where: str) -> None:
    """Checks the ``[training]`` of one layer: a `foundation.sections.Check`.

    The two ways to give a batch size exclude each other: that of `table` replaces that of `lower`.
    """
    check_keys(Training, table, where)
    sizes = ("global_batch_size", "batch_size_per_replica")
    for given, other in (sizes, sizes[::-1]):
        if given in table:
            lower.pop(other, None)
