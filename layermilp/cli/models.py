"""The commands on saved models: ``postprocess``, ``evaluate`` and ``predict``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from layermilp import datasets
from layermilp.cli.arguments import options_of
from layermilp.cli.sources import load, to_stderr
from layermilp.errors import NetworkError
from layermilp.files import require_writable, write_atomically
from layermilp.layerwise.options import Postprocess
from layermilp.layerwise.postprocess import postprocess as fit_again
from layermilp.method import accuracies
from layermilp.networks.committee import Committee
from layermilp.networks.load import load_model
from layermilp.networks.network import Network
from layermilp.runs.progress import Progress


def postprocess(arguments: argparse.Namespace) -> int:
    """Fit the last layer anew on the complete training set, and write the model."""
    model = load_model(arguments.model)
    every = model.networks if isinstance(model, Committee) else (model,)
    members = [member for member in every if isinstance(member, Network)]
    if len(members) < len(every):
        raise NetworkError(
            f"{arguments.model} holds an integer network; post-processing is for networks of ReLU "
            "blocks"
        )
    require_writable(Path(arguments.out))
    data = load(arguments, model.n_inputs)
    to_stderr(f"data: {data.source}")
    options: dict[str, Any] = options_of(arguments, Postprocess).values()
    before, began = accuracies(model, data), time.perf_counter()
    X, y = data.X_train, data.classes[data.y_train]
    with Progress() as progress:
        fitted: list[Network] = []

        def watch(done: int, total: int) -> None:
            of = f"member {len(fitted) + 1}/{len(members)} · " if len(members) > 1 else ""
            share = (len(fitted) + done / total) / len(members)
            progress.show(f"{of}program {done}/{total}", share)

        options["watch"] = watch
        for member in members:
            fitted.append(fit_again(member, X, y, **options))
    model = Committee(fitted) if isinstance(model, Committee) else fitted[0]
    seconds, after = time.perf_counter() - began, accuracies(model, data)
    path = model.save(arguments.out)
    print(f"net             {model.notation} on {data.name}, {len(X):,} training samples")
    for part in before:
        if before[part] is not None:
            print(f"{part + ' accuracy':16}{before[part]:.4f} before, {after[part]:.4f} after")
    print(f"wall time       {seconds:.1f} s\nwritten         {path}")
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Print the accuracy of a saved network or committee."""
    model = load_model(arguments.model)
    data = load(arguments, model.n_inputs)
    found = accuracies(model, data)
    if arguments.json:
        result = {"model": str(arguments.model), "net": model.notation, "data": data.name}
        shares = {f"{part}_accuracy": accuracy for part, accuracy in found.items()}
        print(json.dumps({**result, **shares}))
        return 0
    print(f"{model.notation} on {data.source}")
    for part, X in (("train", data.X_train), ("test", data.X_test)):
        if X is not None:
            print(f"{part} accuracy  {found[part]:.4f} ({len(X):,} samples)")
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Print one predicted label per sample."""
    model = load_model(arguments.model)
    samples = datasets.load_samples(arguments.samples, label_column=arguments.label_column)
    text = "".join(f"{label}\n" for label in model.predict(samples))
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(Path(arguments.out), lambda file: file.write(text.encode()))
    return 0
