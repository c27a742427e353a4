"""Modules and files of PyTorch."""

from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layermilp import Network
from layermilp.errors import ModelFileError, NetworkError
from layermilp.exchange import (
    export_model,
    from_torch,
    import_model,
    to_state_dict,
    to_torch,
)
from tests.common import PATIENCE, ROOT
from tests.exchange.examples import (
    DECISIONS,
    NETS,
    PIXELS,
    mutations,
    same,
    survives,
    trained,
)


class TestTorch:
    """Modules and files of PyTorch, where it is installed."""

    @pytest.fixture
    def torch(self) -> Any:
        return pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[torch]' brings it"
        )

    @pytest.mark.parametrize("decision", DECISIONS)
    @pytest.mark.parametrize("net", NETS)
    def test_modules_agree_on_the_digits(
        self, torch: Any, net: str, decision: str, tmp_path: Path
    ) -> None:
        network = trained(net, decision)
        module = to_torch(network)
        with torch.no_grad():
            outputs = module(torch.tensor(PIXELS)).numpy()
            rounded = to_torch(network, dtype="float32")(torch.tensor(PIXELS).float()).numpy()
        np.testing.assert_allclose(outputs, network.forward(PIXELS), rtol=0, atol=1e-12)
        np.testing.assert_allclose(rounded, network.forward(PIXELS), rtol=0, atol=1e-5)
        same(from_torch(module), network)
        assert list(module.state_dict()) == list(to_state_dict(network))
        path = export_model(network, tmp_path / "net.pt")
        module.load_state_dict(torch.load(path, weights_only=True))
        same(import_model(path, net=net, decision=decision), network)

    @pytest.mark.filterwarnings("ignore:Using padding='same'")
    def test_modules_of_others(self, torch: Any) -> None:
        nn = torch.nn
        torch.manual_seed(0)
        module = (
            nn.Sequential(
                nn.Conv2d(2, 4, (3, 2), padding=(1, 0), stride=(2, 1), groups=2),
                nn.ReLU(),
                nn.AvgPool2d(2, padding=1),
                nn.Dropout(),
                nn.Sequential(
                    nn.Conv2d(4, 6, 2, dilation=3, padding="same", bias=False), nn.ReLU()
                ),
                nn.Identity(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(6, 3),
            )
            .double()
            .eval()
        )
        X = torch.randn(9, 2, 7, 6, dtype=torch.float64)
        network = from_torch(module, image=(2, 7, 6), classes=["a", "b", "c"])
        with torch.no_grad():
            np.testing.assert_allclose(
                network.forward(X.reshape(9, -1)), module(X).numpy(), rtol=0, atol=1e-12
            )
            again = to_torch(network)(X.reshape(9, -1)).numpy()
        np.testing.assert_allclose(again, module(X).detach().numpy(), rtol=0, atol=1e-12)
        kinds = [type(part).__name__ for part in to_torch(network)]
        # Padding of the second convolution is not the same on both sides; one mean has padding.
        assert [kind for kind in kinds if kind not in ("ReLU", "Flatten", "Unflatten")] == [
            "Conv2d",
            "Linear",
            "Linear",
            "AvgPool2d",
            "Linear",
        ]
        kernels = sum(part.numel() for part in module[0].parameters())
        assert network.blocks[0].theta.size == kernels and network.decision == "argmax"

    def test_modules_that_are_no_network_are_refused(self, torch: Any) -> None:
        nn = torch.nn

        class Linear(nn.Linear):  # type: ignore[misc, name-defined]
            """By its name one of PyTorch's."""

        for module, words in (
            (nn.Linear(2, 2), "from a Sequential, not from Linear"),
            (
                nn.Sequential(nn.Linear(2, 2), nn.Tanh()),
                "Tanh '1' is not supported; a network is made of Linear",
            ),
            (nn.Sequential(Linear(2, 2)), "Linear '0' is not supported"),
            (
                nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),
                "Linear '0' and Linear '1' follow each other",
            ),
            (nn.Sequential(nn.Linear(2, 2).half()), "type float16"),
            (nn.Sequential(nn.Conv2d(1, 1, 2)), "give it as image"),
            (
                nn.Sequential(nn.Conv2d(1, 1, 2, padding=1, padding_mode="circular")),
                "pads with circular",
            ),
            (
                nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.AvgPool2d(2, ceil_mode=True)),
                "ceil_mode",
            ),
            (
                nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.AvgPool2d(2)),
                r"gets samples of shape \(4,\)",
            ),
            (nn.Sequential(nn.Flatten(0), nn.Linear(4, 4)), "does not flatten all of a sample"),
            (nn.Sequential(), "nothing says"),
        ):
            with pytest.raises(NetworkError, match=words):
                from_torch(module)

    @pytest.mark.usefixtures("torch")
    def test_the_example_of_the_documentation_runs(self, tmp_path: Path) -> None:
        page = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
        words = [sys.executable, "-c", code]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr

    def test_nothing_in_a_file_is_executed(self, torch: Any, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> Any:
                return (os.mkdir, (str(tmp_path / "executed"),))

        path = tmp_path / "net.pt"
        for content in ({"0.weight": Evil()}, Evil(), torch.nn.Linear(2, 2)):
            torch.save(content, path)
            with pytest.raises(ModelFileError, match="damaged or holds more than tensors"):
                import_model(path)
        path.write_bytes(pickle.dumps(Evil()))
        with pytest.raises(ModelFileError, match="damaged"):
            import_model(path)
        assert not (tmp_path / "executed").exists()

    def test_files_that_claim_more_than_they_hold_are_refused(
        self, torch: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "net.pt"
        torch.save({"0.weight": torch.zeros(1, 1).expand(10**6, 10**6)}, path)
        with pytest.raises(ModelFileError, match="share numbers"):
            import_model(path)
        torch.save({"0.weight": torch.zeros(500, 500)}, path)
        with (
            zipfile.ZipFile(path) as source,
            zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            for name in source.namelist():
                packed.writestr(name, source.read(name))
        with pytest.raises(ModelFileError, match="holds no mapping"):
            import_model(tmp_path / "packed.pt")
        for content in (
            [torch.ones(2, 2)],
            {"0.weight": 1.0},
            {"0.weight": torch.eye(2).to_sparse()},
        ):
            torch.save(content, path)
            with pytest.raises(ModelFileError, match="holds"):
                import_model(path)

    def test_damaged_files_are_refused_or_read(self, torch: Any, tmp_path: Path) -> None:
        content = io.BytesIO()
        torch.save(
            {
                name: torch.tensor(array)
                for name, array in to_state_dict(Network.dense([4, 3, 2])).items()
            },
            content,
        )
        assert survives(tmp_path / "net.pt", mutations(content.getvalue(), 300, 0)) > 50
