"""The structure holds: imports point down, libraries have one home, parts stay small, only the command line prints."""

from __future__ import annotations

import ast
import json
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "imgsync").rglob("*.py"))


def test_imports_keep_the_contract():
    """import-linter finds no violation."""
    done = subprocess.run([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_rooms_stand_on_at_most_ten_layers():
    """The longest chain of imports from room to room has ten rooms; a circle would never end."""
    imports: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("imgsync."):
                imports[_room(path)].add(node.module.split(".")[1])

    @cache
    def layer(room: str) -> int:
        return 1 + max((layer(below) for below in imports[room] - {room}), default=0)

    assert max(layer(room) for room in list(imports)) <= 10


def test_no_room_holds_a_quarter_of_the_package():
    """A room that large is a package within the package."""
    lines: Counter[str] = Counter()
    for path in MODULES:
        lines[_room(path)] += len(path.read_text(encoding="utf-8").splitlines())

    assert max(lines.values()) < sum(lines.values()) / 4


def _room(path: Path) -> str:
    return path.relative_to(ROOT / "imgsync").parts[0].removesuffix(".py")


def test_package_has_three_modules_at_its_top():
    """Everything else is in a room."""
    assert {path.stem for path in (ROOT / "imgsync").glob("*.py")} == {"__init__", "__main__", "errors"}


def test_functions_and_modules_are_small():
    """Half of all functions have at most five lines, none over fifty; half of all modules have at most a hundred, none over 350."""
    modules = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    functions = {
        f"{path}:{node.lineno}": _length(node) for path in MODULES for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    }

    assert [str(path) for path, lines in modules.items() if lines > 350] == []
    assert [place for place, lines in functions.items() if lines > 50] == []
    assert statistics.median(modules.values()) <= 100
    assert statistics.median(functions.values()) <= 5


def _length(function: ast.FunctionDef) -> int:
    """Return how many lines the body of *function* has, its docstring aside."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_test_names_say_subject_and_case():
    """A test that fails says what is wrong by its name: at least three words."""
    names = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]

    assert [name for name in names if len(name.rpartition(": test_")[2].split("_")) < 3] == []


def test_the_package_itself_imports_nothing():
    """The console script loads it before the patch."""
    tree = ast.parse((ROOT / "imgsync" / "__init__.py").read_text())

    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_only_the_command_line_prints():
    """stdout belongs to imgsync/cli."""
    found = [
        str(path)
        for path in (ROOT / "imgsync").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert found == []


# What no rule of ruff can name: a method by its name, an argument by its value, a write by an index.
_KILLING = {"kill", "throw", "killone"}
_MAY_KILL = {"imgsync/concurrency/native_thread.py", "imgsync/oci/auth/credential_helper.py"}  # a pool of native threads; a process of another program


def _forbidden(tree: ast.AST, *, file: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of calls that kill greenlets or let diskcache retry forever."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in _KILLING and file not in _MAY_KILL and ast.unparse(node.func.value) != "os":
                yield node.lineno, f".{node.func.attr}("
            if any(one.arg == "retry" and isinstance(one.value, ast.Constant) and one.value.value is True for one in node.keywords):
                yield node.lineno, "retry=True"
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and "/state/" in file and ast.unparse(node.value).endswith("cache"):
            yield node.lineno, "cache[key] = value"


def test_no_greenlet_is_killed_and_no_retry_is_endless():
    """Under names that ruff does not know."""
    found = [
        (path.name, place)
        for path in (ROOT / "imgsync").rglob("*.py")
        for place in _forbidden(ast.parse(path.read_text()), file=path.relative_to(ROOT).as_posix())
    ]

    assert found == []


# Each line is one that must never be there; what comes of `given` is somebody else's.
_PLANTED = """
eval(given)
exec(given)
import pickle
from pickle import loads
import marshal
import shelve
import dill
subprocess.run(given, shell=True)
subprocess.Popen(given, shell=True)
subprocess.getoutput(given)
os.system(given)
os.popen(given)
yaml.load(given)
yaml.load(given, Loader=yaml.Loader)
yaml.load(given, Loader=yaml.UnsafeLoader)
yaml.load_all(given, Loader=yaml.Loader)
yaml.full_load(given)
yaml.unsafe_load(given)
from gevent import Timeout
gevent.Timeout(3)
gevent.with_timeout(3, given)
gevent.kill(given)
gevent.killall(given)
given.kill()
greenlet.throw(given)
given.set("key", "value", retry=True)
given.transact(retry=True)
self._cache["key"] = given
del cache["key"]
""".strip().splitlines()
_HEAD = "import os\nimport subprocess\n\nimport gevent\nimport yaml\n\n"


def test_forbidden_lines_are_refused():
    """By the project's lint configuration or by the check above."""
    text = _HEAD + "\n".join(_PLANTED) + "\n"
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache", "--output-format", "json", "--stdin-filename"]
    own = {"S102", "S307", "S506", "S602", "S605", "TID251"}

    for file in ("imgsync/state/planted.py", "imgsync/cli/planted.py", "imgsync/__main__.py"):
        done = subprocess.run([*ruff, file, "-"], cwd=ROOT, input=text, capture_output=True, text=True, check=False)
        refused = {fault["location"]["row"] for fault in json.loads(done.stdout) if fault["code"] in own}
        refused |= {line for line, _ in _forbidden(ast.parse(text), file="imgsync/state/planted.py")}
        left = [line for number, line in enumerate(_PLANTED, _HEAD.count("\n") + 1) if number not in refused]
        assert left == [], file
    assert not [number for number in refused if number <= _HEAD.count("\n")], "what is honest is not refused"


def test_help_imports_no_heavy_library():
    """`--help` and `validate` start without network, state or log libraries."""
    code = """
import sys
sys.argv = ["imgsync", "--help"]
from imgsync.__main__ import main
try:
    main()
except SystemExit:
    pass
print(sorted({"httpx", "gevent", "diskcache", "structlog", "jsonschema", "jinja2", "rich"} & set(sys.modules)))
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
