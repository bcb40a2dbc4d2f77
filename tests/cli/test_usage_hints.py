"""Usage errors say what was meant, and whose help to read."""

from __future__ import annotations

import pytest

from imgsync.cli import run


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("plna", "unknown command 'plna'", "did you mean `imgsync plan`? `imgsync --help` lists the commands"),
        ("diff", "unknown command 'diff'", "did you mean `imgsync plan`?"),
        ("sync", "unknown command 'sync'", "did you mean `imgsync apply`?"),
        ("check", "unknown command 'check'", "did you mean `imgsync plan`, `imgsync verify` or `imgsync validate`?"),
        ("Apply", "unknown command 'Apply'", "did you mean `imgsync apply`?"),
        ("state rm x", "unknown command 'rm'", "did you mean `imgsync state remove`? `imgsync state --help` lists the commands"),
        ("state lst", "unknown command 'lst'", "did you mean `imgsync state list`?"),
        ("help sync", "unknown command 'sync'", "did you mean `imgsync apply`?"),
        ("plan --otu x", "unknown option --otu", "did you mean --out? `imgsync plan --help` lists its options"),
        (
            "apply --all",
            "unknown option --all",
            "`apply` handles every mirror unless --only selects some; --all is an option of `plan`, `show` and `verify`; `",
        ),
        ("show --deep x", "unknown option --deep", "--deep is an option of `verify`; `imgsync show --help` lists its options"),
        ("plan --config x", "unknown option --config", "did you mean --file?"),
        ("list --verbose x", "unknown option --verbose", "did you mean --log-level debug?"),
        ("copy a b --tls-verify=false", "unknown option --tls-verify", "did you mean `tls` in registries.yaml?"),
        ("plan -out=plan.json", "Invalid value for '-o' / '--output'", "did you mean --out?"),
        ("plan -o xml", "'xml' is not one of 'table', 'json', 'markdown', 'gitlab'", "`imgsync plan --help` lists its options"),
        ("copy", "Missing argument 'SOURCE'", "`imgsync copy --help` lists its options"),
        ("completion", "Choose from: bash, zsh, fish", "`imgsync completion --help` lists its options"),
        ("prune", "unknown command 'prune'", "did you mean `imgsync apply`?"),
        ("plan --only", "Option '--only' requires an argument", "`imgsync plan --help` lists its options"),
        ("fmt --check=1", "Option '--check' does not take a value", "`imgsync fmt --help` lists its options"),
        ("state list --output", "requires an argument", "`imgsync state list --help` lists its options"),
        ("copy --force", "unknown option --force", "`imgsync copy --help` lists its options"),
        ("plan --dry-run", "unknown option --dry-run", "`plan` never changes anything; --dry-run is an option of `apply`"),
        ("plan --grace", "unknown option --grace", "--grace is an option of `apply`, `serve`, `worker` and `copy`"),
    ],
)
def test_hint_names_what_was_meant(line, message, hint, capsys):
    """Near names, the words of other tools, and other commands' options."""
    assert run(line.split()) == 3

    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert second.startswith(f"hint: {hint}")
    assert second.endswith(("lists the commands", "lists its options"))


@pytest.mark.parametrize(("line", "own"), [("zebra", "imgsync"), ("plan --zebra", "imgsync plan"), ("state zebra", "imgsync state"), ("--zebra", "imgsync")])
def test_far_name_gets_no_suggestion(line, own, capsys):
    """Only a near name is worth a guess."""
    assert run(line.split()) == 3

    assert capsys.readouterr().err.splitlines()[1].startswith(f"hint: `{own} --help` lists ")


def test_hidden_options_are_not_suggested(capsys):
    """`validate` accepts the options of `plan`, but ignores them."""
    assert run(["validate", "--lock-timeoutt", "1s"]) == 3

    assert "did you mean" not in capsys.readouterr().err


def test_control_characters_are_not_echoed(capsys):
    """A name from a script may hold anything."""
    assert run(["\x1b]0;x\x07"]) == 3

    assert "\x1b" not in capsys.readouterr().err
