"""Every network on the same patients with the same small budget, one after the other.

Trains what is not yet trained (a stopped run goes on), makes a bundle of each and measures them
side by side, the product's network first.

    python Testing/benchmarks/comparison.py RUNS [--networks u-net,mmgsn-net] [--set steps=600]

RUNS gets a folder for each network, `bundles` and `figures`. `make bench` leaves this out, since it
takes hours; so does a call without RUNS.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from MRISynthLib.bundles import load_bundle
from MRISynthLib.evaluation import Options, evaluate_synthesis
from MRISynthLib.evaluation.output import write_results
from MRISynthLib.evaluation.patients import Patients
from MRISynthLib.evaluation.tables import markdown
from MRISynthLib.evaluation.tasks import parse_tasks
from MRISynthLib.training import train_synthesis
from MRISynthLib.training.checkpoint import BEST, CHECKPOINT
from MRISynthLib.training.export import export_synthesis
from MRISynthLib.training.synthesis import NETWORKS

SETTINGS = Path(__file__).resolve().parents[2] / "Resources" / "Training" / "comparison.yaml"

WITH_CRITIC = ("hi-net", "mmgsn-net", "mhdgn-net", "pix2pix", "cyclegan")
"""These learn twice, with the settings' optimiser and with the published one; the better counts."""

PUBLISHED = ("optimiser=adamw", "learning_rate=2e-4")

TASKS = ("T1w+T2w->CE-T1w", "T1w+T2w->STIR", "T1w+T2w->FLAIR", "T1w->T2w", "T2w->T1w")


def trained(name: str, runs: Path, overrides: list[str]) -> Path:
    """The folder of a network's bundle, trained first if it was not."""
    bundle = runs / "bundles" / name
    if bundle.is_dir():
        return bundle
    tried = {runs / name: ()}
    if name in WITH_CRITIC:
        tried[runs / f"{name}-published"] = PUBLISHED
    scores = {}
    for run, settings in tried.items():
        resume = (run / CHECKPOINT).is_file()
        train_synthesis([SETTINGS], run, resume, print, [f"network={name}", *settings, *overrides])
        scores[run] = float(torch.load(run / BEST, weights_only=True)["score"])
        print(f"{run.name}: validation score {scores[run]:.4f}")
    export_synthesis(max(scores, key=scores.get), bundle, name, {})
    return bundle


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=Path)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--benchmark", default=None, help="v1 for the fixed patients")
    parser.add_argument("--cases", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.runs is None:
        print("nothing was asked for: name a folder for the runs")
        sys.exit(0)
    names = [name for name in arguments.networks.split(",") if name]
    bundles = [load_bundle(trained(name, arguments.runs, arguments.set)) for name in names]
    figures = arguments.runs / "figures"
    figures.mkdir(exist_ok=True)
    patients = Patients(arguments.cases, benchmark=arguments.benchmark)
    found = evaluate_synthesis(bundles, patients, Options(parse_tasks(TASKS)), report=print)
    print(markdown(found))
    write_results(found, figures)


if __name__ == "__main__":
    main()
