"""Safety limits of a plan."""

from __future__ import annotations

import json

import pytest

_EMPTIED = {
    "no mirror": ('{"version": 1, "mirrors": []}', 3, "no mirror declared"),
    "nothing": ("", 3, "the file is empty"),
    "no folder": (None, 3, "no *.yaml or *.yml file in this folder"),
    "a wrong glob": ('tags: {"include": ["nothing*"]}', 1, "at_least"),
    "a wrong name": ('tags: {"names": ["3"]}', 1, "does not exist at the source"),
    "too much": ('tags: {"at_most": 1}', 1, "at_most"),
}


@pytest.mark.row("GIT-10")
def test_emptied_configuration_writes_nothing(lab, origin):
    """No mirror, no file, or a filter outside its limits is an error, and nothing is deleted."""
    origin(prune=True)
    assert lab.run("apply").code == 0
    lab.destination.forget()
    file = lab.folder / "mirrors.d/a.yaml"

    for case, (text, code, said) in _EMPTIED.items():
        if text is None:
            file.unlink()
        elif text.startswith("tags: "):
            origin(prune=True, tags=json.loads(text.removeprefix("tags: ")))
        else:
            file.write_text(text)

        ran = lab.run("apply")

        assert ran.code == code, (case, ran.stderr)
        assert said in ran.stdout + ran.stderr, case
        assert {one.method for one in lab.destination.seen} <= {"GET", "HEAD"}, case
    assert sorted(lab.served_tags("app")) == ["1", "2"]
