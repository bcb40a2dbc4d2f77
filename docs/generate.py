"""
Write the generated parts of the documentation.

    python -m docs.generate

Settings come from the schemas, commands and variables from the command line, metrics from a report, and the drawings of the
architecture from the import contracts in pyproject.toml. Each part is in its page between `<!-- begin: NAME -->` and `<!-- end: NAME -->`;
the text around it is written by hand. `python -m docs.stage.write` writes what the commands of a page print.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import yaml

from imgsync.apply.report import Report
from imgsync.cli import cli
from imgsync.cli.man_page import render_man_page
from imgsync.config.load import load_mirrors
from imgsync.config.schema_files import read_schema
from imgsync.errors import ConfigError
from imgsync.render.metrics import render_metrics
from imgsync.serve.board import Board
from imgsync.serve.metrics import ServeMetrics
from imgsync.serve.views import ConfigurationView, EventCounts, LeaseView, MirrorView, RunTotals

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
ROOT = DOCS.parent
MAN_PAGE = ROOT / "man" / "imgsync.1"
_PART = re.compile(r"(<!-- begin: ([\w.-]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
# What click makes of a terminal of 80 columns, which fit the site's pages.
_WIDTH = 78
# What a pattern means, for people; a text by another pattern is a text.
_PATTERNS = {
    r"^([0-9]{1,9}(\.[0-9]{1,9})?(ns|us|µs|μs|ms|s|m|h|d)){1,8}$": "duration",
    "^[1-9][0-9]{0,8}/([1-9][0-9]{0,5})?(s|m|h|d)$": "rate",
    "^[1-9][0-9]{0,11}(KiB|MiB|GiB)$": "size",
    "^[1-9][0-9]{0,11}(KiB|MiB|GiB|TiB)$": "size",
    "^https?://": "URL",
}
_TYPES = {"string": "text", "integer": "number", "boolean": "`true` or `false`", "object": "settings"}

Schema = Mapping[str, Any]


def settings_of(name: str) -> str:
    """Return every setting of a schema, one section per object."""
    schema = json.loads(read_schema(name))
    return "\n\n".join(_sections(schema, schema, "")) + "\n"


def _sections(schema: Schema, root: Schema, path: str) -> Iterator[str]:
    fields = _fields(schema)
    if fields:
        head = [f"## {path}\n\n{schema['description']}\n"] if path else []
        required = set(schema.get("required", ()))
        titles = ("setting", "type", "default", "description")
        example = _example({field: _resolved(fields[field], root) for field in fields})
        yield "\n".join([*head, *_table(titles, (_row(field, fields[field], root, required) for field in fields)), *example])
    for field, value in fields.items():
        # `defaults` holds the settings of a mirror again.
        if field != "defaults":
            for inner, suffix in _objects(value, root):
                yield from _sections(inner, root, f"{path}.{field}{suffix}".removeprefix("."))


def _fields(schema: Schema) -> Mapping[str, Schema]:
    found: Mapping[str, Schema] = schema.get("properties", {})
    return found


def _objects(value: Schema, root: Schema, suffix: str = "") -> Iterator[tuple[Schema, str]]:
    """Yield the objects that a value may be or hold, with their paths."""
    value = _resolved(value, root)
    if value.get("properties"):
        yield value, suffix
    for one in value.get("anyOf", ()):
        yield from _objects(one, root, suffix)
    for key, more in (("items", "[]"), ("additionalProperties", f".{value.get('propertyNames', {}).get('title')}")):
        if isinstance(value.get(key), dict):
            yield from _objects(value[key], root, f"{suffix}{more}")


def _row(field: str, value: Schema, root: Schema, required: Iterable[str]) -> tuple[str, ...]:
    resolved = _resolved(value, root)
    default = "required" if field in required else f"`{_flow(resolved['default'])}`" if "default" in resolved else ""
    return f"`{field}`", _kind(resolved, root), default, resolved["description"]


def _example(fields: Schema) -> list[str]:
    """Return the first example of each setting, as one block of YAML."""
    examples = {field: value["examples"][0] for field, value in fields.items() if value.get("examples")}
    # Some settings exclude each other, so this is not a whole file.
    lines = [_dump(field, value) for field, value in examples.items()]
    return ["", "An example of each:", "", f"```yml\n{''.join(lines)}```"] if examples else []


def _dump(field: str, value: object) -> str:
    # None: flow style for a list or mapping of scalars alone.
    style = None if isinstance(value, dict | list) else False
    return yaml.safe_dump({field: value}, default_flow_style=style, sort_keys=False, width=74, allow_unicode=True)


def _kind(value: Schema, root: Schema) -> str:
    value = _resolved(value, root)
    if "anyOf" in value:
        return ", or ".join(dict.fromkeys(_kind(one, root) for one in value["anyOf"]))
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if value["type"] == "array":
        return f"list of {_kind(value['items'], root)}"
    if "pattern" in value:
        return _PATTERNS.get(value["pattern"], "text")
    return _TYPES[value["type"]]


def _resolved(value: Schema, root: Schema) -> Schema:
    if "$ref" not in value:
        return value
    found: Schema = root["$defs"][value["$ref"].rpartition("/")[2]]
    return found


def _flow(value: object) -> str:
    """Return *value* on one line; JSON is YAML."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def walk(command: click.Command = cli, *, context: click.Context | None = None) -> Iterator[click.Context]:
    """Yield the context of a command and its subcommands, as `--help` orders them."""
    name = command.name if context is not None else "imgsync"
    settings: dict[str, Any] = {**command.context_settings, "terminal_width": _WIDTH}
    own = click.Context(command, info_name=name, parent=context, **settings)
    yield own
    if isinstance(command, click.Group):
        for inner in command.list_commands(own):
            found = command.get_command(own, inner)
            if found is not None:
                yield from walk(found, context=own)


def commands() -> str:
    """Return the help of every command."""
    pieces = []
    for context in walk():
        level = "##" if len(context.command_path.split()) < 3 else "###"
        pieces.append(f"{level} {context.command_path}\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(pieces)


# A line of a mirror as users of other tools write it.
_MISTAKES = (
    "source: docker.io/library/nginx:1.27",
    "source: https://registry.k8s.io/pause",
    "source: bitnami/nginx",
    "destinations: [mirror/k8s]",
    "destinations: registry.internal:5000/mirror",
    "platforms: [amd64, linux/aarch64]",
    "tags: {names: [3.10]}",
    "tags: {min_age: 3}",
    "tags: {allow: ['v1.*']}",
    "tags: ['1.27', '1.28']",
    "suspnd: true",
    "tls: false",
)


def mistakes() -> str:
    """Return what imgsync says about each of some mistakes."""
    settings = {"source": "registry.k8s.io/pause", "destinations": "[registry.internal:5000/mirror]"}
    blocks = []
    for mistake in _MISTAKES:
        rest = [f"{name}: {value}" for name, value in settings.items() if not mistake.startswith(name)]
        text = "".join(f"{line}\n" for line in ("version: 1", "mirrors:", "  - name: k8s", *(f"    {one}" for one in (mistake, *rest))))
        try:
            load_mirrors({"mirrors.d/k8s.yaml": text.encode()})
        except ConfigError as error:
            blocks.append("\n".join((mistake, *(f"  {one}" for one in error.errors))))
    return "\n".join(["```text", "\n\n".join(blocks), "```"]) + "\n"


def variables() -> str:
    """Return the variable of every option and its commands."""
    known: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for context in walk():
        for parameter in context.command.params:
            if isinstance(parameter, click.Option) and isinstance(parameter.envvar, str) and not parameter.hidden:
                known[parameter.envvar, max(parameter.opts, key=len)].append(context.command_path.removeprefix("imgsync "))
    rows = ((f"`{variable}`", f"`{long}`", ", ".join(where)) for (variable, long), where in sorted(known.items()))
    return "\n".join(_table(("variable", "option", "commands"), rows)) + "\n"


def metrics() -> str:
    """Return every metric of `--metrics`, with its labels."""
    text = render_metrics(
        Report("", ()), mirrors=["m"], requests={"source": {"r": {"GET": 1}}}, throttles={"r": 1}, last_success={"m": 1.0}, now=1.0, exit_code=0
    )
    return _describe_metrics(text)


def serve_metrics() -> str:
    """Return every metric of `imgsync serve`, with its labels."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    mirror = MirrorView("m", "s.io/m", ("r.io/m",), "m.yaml", 1, "every 1h", last_success=moment, next_run=moment)
    board = SimpleNamespace(
        list_mirrors=lambda: (mirror,),
        configuration=ConfigurationView("mirrors.d", checked_at=moment),
        running=None,
        waiting=0,
        problems=(),
        clock_jumps=0,
        lease=LeaseView("imgsync", is_held=True, holder="a"),
        events={"hub": EventCounts()},
        totals=RunTotals(),
    )
    return _describe_metrics(ServeMetrics(cast("Board", board)).render().decode())


def _describe_metrics(text: str) -> str:
    rows = []
    for name, told in re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE):
        labels = re.search(rf"^{name}\{{(.*)\}}", text, re.MULTILINE)
        rows.append((f"`{name}`", ", ".join(f"`{label}`" for label in re.findall(r'(\w+)="', labels[1])) if labels else "", told))
    return "\n".join(_table(("metric", "labels", "description"), rows)) + "\n"


def contracts(kind: str) -> list[Mapping[str, Any]]:
    """Return the import contracts of one kind, such as "layers", from pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [contract for contract in settings["tool"]["importlinter"]["contracts"] if contract["type"] == kind]


def layers(container: str) -> str:
    """Return a drawing of the layers of a package, and a table of its rooms."""
    (contract,) = [one for one in contracts("layers") if one["containers"] == [container]]
    levels = [[room.strip() for room in level.split("|")] for level in contract["layers"]]
    width = max(len("   ".join(level)) for level in levels)
    drawing = "\n".join(line for level in levels for line in ("   ".join(level).center(width).rstrip(), "│".center(width).rstrip())).rsplit("\n", 1)[0]
    table = _table(("room", "holds"), ((f"`{room}`", summary_of(container, room)) for level in levels for room in level))
    return "\n".join(["```text", drawing, "```", "", *table]) + "\n"


def summary_of(container: str, room: str) -> str:
    """Return the first line of the docstring of a module or package."""
    base = ROOT.joinpath(*container.split("."), room)
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]


def libraries() -> str:
    """Return which modules may import each library."""
    rows = ((_codes(contract["protected_modules"]), _codes(contract["allowed_importers"])) for contract in contracts("protected"))
    return "\n".join(_table(("library", "imported only by"), rows)) + "\n"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PARTS: Mapping[str, Callable[[], str]] = {
    "mirror": lambda: settings_of("mirror"),
    "registries": lambda: settings_of("registries"),
    "mistakes": mistakes,
    "commands": commands,
    "variables": variables,
    "metrics": metrics,
    "serve-metrics": serve_metrics,
    "imgsync": lambda: layers("imgsync"),
    "imgsync.oci": lambda: layers("imgsync.oci"),
    "libraries": libraries,
}


def list_pages() -> list[Path]:
    """Return the pages that can have generated parts."""
    return [DOCS / "architecture.md", *sorted(REFERENCE.glob("*.md"))]


def render_page(path: Path) -> str:
    """Return the text of a page with up-to-date parts."""
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", path.read_text(encoding="utf-8"))


def main() -> None:
    """Write the pages that differ."""
    for path, text in (*((page, render_page(page)) for page in list_pages()), (MAN_PAGE, render_man_page(cli))):
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
