"""Tables on terminals of several widths, as a user sees them."""

from __future__ import annotations

import re

import pytest

from tests.support.images import image
from tests.support.terminal import Recording, record
from tests.switches import Respond

LONG = "sig-storage/external-snapshotter/csi-snapshotter-with-a-name-that-no-terminal-likes"
WIDTHS = [pytest.param(60, {"NO_COLOR": "1"}, id="60 columns without colour"), pytest.param(80, {}, id="80 columns"), pytest.param(120, {}, id="120 columns")]


@pytest.fixture
def lab_with_names(lab):
    """Repositories with short and long names; one does not exist."""
    for repository, tag in (("pause", "3.9"), ("pause", "3.10"), (LONG, "v8.2.0-distroless.20261130.build-12345678"), ("controller", "v1.12.1")):
        lab.push(repository, tag, image(tag))
    lab.declare(["pause", LONG, "controller", "missing/repository"], "tags: {include: ['*']}")
    return lab


def check(seen: Recording, columns: int, environ: dict[str, str]) -> None:
    """Assert that the text fits, and that only references of errors do not."""
    assert [line for line in seen.too_wide if not re.search(r"[ =]127\.0\.0\.1:\d+/\S+$", line)] == [], seen.text
    assert seen.raw_escapes == []
    assert seen.has_colour == (not environ)
    assert columns >= 60


@pytest.mark.parametrize(("columns", "environ"), WIDTHS)
def test_plan_fits_the_terminal(lab_with_names, columns, environ):
    """Rows below their repository, one heading, the error with its reference."""
    seen = record(lab_with_names.workplace, "plan", columns=columns, rows=50, **environ)

    check(seen, columns, environ)
    lines = seen.text.splitlines()
    pause = next(number for number, line in enumerate(lines) if line.endswith("/pause"))
    assert [line.split()[:2] for line in lines[pause + 1 : pause + 3]] == [["+", "3.9"], ["+", "3.10"]]
    assert seen.text.count("not at the destination") == 1
    assert seen.text.count("NAME_UNKNOWN") == 1, "the log does not repeat what the table shows"
    assert f"{lab_with_names.source.host}/{lab_with_names.name}/missing/repository" in seen.text
    assert "4 to create, 0 to update, 1 error, 0 up to" in seen.text


@pytest.mark.parametrize(("columns", "environ"), WIDTHS)
def test_failed_apply_fits_the_terminal(lab_with_names, columns, environ):
    """The failure names source and destination in full, with what to do."""
    lab = lab_with_names
    lab.destination.add(Respond(507, b'{"errors": [{"code": "DENIED", "message": "no space left"}]}'), method="PUT", target=f"/{LONG}/manifests/", times=9)

    seen = record(lab.workplace, "apply", "--yes", columns=columns, rows=60, **environ)

    check(seen, columns, environ)
    assert seen.code == 1
    result = seen.text[seen.text.rindex("Planning took") :]
    for reference in (f"{lab.source.host}/{lab.name}/{LONG}", f"{lab.destination.host}/m/{lab.name}/{LONG}"):
        assert f"{reference}:v8.2.0-distroless.20261130.build-12345678" in result.replace("\n", "")
    assert "no space left" in " ".join(result.split())
    assert "Copied 3 images" in result
    assert "1 failed, 1 could not be planned, see above." in result
