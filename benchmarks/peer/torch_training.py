"""The models of `benchmarks/gpu_training.py` in PyTorch, on one GPU: what a user would write there.

    python benchmarks/peer/torch_training.py '{"dim": 8, "hidden": [128, 64], "batch": 4096, "ids": 10000, "precision": "float32"}'

One table for 26 categorical features at an offset each, 13 numbers, a multilayer perceptron, binary cross-entropy; the
rows lie on the GPU. Run with each of the optimizers that PyTorch has for it: Adam in its fused form on all, or on the
layers beside SparseAdam and Adagrad on a table with sparse gradients; each eager and compiled (`torch.compile`, of the layers).
Prints one line of JSON: examples per second by optimizer. Needs PyTorch alone.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

CATEGORIES, NUMBERS, STEPS = 26, 13, 60


def make_step(setting: dict[str, Any], optimizer: str, is_compiled: bool) -> Callable[[], None]:
    """A function that trains one batch."""
    import torch  # type: ignore[import-not-found, unused-ignore]

    torch.set_float32_matmul_precision("high")  # TF32, as TensorFlow has it
    device, batch = "cuda", setting["batch"]
    is_sparse = optimizer != "adam"
    table = torch.nn.Embedding(CATEGORIES * setting["ids"], setting["dim"], sparse=is_sparse, device=device)
    widths = [NUMBERS + CATEGORIES * setting["dim"], *setting["hidden"]]
    layers: list[Any] = []
    for before, units in itertools.pairwise(widths):
        layers += [torch.nn.Linear(before, units), torch.nn.ReLU()]
    network: Any = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 1)).to(device)
    fused = torch.optim.Adam(network.parameters(), fused=True)
    optimizers = [fused]
    if optimizer == "adam":
        optimizers = [torch.optim.Adam([*network.parameters(), *table.parameters()], fused=True)]
    elif optimizer == "sparse_adam":
        optimizers.append(torch.optim.SparseAdam(list(table.parameters())))
    else:
        optimizers.append(torch.optim.Adagrad(table.parameters()))
    if is_compiled:
        network = torch.compile(network)
    offsets = torch.arange(CATEGORIES, device=device) * setting["ids"]
    rows = [
        (
            torch.randn(batch, NUMBERS, device=device),
            torch.randint(0, setting["ids"], (batch, CATEGORIES), device=device),
            torch.randint(0, 2, (batch, 1), device=device).float(),
        )
        for _ in range(8)
    ]
    count = 0
    half = torch.autocast("cuda", torch.bfloat16, enabled=setting["precision"] == "mixed_bfloat16")

    def step() -> None:
        nonlocal count
        numbers, ids, labels = rows[count % len(rows)]
        count += 1
        with half:
            embedded = table(ids + offsets).flatten(1)
            logits = network(torch.cat([numbers, embedded], 1))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)
        for each in optimizers:
            each.zero_grad(set_to_none=True)
        loss.backward()
        for each in optimizers:
            each.step()

    return step


def main() -> None:
    """Measures and prints."""
    import torch

    setting = json.loads(sys.argv[1])
    speeds = {}
    for optimizer in ("adam", "sparse_adam", "adagrad"):
        for is_compiled in (False, True):
            step = make_step(setting, optimizer, is_compiled)
            best = 0.0
            for _ in range(3):
                torch.cuda.synchronize()
                started = time.monotonic()
                for _ in range(STEPS):
                    step()
                torch.cuda.synchronize()
                best = max(best, STEPS * setting["batch"] / (time.monotonic() - started))
            speeds[optimizer + (", compiled" if is_compiled else "")] = best
            del step
            torch.cuda.empty_cache()
    print(json.dumps(speeds))


if __name__ == "__main__":
    main()
