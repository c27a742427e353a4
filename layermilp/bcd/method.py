"""Block coordinate descent as a run knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from layermilp.bcd.descent import Descent
from layermilp.bcd.options import Descents
from layermilp.bcd.trainer import Record, Swept, checked, training
from layermilp.datasets.dataset import Dataset
from layermilp.method import Listener, SampledMethod, output_classes
from layermilp.networks.files import Arrays
from layermilp.networks.initialization import INITIALIZERS
from layermilp.networks.load import Model
from layermilp.networks.network import Network
from layermilp.networks.parameters import check_size
from layermilp.options import option
from layermilp.parallel import Workers


@dataclass(kw_only=True)
class BCD(Descents, SampledMethod):
    """Block coordinate descent with auxiliary variables, with the network that it trains."""

    name: ClassVar[str] = "bcd"
    kept_words: ClassVar[str] = "these are the last weights"

    net: str = option(
        "784-64-10",
        "inputs and layers: 784-64-10, or 28x28-mean4-conv3-10 with means of 4 x 4 regions and a 3 "
        "x 3 kernel",
        metavar="LAYERS",
    )
    init: str = option("he", "initial weights", metavar="RULE", choices=INITIALIZERS)

    def initial(self) -> Network:
        """Return the network that training starts from, with the outputs 0, 1, ... as classes."""
        return Network.from_notation(self.net, init=self.init, seed=self.seed)

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.initial().n_inputs

    def check_memory(self, networks: int) -> None:
        """Raise `NetworkError` if there is not enough memory for so many networks."""
        blocks = self.initial().blocks
        n_weights = sum(block.parameters.index.size for block in blocks)
        check_size(len(blocks), n_weights * networks, "the committee")

    def check(self, data: Dataset) -> None:
        """Raise an error if there are fewer samples, or they do not fit the network."""
        super().check(data)
        checked(self.network_for(data), data.X_train, data.classes[data.y_train])

    def network_for(self, data: Dataset) -> Network:
        """Return the network that training starts from, with the labels of the data as classes."""
        network = self.initial()
        return network.with_classes(output_classes(network, data)).with_decision("argmax")

    def training(
        self, data: Dataset, workers: Workers, listener: Listener, begin: Swept | None = None
    ) -> Iterator[Swept]:
        """Train by sweeps; yield every one."""
        labels = data.classes[data.y_train]
        for state in training(self.network_for(data), data.X_train, labels, self, begin):
            record = state.sweeps[-1]
            words = f"objective {record.objective:.5g}, accuracy {record.accuracy:.4f}"
            listener.detail(f"sweep {record.sweep}: {words}")
            share = record.sweep / self.sweeps
            listener.show(f"sweep {record.sweep}/{self.sweeps} · {words}", share)
            yield state

    def restored(self, content: Mapping[str, Any], arrays: Arrays, data: Dataset) -> Swept:
        """Return the state of which a checkpoint holds the content."""
        prepared = self.prepared(data)
        network = self.network_for(prepared)
        for i, block in enumerate(network.blocks):
            network = network.with_block(i, block.with_theta(arrays[f"theta_{i}"]))
        hidden = len(network.blocks) - 1 - network.first_trained
        values = [arrays[f"activations_{k}"] for k in range(hidden)]
        descent = Descent(network, prepared.X_train, prepared.X_train[:, :0], self)
        records = tuple(Record(**record) for record in content["sweeps"])
        return Swept(descent.point(network, values), records)

    def results(
        self, model: Model | None, states: Sequence[Swept], data: Dataset
    ) -> dict[str, Any]:
        """Return accuracies and what was done."""
        assert model is not None  # every sweep has a network
        return {
            **self.claims(model, len(states), data),
            "objective": sum(state.sweeps[-1].objective for state in states),
            "sweeps": sum(len(state.sweeps) for state in states),
        }

    def report(self, summary: Mapping[str, Any]) -> list[str]:
        """Return the lines that are printed at the end."""
        test = summary["test_accuracy"]
        return [
            f"net             {summary['net']} on {summary['samples']:,} samples of "
            f"{summary['data']}",
            f"train accuracy  {summary['train_accuracy']:.4f} (samples used "
            f"{summary['seen_accuracy']:.4f})",
            f"test accuracy   {'none' if test is None else f'{test:.4f}'}",
            f"objective       {summary['objective']:.6g} after {summary['sweeps']:,} sweeps",
            f"wall time       {summary['wall_seconds']:.1f} s",
        ]
