"""Speed and size of the segmentation network for some choices of its channels.

For each: weights, size of the file in half precision, operations, and time of a forward pass over
slices of 256 x 224 with three sequences and their neighbours, with its weights converted once (as
in use) and at each call, with a correction, and of a step of training's forward and backward pass.
Times are the best of several, on the clock and of the
processor's threads together; where other work shares the cores, the second says more.

    python Testing/benchmarks/structure_net.py [--threads 1] [--slices 2] [--json]
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable, Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from MRISynthLib.devices import choose_dtype, dtype_name
from MRISynthLib.loaded_model import convert_weights
from MRISynthSegmentLib.structure_net import FEATURES, StructureNet
from MRISynthSegmentLib.structures import STRUCTURES

CHOICES = (
    (32, 64, 128, 192, 256, 48),
    (48, 96, 160, 224, 320, 64),
    (64, 96, 160, 256, 384, 64),
    (48, 96, 192, 288, 320, 64),
)

RUNS = 12

SIZE = (256, 224)


def best(works: Mapping[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Name -> (ms by the clock, ms of all threads) of the quickest of some runs, which take turns:
    what else the machine does in the meantime disturbs all alike."""
    for work in works.values():
        work()
    found = {name: (math.inf, math.inf) for name in works}
    for _ in range(RUNS):
        for name, work in works.items():
            began, used = time.perf_counter(), time.process_time()
            work()
            taken = 1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - used)
            found[name] = min(found[name][0], taken[0]), min(found[name][1], taken[1])
    return found


def measure(features: tuple[int, ...], slices: int) -> dict[str, float]:
    """Figures of one choice; times are for a single slice."""
    network = StructureNet(len(STRUCTURES), features).to(memory_format=torch.channels_last)
    count = sum(weight.numel() for weight in network.parameters())
    images = {name: torch.rand(slices, *SIZE) for name in ("T1w", "T2w", "CE-T1w")}
    around = {name: torch.rand(slices, 2, *SIZE) for name in images}
    edit = torch.rand(slices, 3, *SIZE)
    dtype = choose_dtype(torch.device("cpu"))
    format_in_use = torch.autocast("cpu", dtype, enabled=dtype is not torch.float32)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(images, around)
    figures = {
        "weights (million)": count / 1e6,
        "file (MiB)": 2 * count / 2**20,
        "GFLOP a slice": counter.get_total_flops() / slices / 1e9,
    }

    def learn() -> None:
        with format_in_use:
            logits = network(images, around)
        logits.mean().backward()

    converted = copy.deepcopy(network).requires_grad_(False)
    convert_weights(converted, dtype)
    found = best({"forward and backward": learn})
    network.requires_grad_(False)
    works = {
        "slice": lambda: converted(images, around),
        "slice, weights converted at each call": lambda: network(images, around),
        "slice with a correction": lambda: converted(images, around, None, edit),
    }
    with torch.inference_mode(), format_in_use:
        found |= best(works)
    for name, (clock, threads) in found.items():
        figures[f"{name} (ms)"] = clock / slices
        figures[f"{name}, threads (ms)"] = threads / slices
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slices", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    table = {features: measure(features, arguments.slices) for features in CHOICES}
    if arguments.json:
        print(json.dumps([{"features": each, **figures} for each, figures in table.items()]))
        return
    about = dtype_name(choose_dtype(torch.device("cpu")))
    print(
        f"{about}, channels last, {arguments.threads} thread(s), {arguments.slices} slices at once"
    )
    names = list(next(iter(table.values())))
    print(f"\n| features | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for features, figures in table.items():
        mark = " (default)" if features == FEATURES else ""
        cells = " | ".join(f"{figures[name]:.1f}" for name in names)
        print(f"| {', '.join(map(str, features))}{mark} | {cells} |")


if __name__ == "__main__":
    main()
