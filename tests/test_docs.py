"""The documentation: valid YAML, working links, real commands, a site that builds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import pytest
import yaml

from docs.generate import walk
from imgsync.config.load import load_mirrors
from tests.support import linters

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {tuple(context.command_path.split()[1:]): context for context in walk()}
# Pages that show the options of other tools beside ours.
OF_OTHERS = {"performance.md", "0003-use-maintained-libraries.md"}


def blocks(kind: str) -> list[object]:
    """Return the blocks of *kind* in all pages, as parameters."""
    return [
        pytest.param(block, id=f"{page.name}-{number}")
        for page in PAGES
        for number, block in enumerate((text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == kind), start=1)
    ]


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_of_the_documentation_is_valid(block):
    """Every block is a whole valid file."""
    document = yaml.safe_load(block)
    kind = "mirror" if "mirrors" in document else "registries"
    schema = json.loads((ROOT / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator(schema).validate(document)
    if kind == "mirror":
        assert load_mirrors({"page.yaml": block.encode()}) != ()


@pytest.mark.parametrize("block", blocks("yml"))
def test_yaml_of_other_tools_is_readable(block):
    """Workflows, manifests and rules, also in parts."""
    list(yaml.safe_load_all(block))


@pytest.mark.parametrize("block", blocks("sh"))
def test_scripts_pass_shellcheck(block):
    """ShellCheck finds nothing."""
    linters.tool("shellcheck", "--shell", "sh", "-", input=block)


def test_travis_file_fits_its_schema(tmp_path):
    """Travis CI's own schema."""
    (block,) = [text for kind, text in FENCE.findall((ROOT / "docs" / "how-to" / "travis.md").read_text(encoding="utf-8")) if kind == "yml"]
    (tmp_path / ".travis.yml").write_text(block, encoding="utf-8")

    linters.fits("vendor.travis")(tmp_path / ".travis.yml")


def test_files_for_shards_fit_their_schemas(tmp_path):
    """GitHub's workflow and GitLab's pipeline; the arguments of Kubernetes' job are those of the program."""
    blocks = [text for kind, text in FENCE.findall((ROOT / "docs" / "how-to" / "shards.md").read_text(encoding="utf-8")) if kind == "yml"]
    names = ("mirror.yml", ".gitlab-ci.yml", "job.yaml")
    workflow, pipeline, job = [tmp_path / name for name in names]
    for file, text in zip((workflow, pipeline, job), blocks, strict=True):
        file.write_text(text.replace("@REF", f"@{'0' * 40} # v1"), encoding="utf-8")

    linters.fits("vendor.github-workflows")(workflow)
    linters.shell_is_sound(workflow)
    linters.fits("vendor.gitlab-ci", "--data-transform", "gitlab-ci")(pipeline)
    linters.shell_is_sound(pipeline)
    (container,) = yaml.safe_load(job.read_text(encoding="utf-8"))["spec"]["template"]["spec"]["containers"]
    check(list(container["args"]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_and_anchors_exist(page):
    """A file, and a heading of it."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def shell_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each imgsync command in a shell line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            while words and "=" in words[0]:
                del words[0]
            if words[:1] == ["imgsync"]:
                yield words[1:]
            words = []
        else:
            words.append(word)


def commands_of(page: Path) -> Iterator[list[str]]:
    """Yield every imgsync command of *page*."""
    text = page.read_text(encoding="utf-8")
    for kind, block in FENCE.findall(text):
        for line in block.splitlines():
            if kind == "console":
                yield from shell_commands(line.removeprefix("$ "))
            elif kind in {"sh", "yml", "groovy"}:
                for found in re.findall(r"\b(imgsync (?:[a-z-]+)(?: [^'#;|]*)?)", line):
                    if found.split()[1] in {names[0] for names in COMMANDS if names}:
                        yield from shell_commands(found.strip().rstrip(")"))
    for found in re.findall(r"`(imgsync [a-z-][^`]*)`", FENCE.sub("", text)):
        yield from shell_commands(found.replace("\\|", "|"))


def check(words: list[str]) -> None:
    """Let click parse *words*; a sentence may leave some out."""
    names: tuple[str, ...] = ()
    while words and (*names, words[0]) in COMMANDS:
        names = (*names, words.pop(0))
    context = COMMANDS[names]
    if not words and isinstance(context.command, click.Group):
        return
    with contextlib.suppress(click.MissingParameter, click.exceptions.Exit):
        context.command.make_context(context.info_name, words, parent=context.parent)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in OF_OTHERS], ids=lambda page: page.name)
def test_commands_in_the_documentation_are_valid(page, monkeypatch):
    """With their options and values."""
    for name in [name for name in os.environ if name.startswith("IMGSYNC_")]:
        monkeypatch.delenv(name)
    for words in commands_of(page):
        try:
            check(list(words))
        except click.UsageError as error:
            pytest.fail(f"imgsync {' '.join(words)}: {error.format_message()}")


OWN = [page for page in PAGES if page.parent.name in {"how-to", "reference", "explanation"} and not page.name.startswith(("migrate-from-", "install"))]


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_options_named_in_sentences_exist(page):
    """An option that stands alone is one of imgsync's."""
    known = {option for context in COMMANDS.values() for parameter in context.command.get_params(context) for option in parameter.opts}
    named = set(re.findall(r"`(--[a-z-]+)", FENCE.sub("", page.read_text(encoding="utf-8"))))

    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_that_install_in_ci_say_where_from(page):
    """A page that relies on requirements.txt or names the package for pip says what to do until PyPI has it."""
    text = page.read_text(encoding="utf-8")
    installs = re.search(r"requirements\.txt|gitlab-ci\.yml`\. Read|additional_dependencies|pip (?:download|wheel|install)[^\n`']*[ /]imgsync-mirror", text)

    assert installs is None or "not on PyPI yet" in text.replace("**", "")
