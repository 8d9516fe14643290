"""Trap 10: an epoch is not a number of steps; batch sizes and learning rates on any replicas."""

import pytest

from foundation.sections import ConfigurationError
from trainer_module.training.plan import make_plan, steps_of_pass
from trainer_module.training.settings import Training


@pytest.mark.parametrize(
    ("rows", "local", "steps"), [([1000], 1, 10), ([1001], 1, 11), ([500, 501], 1, 11), ([1000], 2, 10)]
)
def test_trap_10_steps_follow_from_rows(rows: list[int], local: int, steps: int) -> None:
    replicas = local * len(rows)
    plan = make_plan(Training(global_batch_size=100), local, rows)
    assert (plan.replicas, plan.batch_size_per_replica) == (replicas, 100 // replicas)
    assert plan.steps_per_epoch == steps


def test_the_slowest_worker_decides_the_steps() -> None:
    assert steps_of_pass([10, 95, 3], batch_size=10, local_replicas=1) == 10
    assert steps_of_pass([95], batch_size=10, local_replicas=4) == 3


def test_a_batch_size_per_replica_grows_with_the_replicas() -> None:
    plan = make_plan(Training(batch_size_per_replica=64), 2, [1000, 1000])
    assert (plan.global_batch_size, plan.replicas) == (256, 4)


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1), ("linear", 4), ("sqrt", 2)])
def test_learning_rate_scaling(scaling: str, factor: int) -> None:
    training = Training(batch_size_per_replica=64, learning_rate=0.01, learning_rate_scaling=scaling)  # type: ignore[arg-type]
    assert make_plan(training, 4, [1000]).learning_rate == pytest.approx(0.01 * factor)


def test_a_global_batch_that_cannot_be_divided() -> None:
    with pytest.raises(ConfigurationError, match="among 3 replicas: make it a multiple of 3"):
        make_plan(Training(global_batch_size=100), 3, [1000])
