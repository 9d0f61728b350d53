"""The folders of sbert/ import only what the table allows, without circles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sbert"
# folder -> the folders that it may import; the root files, "", serve all and import no folder
ALLOWED = {
    "": "",
    "losses": "",
    "data": "",
    "models": "",
    "mining": "data models",
    "evaluation": "data losses models mining",
    "training": "data losses models evaluation",
    "sweeps": "data models evaluation training",
    "augment": "data losses models mining evaluation training sweeps",
    "claims": "data losses models mining evaluation training sweeps augment",
}
ROOT_FILES = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a file imports, also inside functions and by importlib."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import: write the full name"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value  # what importlib.import_module and a lazy __getattr__ are given


def forbidden(folder: str, tree: ast.AST) -> list[str]:
    """The modules that a file of a folder imports and may not."""
    parts = [name.split(".") for name in imported_modules(tree) if name.startswith("sbert.")]
    allowed = {folder, *ALLOWED[folder].split(), *ROOT_FILES}
    known = {*ALLOWED, *ROOT_FILES} - {""}
    return [".".join(part) for part in parts if part[1] in known and part[1] not in allowed]


# without the root's __init__.py, which imports public names on first use
FILES = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_are_allowed(path):
    folder = path.relative_to(PACKAGE).as_posix().rpartition("/")[0].partition("/")[0]
    assert not forbidden(folder, ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize("code", ["import sbert.models.x", "def f():\n from sbert import models"])
def test_a_forbidden_import_is_found(code):
    assert forbidden("losses", ast.parse(code))


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "training/objectives").glob("*.py")), ids=lambda p: p.name
)
def test_objectives_know_only_the_options_of_training(path):
    names = set(imported_modules(ast.parse(path.read_text("utf-8"))))
    of_training = [name for name in names if name.startswith("sbert.training.")]
    allowed = ("sbert.training.objectives.", "sbert.training.config")
    assert [name for name in of_training if not name.startswith(allowed)] == []
