"""The house keeps its shape: imports point down, libraries have one home, only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_keep_the_contract():
    """import-linter finds nothing that points up."""
    done = subprocess.run([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_package_itself_imports_nothing():
    """The console script loads it before the patch."""
    tree = ast.parse((ROOT / "imgsync" / "__init__.py").read_text())

    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_nobody_prints_but_the_command_line():
    """stdout belongs to imgsync/cli."""
    found = [
        str(path)
        for path in (ROOT / "imgsync").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert found == []


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
