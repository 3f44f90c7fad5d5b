"""The packages of training import downward only, and the lower ones no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ("errors", "datasets", "evaluation", "data", "synthetic", "models", "run", "tasks")
ABOVE = ("benchmarks", "sharpedge")
WITHOUT_TORCH = ("errors", "datasets", "evaluation", "data", "synthetic")


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted((ROOT / "training").rglob("*.py"))}


def imported(path):
    """Every module that a file imports, for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
    return found


GRAPH = {name: imported(path) for name, path in MODULES.items()}


def package_of(module):
    return module.split(".")[1]


def test_every_package_is_in_the_order_that_the_docstring_states():
    packages = {package_of(name) for name in MODULES if "." in name}
    assert packages == set(ORDER)
    text = MODULES["training"].read_text("utf-8")
    places = [text.index(f"- ``{name}``") for name in ORDER]
    assert places == sorted(places)


@pytest.mark.parametrize("module", [name for name in MODULES if "." in name])
def test_a_module_imports_from_its_own_package_and_from_lower_ones(module):
    mine = ORDER.index(package_of(module))
    for name in GRAPH[module]:
        assert name.partition(".")[0] not in ABOVE, f"{module} imports {name}"
        if name.startswith("training."):
            assert ORDER.index(package_of(name)) <= mine, f"{module} imports {name}"


def test_no_modules_import_each_other_in_a_circle():
    done: set[str] = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in sorted(GRAPH[module] & MODULES.keys()):
                visit(name, [*path, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


def test_the_lower_packages_and_the_commands_import_no_torch():
    names = [name for name in MODULES if "." in name and package_of(name) in WITHOUT_TORCH]
    names += ["sharpedge.commands.train", "sharpedge.commands.evaluate", "training.tasks.recipes"]
    names += ["training.run.model_cards", "training.run.run_folder", "training.run.events"]
    assert len(names) > 40
    code = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_file_of_the_package_is_short():
    for name, path in MODULES.items():
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 400, name
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno - node.lineno < 250, f"{name}.{node.name}"
