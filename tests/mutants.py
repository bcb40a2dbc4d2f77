"""
Mutants: small faults put into the modules that decide what is trusted, one at a time. Do the tests of that module notice?

`python -m tests.mutants [MODULE …]` (`make mutants`) works on a copy of the tree. It says which mutants lived, in which line, and ends with 1
where fewer than nine of ten were noticed. Figures are kept for docs/reliability.md as others are (`tests.figures`).

Left out is what would say nothing: decorators, the `|` of annotations, `is` where equality is meant, and of the ten ways to replace
`+` all but one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

from tests.figures import record

ROOT = Path(__file__).parents[1]
# By module, the tests that are its own: quick ones, without a registry.
TESTS: Mapping[str, Sequence[str]] = {
    "policy/cosign": ("policy/test_cosign",),
    "text/sanitize": ("text/test_sanitize",),
    "oci/http/url": ("oci/http/test_url", "oci/http/test_ssrf_guard"),
    "oci/auth/challenge": ("oci/auth/test_challenge",),
    "oci/spec/digest": ("oci/spec/test_digest",),
    "oci/http/ssrf_guard": ("oci/http/test_ssrf_guard",),
    "oci/spec/reference": ("oci/spec/test_reference",),
    "oci/auth/token": ("oci/auth/test_token",),
    "plan/decide": ("plan/test_decide",),
    "text/redaction": ("text/test_redaction",),
    "state/merge": ("state/test_jsonl",),
    "state/record": ("state/test_store", "state/test_record"),
}
_ONE_OF_EACH = {"Add_Sub", "Sub_Add", "Mul_Add", "Div_Mul", "Mod_Add", "Pow_Mul", "BitOr_BitAnd", "BitAnd_BitOr", "LShift_RShift"}
_LEAST_SHARE = 0.9
_SECONDS = 120.0


def mutants(path: Path) -> Iterator[MutationSpec]:
    """Yield the mutations of the module at *path*."""
    lines = path.read_text(encoding="utf-8").splitlines()
    with use_db(":memory:", mode=WorkDB.Mode.create) as found:
        init([path], found, {})
        for item in found.work_items:
            if not any(_says_nothing(one, lines[one.start_pos[0] - 1]) for one in item.mutations):
                yield from item.mutations


def _says_nothing(mutant: MutationSpec, line: str) -> bool:
    name = mutant.operator_name.partition("/")[2]
    kind, _, change = name.partition("_")
    if name == "RemoveDecorator" or line.lstrip().startswith("@"):
        return True
    if kind == "ReplaceBinaryOperator":
        return change not in _ONE_OF_EACH or (change == "BitOr_BitAnd" and _is_annotation(line))
    if kind == "ReplaceComparisonOperator":
        before, _, after = change.partition("_")
        return after in {"Is", "IsNot"} and before not in {"Is", "IsNot"}
    return False


def _is_annotation(line: str) -> bool:
    return line.lstrip().startswith("def ") or " -> " in line or ": " in line.partition(" = ")[0]


def try_all(module: str) -> bool:
    """Try each mutation of *module*; print survivors; return whether few survived."""
    path = Path("imgsync") / f"{module}.py"
    files = " ".join(f"tests/{name}.py" for name in TESTS[module])
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {files}"
    if subprocess.run(command.split(), check=False, capture_output=True).returncode != 0:
        print(f"{module}: its tests fail as it is", flush=True)
        return False
    living, count = [], 0
    for mutant in mutants(path):
        count += 1
        result = mutate_and_test([mutant], command, _SECONDS)
        if result.test_outcome is TestOutcome.SURVIVED:
            living.append(mutant)
            changed = [line for line in (result.diff or "").splitlines() if line.startswith("+") and not line.startswith("+++")]
            print(f"  imgsync/{module}.py:{mutant.start_pos[0]}: {' '.join(changed)[1:].strip()}", flush=True)
    noticed = count - len(living)
    print(f"{module}: {noticed} of {count} noticed", flush=True)
    record(f"mutants of {module} that its tests detect", f"{noticed} of {count}", note=f"`{files}`")
    return noticed >= _LEAST_SHARE * count


def main(modules: Sequence[str]) -> int:
    """Try *modules*, or all, in a copy of the tree."""
    if unknown := set(modules) - set(TESTS):
        print(f"no tests are named for {', '.join(sorted(unknown))}; there are {', '.join(TESTS)}", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "dist", "site"))
        os.chdir(tree)
        # The copy before what is installed, and no compiled file that a change within the same second would leave standing.
        os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        results = [try_all(module) for module in modules or TESTS]
        os.chdir(ROOT)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
