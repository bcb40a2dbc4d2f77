"""`imgsync fmt`: files, exit codes, stdin."""

from __future__ import annotations

import pytest

from imgsync.fmt import format_files
from tests.support.run_imgsync import Workplace

UGLY = "mirrors: [{destinations: [r.io/m], name: a, source: r.io/x}]\nversion: 1\n"
TIDY = "version: 1\nmirrors:\n  - {name: a, source: r.io/x, destinations: [r.io/m]}\n"


@pytest.fixture
def place(workplace) -> Workplace:
    workplace.mirror_file(UGLY, "mirrors.d/a.yaml")
    workplace.mirror_file(TIDY.replace("name: a", "name: b"), "mirrors.d/b.yaml")
    return workplace


@pytest.mark.row("CFG-13")
def test_files_are_formatted_in_place(place):
    """Only the ones that differ, with their permissions."""
    (place.folder / "mirrors.d" / "a.yaml").chmod(0o640)
    before = (place.folder / "mirrors.d" / "b.yaml").stat()

    ran = place.run("fmt")

    assert (ran.code, ran.stdout, ran.stderr) == (0, "mirrors.d/a.yaml\n", "1 of 2 files changed.\n")
    assert (place.folder / "mirrors.d" / "a.yaml").read_text() == TIDY
    assert (place.folder / "mirrors.d" / "a.yaml").stat().st_mode & 0o777 == 0o640
    assert (place.folder / "mirrors.d" / "b.yaml").stat().st_mtime_ns == before.st_mtime_ns
    assert place.run("fmt", "--check").code == 0


def test_registry_settings_are_not_formatted(place):
    """A file that is named, as by pre-commit, is left as it is and does not stop the others; their diff could show a password."""
    settings = place.folder / "registries.yaml"
    settings.write_text("version: 1\nallow:   {sources: [r.io/x]}\n")
    line = "registries.yaml holds registry settings, which `fmt` leaves as they are.\n"

    alone, checked = (place.run("fmt", "registries.yaml", *option) for option in ([], ["--diff"]))
    ran = place.run("fmt", "mirrors.d/a.yaml", "registries.yaml")

    assert (alone.code, alone.stdout, alone.stderr) == (checked.code, checked.stdout, checked.stderr) == (0, "", line)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "mirrors.d/a.yaml\n", f"{line}1 of 1 file changed.\n")
    assert "allow:   {" in settings.read_text()
    (place.folder / "mirrors.d" / "c.yaml").write_text(settings.read_text())
    assert "mirrors.d/c.yaml:1:1: these are registry settings, not declarations" in place.run("fmt").stderr


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_check_names_files_and_writes_nothing(option, place):
    """Exit 1, for CI."""
    ran = place.run("fmt", option)

    assert ran.code == 1
    assert "1 of 2 files would be changed." in ran.stderr
    assert "mirrors.d/a.yaml" in ran.stdout
    assert "mirrors.d/b.yaml" not in ran.stdout
    assert ("+mirrors:\n" in ran.stdout) == (option == "--diff")
    assert (place.folder / "mirrors.d" / "a.yaml").read_text() == UGLY


@pytest.mark.row("CFG-13")
def test_one_error_leaves_all_files(place):
    """A declaration that cannot be read is not moved around."""
    place.mirror_file("version: 1\nmirrors: [{nam: c}]\n", "mirrors.d/c.yaml")

    ran = place.run("fmt")

    assert ran.code == 3
    assert "mirrors.d/c.yaml:2:12: mirrors[0].nam: unknown setting" in ran.stderr
    assert (place.folder / "mirrors.d" / "a.yaml").read_text() == UGLY


@pytest.mark.row("CFG-13")
def test_layout_that_changes_the_meaning_is_refused(place, monkeypatch):
    """Whatever is wrong in the layout, no declaration is lost."""
    for wrong in (lambda _: "version: 1\nmirrors: []\n", lambda _: UGLY.replace("r.io/x", "r.io/y")):
        monkeypatch.setattr("imgsync.fmt.format_text.write_documents", wrong)

        with pytest.raises(format_files.ConfigError, match="cannot be formatted without changing its meaning or its comments"):
            format_files.format_files([str(place.folder / "mirrors.d")])


@pytest.mark.row("CFG-13")
def test_link_out_of_the_folder_is_not_written(place):
    """A pull request must not make `fmt` write elsewhere."""
    outside = place.mirror_file(UGLY, "other/c.yaml")
    (place.folder / "mirrors.d" / "c.yaml").symlink_to(outside)

    ran = place.run("fmt")

    assert ran.code == 3
    assert outside.read_text() == UGLY


def test_stdin_is_formatted_to_stdout(place):
    """For editors."""
    assert place.run("fmt", "-", input=UGLY).stdout == TIDY
    assert place.run("fmt", "-", "mirrors.d", input=UGLY).code == 3
    assert "stdin:1:1" in place.run("fmt", "-", input="x: 1\n").stderr


def test_files_may_be_named(place):
    """As pre-commit does."""
    assert place.run("fmt", "mirrors.d/b.yaml", "--check").code == 0
    assert place.run("fmt", "-f", "mirrors.d/a.yaml").stdout == "mirrors.d/a.yaml\n"


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_stdin_can_be_checked(option, place):
    """A check that always succeeds would be worse than none."""
    ran = place.run("fmt", "-", option, input=UGLY)

    assert (ran.code, ran.stderr) == (1, "1 of 1 file would be changed.\n")
    assert ran.stdout == "stdin\n" if option == "--check" else "+mirrors:\n" in ran.stdout
    assert place.run("fmt", "-", option, input=TIDY).code == 0


@pytest.mark.row("CFG-13")
def test_file_that_changed_meanwhile_is_not_written(place):
    """An editor may have saved it since it was read."""
    path = place.folder / "mirrors.d" / "a.yaml"
    (file,) = format_files.format_files([str(path)])
    path.write_text(UGLY.replace("r.io/x", "r.io/y"))

    with pytest.raises(format_files.OutputError, match="was changed meanwhile"):
        file.write()

    assert "r.io/y" in path.read_text()
