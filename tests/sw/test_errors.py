"""Every error that is raised on purpose is one of the tree in `tmesh.errors`."""

import ast
import builtins
import inspect
from pathlib import Path

from tmesh import errors

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("sw", "hw", "sim") for path in sorted((ROOT / part).rglob("*.py"))]

#: Exceptions that report no mistake of a user: bugs, and protocols of Python.
OTHERS = {"AssertionError", "AttributeError", "KeyError", "SystemExit", "TypeError"}

#: Where a built-in one is raised to become another error in the same file.
CAUGHT = {("sw/tmesh/ledger/journal.py", "OSError")}


def test_no_file_raises_a_bare_built_in_exception() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), node.exc.func.id)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }
    bare = {one for one in found if hasattr(builtins, one[1]) and one[1] not in OTHERS}
    assert bare == CAUGHT


def test_the_tree_is_drawn_as_it_is() -> None:
    """Each class of the module stands in its docstring, below its base, with its built-in base."""
    lines = (errors.__doc__ or "").splitlines()
    depth = {
        line.strip("│├└─ ").split()[0]: line.index(line.strip("│├└─ ").split()[0])
        for line in lines
        if line.startswith("    ")
    }
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.TMeshError)
    }
    assert set(depth) == set(classes)
    for name, kind in classes.items():
        if kind is not errors.TMeshError:
            base = kind.__bases__[0].__name__
            assert depth[name] == depth[base] + 4
        built_in = kind.__bases__[1:] or (None,)
        shown = next(line for line in lines if f" {name} " in line or line.endswith(name))
        if built_in[0] is not None:
            assert f"({built_in[0].__name__})" in shown
