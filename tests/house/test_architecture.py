"""The map of the house: which package may import which, and how large a module and a signature may
be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.common import ROOT

PACKAGE = ROOT / "layermilp"
FLOORS = (
    ("errors", "checks", "version", "files", "archives"),
    ("options",),
    ("program",),
    ("export",),
    ("solvers", "parallel"),
    ("networks", "datasets"),
    ("method",),
    ("formulations",),
    ("algorithms",),
    ("layerwise", "bcd", "integer", "hybrid", "smt"),
    ("runs",),
    ("estimators", "exchange", "report"),
    ("cli",),
)
"""Packages and modules from the lowest floor to the highest: each imports those of its own floor
and of the floors below, and ``layermilp`` itself imports what users need of all."""
LONGEST = 450
"""Most lines of a module."""
MOST_PARAMETERS = 8
DOCUMENTED = {
    "layermilp.hybrid.lastlayer.fit_classification",
    "layermilp.hybrid.lastlayer.fit_regression",
    "layermilp.layerwise.neurons.fit_relu_neuron",
    "layermilp.layerwise.neurons.propose_inputs",
}
"""Functions of the documented contract: users give their many options by keyword."""
TESTS = ROOT / "tests"
OF_THE_WHOLE = {"bench", "conformance", "differential", "faults", "house"}
"""Folders of tests that are about no package: the others have the name of theirs."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    parts = ("layermilp", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_name(path): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}


def _imports(name: str) -> Iterator[str]:
    """Modules of the package that a module imports, in functions and for types too."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in TREES)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found = [f"{node.module}.{alias.name}", str(node.module)]
                yield from [module for module in found if module in TREES][:1]


IMPORTS = {name: set(_imports(name)) for name in TREES}


def _functions(name: str) -> Iterator[tuple[str, Function]]:
    """Functions of a module, with their whole names."""

    def within(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            inner = prefix
            if isinstance(child, ast.ClassDef | Function):
                inner = f"{prefix}.{child.name}"
            if isinstance(child, Function):
                yield inner, child
            yield from within(child, inner)

    return within(TREES[name], name)


def _n_parameters(function: Function) -> int:
    given = function.args
    names = [part.arg for part in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    others = [part for part in (given.vararg, given.kwarg) if part is not None]
    return len([name for name in names if name not in ("self", "cls")]) + len(others)


def test_every_package_and_module_has_its_floor() -> None:
    on_floors = [name for floor in FLOORS for name in floor]
    found = {name.split(".")[1] for name in TREES if "." in name} - {"__main__"}
    assert sorted(on_floors) == sorted(found)


def test_the_start_page_of_the_docs_shows_the_map() -> None:
    page = (PACKAGE.parent / "docs" / "index.md").read_text(encoding="utf-8")
    rows = page[page.index("| folder or file") :].split("\n\n")[0].splitlines()[2:]
    first = [row.split("|")[1] for row in rows]
    named = [name for cell in first for name in re.findall(r"`([\w/.]+)`", cell)]
    on_floors = [name for floor in FLOORS for name in floor]
    assert sorted(name.removesuffix("/").removesuffix(".py") for name in named) == sorted(on_floors)
    files = [*named, *re.findall(r"`(\w+/\w+\.py)`", "".join(rows))]
    assert len(files) > 30
    assert [file for file in files if not (PACKAGE / file).exists()] == []


@pytest.mark.parametrize("name", sorted(name for name in TREES if name.count(".")))
def test_imports_go_down(name: str) -> None:
    floors = {part: number for number, floor in enumerate(FLOORS) for part in floor}
    floor = floors.get(name.split(".")[1], len(FLOORS))  # above all others: __main__
    for imported in IMPORTS[name]:
        assert "." in imported, f"{name} imports the package as a whole"
        assert floors[imported.split(".")[1]] <= floor, f"{name} imports {imported}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        tuple(TopologicalSorter(IMPORTS).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_no_module_is_too_long() -> None:
    lengths = {name: source.count("\n") for name, source in SOURCES.items()}
    assert {name for name, length in lengths.items() if length > LONGEST} == set()


def test_no_function_takes_too_many_parameters() -> None:
    counts = {
        whole: _n_parameters(function) for name in TREES for whole, function in _functions(name)
    }
    more = {name for name, count in counts.items() if count > MOST_PARAMETERS}
    assert more <= DOCUMENTED


def test_imports_are_absolute() -> None:
    levels = {
        name: max(
            (node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)), default=0
        )
        for name, tree in TREES.items()
    }
    assert {name for name, level in levels.items() if level} == set()


def test_what_a_function_imports_is_seen() -> None:
    assert "layermilp.hybrid.torch_models" in IMPORTS["layermilp.hybrid.models"]
    assert "layermilp.networks.layers" in IMPORTS["layermilp.networks.network"]
    assert "layermilp.layerwise.trainer.train" in dict(_functions("layermilp.layerwise.trainer"))


@pytest.mark.parametrize(
    "path", sorted(str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py"))
)
def test_tests_mirror_the_package(path: str) -> None:
    folder, name = Path(path).parent, Path(path).stem.removeprefix("test_")
    if str(folder) in OF_THE_WHOLE:
        return
    modules = {module.stem for module in (PACKAGE / folder).glob("*.py")} | {folder.name}
    # A second file on a module has the module's name, and then what it is about.
    assert any(name == module or name.startswith(f"{module}_") for module in modules - {"__init__"})
    assert len((TESTS / path).read_text(encoding="utf-8").splitlines()) <= LONGEST
