"""The commands, and what each of them takes."""

from __future__ import annotations

from layermilp.cli import models, sources
from layermilp.cli.arguments import Argument
from layermilp.cli.exchange import export, image_shape, import_, labels
from layermilp.cli.parser import Command
from layermilp.cli.programs import dump_programs
from layermilp.cli.report import report
from layermilp.cli.train import train
from layermilp.cli.verify import verify
from layermilp.datasets.source import DataSource
from layermilp.exchange import DTYPES, FORMATS
from layermilp.hybrid.method import Hybrid
from layermilp.layerwise.method import Layerwise
from layermilp.layerwise.options import Postprocess
from layermilp.layerwise.programs import Selection
from layermilp.networks.classifier import DECISIONS
from layermilp.parallel import WorkerOptions
from layermilp.runs.run import RunOptions

MODEL = Argument("model", "model.npz")

DATA_AGAIN = (
    Argument("--data", "as for train (default: those of the run)", "DATA"),
    Argument("--data-dir", "as for train (default: that of the run)", "DIR"),
    Argument("--label-column", "label column of a .csv file (default: that of the run)", "NAME"),
)
"""Options of data that are by default those of a run."""

COMMANDS = {
    "train": Command(
        train,
        "train a network or a committee",
        RunOptions,
        Argument(
            "--out", "directory for model.npz, history.jsonl, summary.json and checkpoints", "DIR"
        ),
        Argument("--resume", "go on with the run of this directory, by its own options", "DIR"),
        trains=True,
    ),
    "dump-programs": Command(
        dump_programs,
        "write the programs of a training run as files for other solvers",
        WorkerOptions,
        Argument(
            "--out",
            "new directory for the files and programs.json, which says what they are",
            "DIR",
            required=True,
        ),
        Argument("--format", "of the files: mps or lp", "NAME", default="mps"),
        trains=True,
        of_methods={
            Layerwise: Selection,
            Hybrid: Argument(
                "--round", "train up to the solver's turn of this round", "N", type=int, default=1
            ),
        },
    ),
    "postprocess": Command(
        models.postprocess,
        "fit the last layer of a saved network to a complete training set",
        MODEL,
        DataSource,
        Postprocess,
        Argument("--out", "where the new model is written", "FILE", required=True),
    ),
    "evaluate": Command(
        models.evaluate,
        "print the accuracy of a saved network",
        MODEL,
        DataSource,
        Argument("--json", "print one JSON object", action="store_true"),
    ),
    "verify": Command(
        verify,
        "recompute what a run claims, and say where it differs",
        Argument("model", "directory of a run, or its model.npz"),
        *DATA_AGAIN,
    ),
    "report": Command(
        report,
        "write a page with figures on one run or several",
        Argument("runs", "directory of a run", "DIR", nargs="+"),
        *DATA_AGAIN,
        Argument(
            "--out", "for the page and the figures (default: report, of one run in its DIR)", "DIR"
        ),
    ),
    "predict": Command(
        models.predict,
        "predict labels with a saved network",
        MODEL,
        Argument("samples", ".csv (label column ignored) or .npz (array X)"),
        Argument("--label-column", "column of a .csv that holds no input", "NAME", default="label"),
        Argument("--out", "write the labels here instead of printing them", "FILE"),
    ),
    "export": Command(
        export,
        "write a saved network for ONNX or PyTorch",
        MODEL,
        Argument(
            "--out", f"its suffix says the format: {', '.join(FORMATS)}", "FILE", required=True
        ),
        Argument("--dtype", f"of the numbers: {', '.join(DTYPES)}", "TYPE", default=DTYPES[0]),
    ),
    "import": Command(
        import_,
        "read a network from ONNX or PyTorch",
        Argument("model", f"file; its suffix says the format: {', '.join(FORMATS)}"),
        Argument("--out", "where model.npz is written", "FILE", required=True),
        Argument(
            "--classes",
            "label of each output (default: the file's, else 0,1,...)",
            "NAME[,NAME...]",
            type=labels,
        ),
        Argument(
            "--decision",
            f"how the class is read: {', '.join(DECISIONS)} (default: closest_to_one if a "
            "ReLU comes last, else argmax)",
            "RULE",
        ),
        Argument(
            "--image",
            "shape of a sample, where the file does not say it: 28x28 or 3x32x32",
            "[Cx]HxW",
            type=image_shape,
        ),
        Argument(
            "--net",
            "network whose weights a .pt file holds, as for train: 28x28-mean4-conv3-10",
            "LAYERS",
        ),
    ),
    "solvers": Command(sources.solvers, "list the solvers"),
    "data": Command(
        sources.data,
        "list data sets, or show one",
        Argument(
            "name", "what to load and describe; mnist is downloaded if it is not at hand", nargs="?"
        ),
        DataSource,
    ),
}
