"""The commands ``import`` and ``export``, training on, missing packages, sizes."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from layermilp import Committee, Network, load_model, postprocess, train
from layermilp.cli import main
from layermilp.errors import LayermilpError, NetworkError, PackageNotAvailable
from layermilp.exchange import export_model, from_onnx, import_model, to_onnx, to_state_dict
from layermilp.exchange import steps as exchange_steps
from tests.common import PATIENCE
from tests.exchange.examples import DIGITS, IMAGE, PIXELS, graph, node, run, same, trained


def test_an_imported_network_is_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = [
        node("MatMul", "x w1", "m"),
        node("Add", "m b1", "a"),
        node("Relu", "a", "b"),
        node("Gemm", "b w2 b2", "y"),
    ]
    constants = {
        "w1": rng.normal(size=(64, 4)) / 8,
        "b1": np.zeros(4),
        "w2": rng.normal(size=(4, 3)),
        "b2": np.zeros(3),
    }
    network = from_onnx(graph(nodes, constants, ("n", 64)), classes=[0, 1, 2])
    chosen = DIGITS < 3
    X, y = PIXELS[chosen][:120], DIGITS[chosen][:120]
    better = train(
        network, X, y, batches=2, batch_size=20, max_sweeps=1, postprocess="none"
    ).network
    better = postprocess(better, X, y)
    assert better.accuracy(X, y) > max(network.accuracy(X, y), 0.8)
    same(Network.load(better.save(tmp_path / "model.npz")), better)
    same(from_onnx(to_onnx(better)), better)
    assert np.array_equal(run(to_onnx(better), X)[1], better.predict(X))


def command(*words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "layermilp", *words)
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_commands(tmp_path: Path) -> None:
    model, other, back = (str(tmp_path / name) for name in ("model.npz", "net.onnx", "back.npz"))
    network = trained("8x8-mean2-conv3-10", "argmax")
    network.save(model)
    done = command("export", model, "--out", other)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:2] == [
        "net             8x8-mean2-conv3-10",
        "format          ONNX, float64",
    ]
    done = command("import", other, "--out", back)
    assert (done.returncode, done.stderr) == (0, "") and "decision        argmax" in done.stdout
    same(load_model(back), network)  # type: ignore[arg-type]
    assert (
        main(
            [
                "import",
                other,
                "--out",
                back,
                *split("--classes a,b,c,d,e,f,g,h,i,j --decision nearest"),
            ]
        )
        == 0
    )
    assert load_model(back).classes.tolist() == list("abcdefghij")
    assert load_model(back).decision == "closest_to_one"
    assert main(["export", model, "--out", other, "--dtype", "float32"]) == 0
    assert load_model(model).n_inputs == from_onnx(other).n_inputs


def test_commands_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed: pip install '.[torch]' brings it"
    )
    model, other, back = (str(tmp_path / name) for name in ("model.npz", "net.pt", "back.npz"))
    network = trained("8x8-mean2-conv3-10", "argmax")
    network.save(model)
    assert main(["export", model, "--out", other]) == 0
    assert main(["import", other, "--out", back, "--net", network.notation]) == 0
    same(load_model(back), network)  # type: ignore[arg-type]
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 2), torch.nn.ReLU()).state_dict(), other)
    assert (
        main(
            [
                "import",
                other,
                "--out",
                back,
                "--image",
                "3x4x5",
                "--classes",
                ",".join(map(str, range(1, 25))),
            ]
        )
        == 0
    )
    assert load_model(back).n_inputs == 60 and load_model(back).classes.tolist() == [*range(1, 25)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("export", "missing.npz", "--out", "a.onnx"), "there is no model file missing.npz"),
        (("export", "model.npz", "--out", "a.h5"), "suffix of no format; choose .onnx, .pt, .pth"),
        (("export", "model.npz", "--out", "a.onnx", "--dtype", "int8"), "dtype 'int8' is unknown"),
        (("export", "committee.npz", "--out", "a.onnx"), "Committee cannot be exported"),
        (("import", "model.npz", "--out", "a.npz"), "suffix of no format"),
        (("import", "missing.onnx", "--out", "a.npz"), "there is no model file missing.onnx"),
        (
            ("import", "net.onnx", "--out", "a.npz", "--image", "28"),
            "'28' is no shape of an image; write 28x28 or 3x32x32",
        ),
        (
            ("import", "net.onnx", "--out", "a.npz", "--classes", "a"),
            "as many different integer or text labels",
        ),
        (
            ("import", "net.onnx", "--out", "a.npz", "--decision", "best"),
            "decision 'best' is unknown",
        ),
        (("import", "net.onnx", "--out", "missing/a.npz"), "cannot write missing"),
    ],
)
def test_refused_commands(
    words: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    network = Network.dense([2, 3])
    network.save("model.npz")
    Committee([network, network]).save("committee.npz")
    export_model(network, "net.onnx")
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    output, errors = capsys.readouterr()
    assert code == 2 and output == "" and not Path("a.npz").exists() and not Path("a.onnx").exists()
    assert errors.count("\n") == 1 and errors.startswith("layermilp: ") and expected in errors


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network.dense([2, 3])
    network.save(tmp_path / "model.npz")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for suffix, extra in (("onnx", "onnx"), ("pt", "torch"), ("pth", "torch")):
        for call in (lambda path: export_model(network, path), import_model):
            with pytest.raises(
                PackageNotAvailable, match=rf"`pip install 'layermilp\[{extra}\]'` brings it"
            ):
                call(tmp_path / f"net.{suffix}")
    assert main(["export", str(tmp_path / "model.npz"), "--out", str(tmp_path / "a.onnx")]) == 2
    assert "pip install 'layermilp[onnx]'" in capsys.readouterr().err
    assert issubclass(PackageNotAvailable, LayermilpError) and to_state_dict(network)


def test_import_loads_neither_onnx_nor_torch() -> None:
    script = (
        "import layermilp.exchange, layermilp.cli, sys; "
        "print({'onnx', 'torch', 'google.protobuf'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_many_small_layers_are_too_large_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exchange_steps.LARGEST * 24 < 2e9
    monkeypatch.setattr(exchange_steps, "LARGEST", 1000)
    names = ["x", *(f"b{k}" for k in range(4)), "y"]
    nodes = [
        part
        for a, b in itertools.pairwise(names)
        for part in (node("Conv", f"{a} k", f"c{b}"), node("Relu", f"c{b}", b))
    ]
    with pytest.raises(NetworkError, match="the network is too large: written out as matrices"):
        from_onnx(graph(nodes, {"k": np.ones((1, 1, 1, 1))}, IMAGE))
    assert (
        len(
            from_onnx(
                graph(
                    [*nodes[:4], node("Identity", "b1", "y")], {"k": np.ones((1, 1, 1, 1))}, IMAGE
                )
            ).blocks
        )
        == 2
    )
