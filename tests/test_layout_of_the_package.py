"""Which module may import which: the order of the package's layers, and what is imported only when it is used."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import luigi_ilsvrc

PACKAGE = "luigi_ilsvrc"
ROOT = Path(luigi_ilsvrc.__file__).parent
MAX_LINES = 380

LAYERS = (
    {"__init__"},
    {"tasks"},
    {
        "verify",
        "report",
        "repair",
        "cleanup",
        "inventory",
        "findings",
        "ahead",
        "extract",
        "formats",
        "build_record",
        "timings",
    },
    {"layouts", "download"},
    {"dataset", "storage"},
    {"errors", "progress", "units"},
)
"""From above: a unit imports of its own layer and of those below it."""

BESIDE = {
    "miniature": {"miniature", "dataset", "storage", "errors", "progress"},
    "datasets": {"datasets", "build_record", "formats", "dataset", "errors"},
}
"""Units outside the layers, which no other unit imports: what each may import."""


@dataclass(frozen=True)
class Import:
    """One import statement's module, as a dotted name."""

    name: str
    is_at_top: bool
    """Whether it happens when the importing module is imported."""


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_in(body: list[ast.stmt], is_at_top: bool = True) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, is_at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import that is relative"
            module = node.module or ""
            yield from (Import(module_called(f"{module}.{alias.name}", module), is_at_top) for alias in node.names)
        runs = is_at_top and not is_type_checking(node) and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            for inner in getattr(node, field, ()):
                yield from imports_in([inner], runs or (is_at_top and field == "orelse"))


def module_called(name: str, otherwise: str) -> str:
    """Return `name` if it is a module of the package, and else the module that has something of this name."""
    return name if name in module_files() else otherwise


@cache
def module_files() -> dict[str, Path]:
    """Return the files of the package, by the dotted names of the modules."""
    files = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


@cache
def imports_of(module: str) -> list[Import]:
    return list(imports_in(ast.parse(module_files()[module].read_text()).body))


def own_imports() -> Iterator[tuple[str, str]]:
    """Yield each module of the package with each module of the package that it imports."""
    for module in module_files():
        for imported in imports_of(module):
            if imported.name == PACKAGE or imported.name.startswith(f"{PACKAGE}."):
                yield module, imported.name


def importers_of(library: str, only_at_top: bool = False) -> set[str]:
    """Return the modules that import a library."""
    return {
        module
        for module in module_files()
        for imported in imports_of(module)
        if imported.name.partition(".")[0] == library and (imported.is_at_top or not only_at_top)
    }


def unit_of(module: str) -> str:
    """Return the file or folder directly below the package that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def layer_of(unit: str) -> int:
    return next(number for number, units in enumerate(LAYERS) if unit in units)


def check_for_circles(pairs: Iterator[tuple[str, str]]) -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in pairs:
        if importer != imported:
            graph.setdefault(importer, set()).add(imported)
    TopologicalSorter(graph).prepare()


# Between the modules -------------------------------------------------------------------------------------------------


def test_no_modules_import_each_other_in_a_circle() -> None:
    check_for_circles(own_imports())


def test_no_folders_import_each_other_in_a_circle() -> None:
    check_for_circles((unit_of(importer), unit_of(imported)) for importer, imported in own_imports())


def test_every_unit_has_a_place_in_the_order() -> None:
    placed = set().union(*LAYERS, BESIDE)
    assert {unit_of(module) for module in module_files()} <= placed


def test_imports_run_only_downwards() -> None:
    upwards = [
        f"{importer} imports {imported}"
        for importer, imported in own_imports()
        if unit_of(importer) not in BESIDE
        if unit_of(imported) in BESIDE or layer_of(unit_of(imported)) < layer_of(unit_of(importer))
    ]
    assert upwards == []


def test_what_is_beside_the_layers_imports_only_what_it_may() -> None:
    others = [
        f"{importer} imports {imported}"
        for importer, imported in own_imports()
        if unit_of(importer) in BESIDE and unit_of(imported) not in BESIDE[unit_of(importer)]
    ]
    assert others == []


@pytest.mark.parametrize("module", module_files())
def test_a_module_is_short_enough_to_be_read(module: str) -> None:
    assert len(module_files()[module].read_text().splitlines()) <= MAX_LINES


# Libraries -----------------------------------------------------------------------------------------------------------


def test_only_the_tasks_import_luigi() -> None:
    assert {unit_of(module) for module in importers_of("luigi")} == {"tasks"}


@pytest.mark.parametrize("library", ["pandas", "matplotlib", "jinja2"])
def test_only_the_report_imports_a_library_for_pages(library: str) -> None:
    assert {unit_of(module) for module in importers_of(library)} == {"report"}


@pytest.mark.parametrize("library", ["tensorflow", "lxml"])
def test_a_large_library_is_imported_only_when_it_is_used(library: str) -> None:
    assert importers_of(library, only_at_top=True) == set()


def test_nothing_that_builds_or_verifies_imports_tensorflow() -> None:
    assert {unit_of(module) for module in importers_of("tensorflow")} <= {"datasets"}


@pytest.mark.parametrize("module", ["luigi_ilsvrc", "luigi_ilsvrc.datasets"])
def test_importing_the_package_imports_no_large_library(module: str) -> None:
    large = {"PIL", "jinja2", "lxml", "matplotlib", "numpy", "pandas", "tensorflow", "tqdm"}
    program = f"import {module}, sys; print(*sorted({large} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_importing_the_package_leaves_the_log_as_it_is() -> None:
    program = (
        "import logging, luigi; state = lambda: [(name, logging.getLogger(name).handlers, logging.getLogger(name)."
        "level, logging.getLogger(name).propagate) for name in ('', 'luigi', 'luigi-interface', 'luigi_ilsvrc')];"
        "before = state(); import luigi_ilsvrc; assert state() == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# The reading of imports itself ---------------------------------------------------------------------------------------


def test_imports_are_found_at_any_depth_and_told_apart_by_when_they_happen() -> None:
    program = """
import a
if TYPE_CHECKING:
    import b
else:
    import c
try:
    import d
except ImportError:
    import e
class Some:
    import f
    def method(self):
        with self:
            import g
from luigi_ilsvrc import cleanup
from luigi_ilsvrc.errors import BuildError
"""
    found = {imported.name: imported.is_at_top for imported in imports_in(ast.parse(program).body)}
    assert found == {
        **dict.fromkeys("acdef", True),
        **dict.fromkeys("bg", False),
        "luigi_ilsvrc.cleanup": True,
        "luigi_ilsvrc.errors": True,
    }
