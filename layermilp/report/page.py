"""The page of a report."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layermilp.files import directory, write_atomically
from layermilp.report.figures import FIGURES, accuracy_over_time
from layermilp.report.reported import Reported
from layermilp.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "report.html"
DOTS_PER_INCH = 144

ROWS = {
    "net": "net",
    "method": "method",
    "data": "data",
    "samples": "training samples",
    "committee": "members",
    "batches_done": "batches",
    "sweeps": "sweeps",
    "seed": "seed",
    "train_accuracy": "training accuracy",
    "seen_accuracy": "accuracy on all samples seen",
    "batch_accuracy": "accuracy on the last batch",
    "test_accuracy": "test accuracy",
    "objective_value": "objective",
    "objective_bound": "bound of the objective",
    "validation_loss": "validation loss",
    "verdict": "verdict",
    "wall_seconds": "wall seconds",
    "programs_solved": "programs solved",
    "programs_optimal": "optimal within the gap",
    "programs_at_limit": "at a limit",
    "programs_failed": "failed",
    "largest_gap": "largest gap",
    "solver_version": "solvers",
    "interrupted": "interrupted",
    "layermilp_version": "layermilp",
}
"""What the table of results shows of summaries, and in which words."""

HIDDEN = {
    *ROWS,
    "data_source",
    "data_options",
    "solver_calls",
    "init_scores",
    "tried",
    "members_done",
}
"""What the table of everything else leaves out."""


@dataclass(frozen=True)
class Picture:
    """A figure on the page: whose it is, its file's name, words for who does not see it, and its
    content."""

    run: str
    file: str
    alt: str
    content: bytes

    @property
    def url(self) -> str:
        """The figure itself, as the page holds it."""
        return "data:image/png;base64," + base64.b64encode(self.content).decode()


@dataclass(frozen=True)
class Row:
    """A row of a table: a cell for every run, empty where the run does not have it."""

    title: str
    cells: list[str]

    @property
    def differs(self) -> bool:
        """Whether the runs that have it differ in it."""
        return len(set(self.cells) - {""}) > 1


@dataclass(frozen=True)
class Section:
    """Figures of one kind."""

    key: str
    title: str
    caption: str
    pictures: tuple[Picture, ...]


def write_report(runs: Sequence[Reported], out: str | Path) -> Path:
    """Write ``report.html``, with the runs in their order, and a PNG file per figure into a
    directory, which is made if it is missing; return the page, which needs no other file.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    folder = directory(Path(out))
    sections = _sections(runs)
    for section in sections:
        for picture in section.pictures:
            _write(folder / picture.file, picture.content)
    return _write(folder / PAGE, _rendered(runs, sections).encode())


def _sections(runs: Sequence[Reported]) -> list[Section]:
    overall = accuracy_over_time(runs)
    found = []
    if overall is not None:
        picture = Picture("", "accuracy.png", "accuracy over seconds of training", _png(overall))
        found.append(Section("accuracy", "Accuracy over time", "", (picture,)))
    for drawing in FIGURES:
        pictures = []
        for number, run in enumerate(runs, start=1):
            figure = drawing.draw(run)
            if figure is not None:
                plain = re.sub(r"[^\w.-]+", "_", run.name)  # what a file's name can have
                of = "" if len(runs) == 1 else f"-{number}-{plain}"
                alt = f"{drawing.title} of {run.name}"
                pictures.append(Picture(run.name, f"{drawing.key}{of}.png", alt, _png(figure)))
        if pictures:
            found.append(Section(drawing.key, drawing.title, drawing.caption, tuple(pictures)))
    return found


def _rendered(runs: Sequence[Reported], sections: Sequence[Section]) -> str:
    import jinja2

    summaries = [run.summary | {"method": run.method} for run in runs]
    results = [_row(title, key, summaries) for key, title in ROWS.items()]
    others = dict.fromkeys(name for summary in summaries for name in summary if name not in HIDDEN)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("layermilp.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.jinja").render(
        runs=runs,
        results=[row for row in results if any(row.cells)],
        others=[_row(name, name, summaries) for name in others],
        sections=sections,
        version=__version__,
    )


def _row(title: str, key: str, summaries: Sequence[dict[str, Any]]) -> Row:
    return Row(title, [_cell(key, each[key]) if key in each else "" for each in summaries])


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and key.endswith("accuracy"):
        return f"{value:.4f}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 1000.0 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_cell(key, entry) for entry in value)
    return str(value)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()


def _write(path: Path, content: bytes) -> Path:
    return write_atomically(path, lambda file: file.write(content))
