"""Documents that the schema accepted once are not checked by it again, and nothing else changes."""

from __future__ import annotations

import os

import pytest

import imgsync
from imgsync.config.accepted import FILE, AcceptedDocuments
from imgsync.config.load import load_config
from imgsync.config.yaml_reader import parse_documents
from imgsync.errors import ConfigError, FileError
from tests.support.images import image

MIRROR = b"version: 1\nmirrors: [{name: a, source: s.io/x, destinations: [r.io/m]}]\n"
ERROR = FileError("a.yaml", 1, 1, "", "wrong")


@pytest.fixture
def folder(tmp_path):
    """Return a state directory."""
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


def document(data: bytes = MIRROR):
    """Return the one document in *data*."""
    return parse_documents(data, file="a.yaml")[0][0]


def is_checked(folder, data: bytes = MIRROR, schema: str = "mirror") -> bool:
    """Return whether the schema is asked about *data*, by a run that finds *folder*."""
    return AcceptedDocuments(str(folder)).check(document(data), schema, lambda _: [ERROR]) == [ERROR]


def accept(folder, *texts: bytes, schema: str = "mirror") -> None:
    """Accept *texts* in a run that keeps its state in *folder*."""
    accepted = AcceptedDocuments(str(folder))
    for data in texts:
        assert accepted.check(document(data), schema, lambda _: []) == []
    accepted.save()


def test_accepted_document_is_not_checked_again(folder):
    """Its comments may change; another value, or another schema, is checked."""
    accept(folder, MIRROR)

    assert not is_checked(folder)
    assert not is_checked(folder, b"# a comment\n" + MIRROR)
    assert is_checked(folder, MIRROR.replace(b"name: a", b"name: b"))
    assert is_checked(folder, schema="registries")


def test_document_with_errors_is_checked_each_time(folder):
    """Only what has no error is kept."""
    accepted = AcceptedDocuments(str(folder))
    assert accepted.check(document(), "mirror", lambda _: [ERROR]) == [ERROR]
    accepted.save()

    assert is_checked(folder)
    assert not (folder / FILE).exists()


def test_another_version_checks_again(folder, monkeypatch):
    """Its schema or its checks may differ."""
    accept(folder, MIRROR)

    from imgsync.config import accepted

    monkeypatch.setattr(imgsync, "__version__", "99")
    accepted._begin_digest.cache_clear()
    changed = is_checked(folder)
    monkeypatch.undo()
    accepted._begin_digest.cache_clear()

    assert changed
    assert not is_checked(folder)


def _damage(path):
    path.write_bytes(path.read_bytes()[:30] + b"\xff" + path.read_bytes()[31:])


def _share(path):
    path.chmod(0o622)


def _share_folder(path):
    path.parent.chmod(0o770)


def _link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _replace_by_folder(path):
    path.unlink()
    path.mkdir()


def _replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


def _fill(path):
    path.write_bytes(path.read_bytes() * 20_000)


@pytest.mark.row("ST-20")
@pytest.mark.parametrize("change", [_damage, _share, _share_folder, _link, _replace_by_folder, _replace_by_pipe, _fill])
def test_untrusted_file_is_ignored(folder, change):
    """Damaged, writable by others, a link, no file, or too large: the schema checks as before, and nothing fails."""
    accept(folder, MIRROR)
    assert not is_checked(folder)

    change(folder / FILE)

    assert is_checked(folder)
    accept(folder, MIRROR)


@pytest.mark.row("ST-20")
def test_file_of_another_user_is_ignored(folder, monkeypatch):
    """As the state is."""
    accept(folder, MIRROR)

    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    assert is_checked(folder)


def test_absent_or_read_only_folder_is_no_error(folder, tmp_path, monkeypatch):
    """No directory is made, and nothing is kept."""
    accept(tmp_path / "absent", MIRROR)
    assert not (tmp_path / "absent").exists()

    def refuse(*_arguments, **_named):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    accept(folder, MIRROR)

    assert is_checked(folder)


@pytest.mark.row("ST-20")
@pytest.mark.parametrize(
    "settings",
    ["credentials: {username: me, password: hunter2}", "proxy: 'http://me:hunter2@proxy:3128'", "credentials: {username: me, password: '${P:-hunter2}'}"],
)
def test_document_with_a_secret_is_not_kept(folder, settings):
    """From its digest a weak password could be guessed. Variables are kept: their values are not in the file."""
    accept(folder, f"version: 1\nregistries: {{r.io: {{{settings}}}}}\n".encode(), schema="registries")
    assert not (folder / FILE).exists()

    variables = b"version: 1\nregistries: {r.io: {credentials: {username: me, password: '${PASSWORD}'}}}\n"
    accept(folder, variables, schema="registries")

    assert not is_checked(folder, variables, schema="registries")


def test_earlier_documents_are_kept_within_a_limit(folder, monkeypatch):
    """What this run used stays, then others, up to the limit."""
    texts = [MIRROR.replace(b"name: a", f"name: a{number}".encode()) for number in range(6)]
    monkeypatch.setattr("imgsync.config.accepted._DIGESTS_LIMIT", 4)
    accept(folder, *texts[:3])
    accept(folder, *texts[3:])

    assert not any(is_checked(folder, text) for text in texts[3:])
    assert len((folder / FILE).read_text().split()) == 4


@pytest.mark.row("ST-20")
def test_other_checks_and_warnings_stay(folder, tmp_path):
    """A forged digest skips the schema alone: an invalid reference is still an error, and warnings are the same."""
    declared = tmp_path / "mirrors.d"
    declared.mkdir()
    place = declared / "a.yaml"
    place.write_text("version: 1\nmirrors: [{name: a, source: 's.io/x:${NO}', destinations: [r.io/m]}]\n")

    def load(accepted):
        return load_config([str(declared)], registries=None, environ={}, accepted=accepted)

    accept(folder, place.read_bytes())
    with pytest.raises(ConfigError):
        load(AcceptedDocuments(str(folder)))
    mirrors = "  - {name: a, source: s.io/x, destinations: [r.io/m]}\n  - {name: b, source: s.io/x, destinations: [r.io/m/y]}\n"
    place.write_text(f"version: 1\nmirrors:\n{mirrors}")
    before = load(AcceptedDocuments())
    accept(folder, place.read_bytes())

    assert not is_checked(folder, place.read_bytes())
    assert load(AcceptedDocuments(str(folder))) == before


def test_apply_keeps_what_plan_and_verify_use(lab):
    """The second apply, the plan and verify check nothing by the schema; a changed file is checked."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    kept = lab.folder / ".imgsync" / "state" / FILE
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.read_bytes()
    assert len(before.split()) == 2

    assert [lab.run(command).code for command in ("apply", "plan", "verify")] == [0, 0, 0]
    assert kept.read_bytes() == before
    declared = lab.folder / "mirrors.d" / "a.yaml"
    declared.write_text(declared.read_text() + "    unknown: 1\n")

    refused = lab.run("plan", env={"COLUMNS": "200"})

    assert refused.code == 3
    assert "unknown setting" in refused.stderr
