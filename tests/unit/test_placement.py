"""Which GPUs a training uses: workers of one machine divide them, and "auto" takes no more than are worth it."""

import json

import pytest

from foundation.sections import ConfigurationError
from trainer_module.distribution.cluster import Cluster
from trainer_module.distribution.launcher import _tf_configs
from trainer_module.distribution.placement import choose_gpus, local_share
from trainer_module.models.perceptron import Perceptron
from trainer_module.training.settings import Training


def test_workers_of_one_machine_divide_its_gpus() -> None:
    gpus = ["gpu0", "gpu1", "gpu2", "gpu3"]
    assert [local_share(gpus, place, 2) for place in range(2)] == [["gpu0", "gpu1"], ["gpu2", "gpu3"]]
    assert [local_share(gpus, place, 4) for place in range(4)] == [[gpu] for gpu in gpus]
    assert local_share(gpus, 0, 1) == gpus
    # The fourth of four among three would make one worker wait for another.
    assert [local_share(gpus, place, 3) for place in range(3)] == [["gpu0"], ["gpu1"], ["gpu2"]]
    assert local_share([], 1, 2) == []


def test_more_workers_than_gpus_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"workers is 3 on a machine with 2 GPU\(s\)"):
        local_share(["gpu0", "gpu1"], 0, 3)


def test_a_rehearsed_worker_knows_its_place_on_the_machine_and_a_pod_has_its_own() -> None:
    second = _tf_configs(2)[1]
    assert Cluster.from_environment(second).local == (1, 2)
    pod = {"TF_CONFIG": second["TF_CONFIG"]}
    assert Cluster.from_environment(pod).local == (0, 1)
    assert json.loads(second["TF_CONFIG"])["task"]["index"] == 1


@pytest.mark.parametrize(
    ("gpus", "hidden", "batch", "replica_batch", "expected"),
    [
        (2, (32, 16), 128, None, 0),
        (1, (32, 16), 128, None, 0),
        (1, (32, 16), 512, None, 1),
        (2, (128, 64), 4096, None, 1),
        (2, (128, 64), None, 4096, 1),
        (2, (1024, 512), None, 16_384, 1),
        (2, (4096, 2048, 1024), 16_384, None, 2),
        (4, (4096, 2048, 1024), None, 16_384, 4),
        # Divided among four, too little is left for each.
        (4, (1024, 512), 512, None, 1),
    ],
)
def test_auto_takes_the_gpus_that_the_model_and_its_batch_are_worth(
    gpus: int, hidden: tuple[int, ...], batch: int | None, replica_batch: int | None, expected: int
) -> None:
    products = Perceptron(embedding_dim=8, hidden_units=hidden).products(numbers=13, ids=26)
    training = Training(global_batch_size=batch, batch_size_per_replica=replica_batch)
    used, reason = choose_gpus(gpus, products, training)
    assert used == expected
    assert reason.startswith(f"{gpus} GPUs in this machine" if gpus > 1 else "one GPU")


def test_a_model_of_unknown_size_takes_all_gpus() -> None:
    assert choose_gpus(2, 0, Training(global_batch_size=512)) == (2, "2 GPUs in this machine")
