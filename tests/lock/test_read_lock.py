"""The lines of a lock: what is read, and what is an error in which line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.errors import ConfigError
from imgsync.lock.read_lock import parse_lock, read_lock
from imgsync.oci.spec.reference import parse_reference
from tests.support.effort import effort
from tests.support.locks import DECLARATION, HEAD, digest, lock_text, read_images

ONE, TWO = digest(1), digest(2)
ALPINE = "docker.io/library/alpine:3.22"

_PART = st.from_regex(r"[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,4})?", fullmatch=True)
_REGISTRY = st.sampled_from(["docker.io", "registry.k8s.io", "ghcr.io", "registry.internal:5000", "localhost", "[2001:db8::1]:5000"])
_TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
IMAGES = st.builds(lambda registry, path, tag: f"{registry}/{'/'.join(path)}:{tag}", _REGISTRY, st.lists(_PART, min_size=2, max_size=4), _TAG)


def errors_of(text: str | bytes) -> list[str]:
    """Return the errors in a lock of the mirror a."""
    with pytest.raises(ConfigError) as caught:
        parse_lock(text if isinstance(text, bytes) else text.encode(), "mirrors.lock/a.yaml", "a")
    return [str(error) for error in caught.value.errors]


@settings(max_examples=effort(20, 2000), deadline=None)
@given(st.dictionaries(IMAGES, st.integers(0, 9).map(digest), max_size=8))
def test_every_line_is_a_reference_and_yaml(images):
    """What is written is read again, by YAML too, and each line is a reference of our grammar."""
    text = lock_text(images)
    document = yaml.safe_load(text)

    assert read_images(text) == images
    assert {key: document[key] for key in ("version", "mirror", "declaration")} == {"version": 1, "mirror": "a", "declaration": DECLARATION}
    for line in document["images"]:
        reference = parse_reference(line["image"])
        assert str(reference) == line["image"]
        assert images[str(reference).partition("@")[0]] == reference.digest


def test_lines_may_be_in_any_order_with_comments_between():
    """As a person, a bot or a formatter leaves them; the next `imgsync lock` sorts them."""
    text = f"{HEAD}images:\r\n# new\n- image: {ALPINE}@{ONE}\n\n    - image: 'docker.io/library/a:1@{TWO}'   \n"

    assert read_images(text) == {ALPINE: ONE, "docker.io/library/a:1": TWO}
    assert lock_text(read_images(text)).splitlines()[5:] == [f"  - image: docker.io/library/a:1@{TWO}", f"  - image: {ALPINE}@{ONE}"]


@pytest.mark.row("LOCK-01")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("<<<<<<< HEAD", "a conflict marker of git"),
        ("=======", "a conflict marker of git"),
        (">>>>>>> renovate/alpine", "a conflict marker of git"),
        (f"  - image: {ALPINE}", "has no digest"),
        (f"  - image: {ALPINE}@sha256:12", "'sha256:12' is not a digest"),
        (f"  - image: {ALPINE}@{ONE.upper()}", "is not a digest"),
        (f"  - image: alpine:3.22@{ONE}", "is not an image with its registry (write docker.io/library/alpine:3.22@"),
        (f"  - image: docker.io/library/../x:1@{ONE}", "is not an image with its registry"),
        (f"  - image: docker.io/library/alpine:-x@{ONE}", "is not an image with its registry"),
        (f"  - image: docker.io/library/alpine:@{ONE}", "is not an image with its registry"),
        (f"  - image: {ALPINE}@{ONE}@{ONE}", "is not a digest"),
        (f"  - image: {ALPINE}@{ONE} # moved", "not a line of a lock"),
        (f'  - image: "{ALPINE}@{ONE}', "not a line of a lock"),
        (f"  - image: &x {ALPINE}@{ONE}", "not a line of a lock"),
        ("  - {image: x}", "not a line of a lock"),
        ("<<: *x", "not a line of a lock"),
        ("mirror: a", "`mirror` is already in line 3"),
        ("  - image: " + "x" * 1100, "the line is longer than 1024 bytes"),
        ("\x00", "not a line of a lock"),
        (b"\xff\xfe".decode("latin-1"), "not a line of a lock"),
    ],
)
def test_wrong_line_is_an_error_with_its_place(line, message):
    """File and line, and nothing of the file is used."""
    (error,) = errors_of(f"{HEAD}images:\n  - image: docker.io/library/a:1@{TWO}\n{line}\n")

    assert error.startswith("mirrors.lock/a.yaml:7:1: ")
    assert message in error


@pytest.mark.row("LOCK-01")
@pytest.mark.parametrize(("other", "message"), [(TWO, "is already in line 6, with another digest"), (ONE, "is already in line 6 (keep")])
def test_image_twice_is_an_error(other, message):
    """As a merge of two branches may leave it, also when the lines are not neighbours."""
    (error,) = errors_of(f"{HEAD}images:\n  - image: {ALPINE}@{ONE}\n  - image: docker.io/library/a:1@{TWO}\n  - image: {ALPINE}@{other}\n")

    assert error.startswith("mirrors.lock/a.yaml:8:1: ")
    assert message in error


@pytest.mark.row("LOCK-01")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the line `version:` is missing"),
        ("version: 1\nmirror: a\nimages: []\n", "the line `declaration:` is missing"),
        (HEAD, "the line `images:` is missing"),
        (f"{HEAD}images: []\n".replace("mirror: a", "mirror: b"), "mirrors.lock/a.yaml:3:1: `mirror` is 'b', but this file is for the mirror a"),
        (f"{HEAD}images: []\n".replace("version: 1", "version: 2"), "mirrors.lock/a.yaml:2:1: `version` is '2'"),
        (f"{HEAD}images: []\n".replace(DECLARATION, "sha256:1"), "mirrors.lock/a.yaml:4:1: `declaration` is not a digest"),
        (f"{HEAD}images: []\n  - image: {ALPINE}@{ONE}\n", "mirrors.lock/a.yaml:5:1: `images` must be followed by one line for each image"),
        (f"version: 1\n  - image: {ALPINE}@{ONE}\n", "mirrors.lock/a.yaml:2:1: an image before the line `images:`"),
        (b"\xff", "mirrors.lock/a.yaml:1:1: not UTF-8"),
    ],
)
def test_wrong_head_is_an_error(text, message):
    """A lock of another mirror, of another version, or not a lock."""
    assert message in errors_of(text)[0]


def test_errors_end_after_twenty():
    """A file of something else does not fill the screen."""
    assert len(errors_of(HEAD + "images:\n" + "nonsense\n" * 1000)) == 21


@pytest.mark.row("LOCK-02")
@pytest.mark.parametrize("target", ["/etc/hosts", "missing", "folder"])
def test_link_out_of_the_folder_is_not_read(target, tmp_path):
    """A pull request must not make imgsync quote another file."""
    (tmp_path / "mirrors.lock").mkdir()
    (tmp_path / "mirrors.lock" / "folder").mkdir()
    (tmp_path / "mirrors.lock" / "a.yaml").symlink_to(target)

    with pytest.raises((ConfigError, FileNotFoundError)) as caught:
        read_lock(tmp_path / "mirrors.lock" / "a.yaml", "a")

    assert "localhost" not in str(caught.value)


def test_link_to_a_missing_file_elsewhere_is_an_error(tmp_path):
    """Otherwise there would seem to be no lock yet, and `lock` would write the file that it names."""
    (tmp_path / "mirrors.lock").mkdir()
    (tmp_path / "mirrors.lock" / "a.yaml").symlink_to("../elsewhere")

    with pytest.raises(ConfigError, match="not a regular file of this folder"):
        read_lock(tmp_path / "mirrors.lock" / "a.yaml", "a")


def test_million_lines_have_no_yaml_limit(tmp_path):
    """Which ends at 50,000 parts; these are fewer lines only to be quick."""
    images = {f"docker.io/library/a:v{number:06}": ONE for number in range(18_000)}
    (tmp_path / "a.yaml").write_text(lock_text(images))

    lock = read_lock(tmp_path / "a.yaml", "a")

    assert len(lock.images) == 18_000
    assert lock.images["docker.io/library/a:v017999"].line == 18_005
