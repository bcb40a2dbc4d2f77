"""Found images as mirrors.d: exact, with their origin, always valid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.config.load import load_config, load_mirrors
from imgsync.discover.coverage import Covered, Declarations
from imgsync.discover.model import Certainty, FoundImage
from imgsync.discover.write_mirrors import MirrorTarget, WrittenMirrors, parse_target, write_mirrors
from imgsync.errors import UsageError
from imgsync.fmt.format_text import format_text
from imgsync.oci.spec.reference import Reference, Repository, parse_reference

A = f"sha256:{'a' * 64}"
B = f"sha256:{'a' * 63}b"
TARGET = MirrorTarget("r.example.com", "mirror")


def write(*images: str, file: str = "web.yaml", **options) -> WrittenMirrors:
    """Write *images*, each found in a line of its own."""
    found = [FoundImage(text, parse_reference(text), Certainty.SURE, file, line) for line, text in enumerate(images, 1)]
    return write_mirrors(found, TARGET, **options)


def load(written: WrittenMirrors, tmp_path):
    """Return the mirrors as `imgsync validate` reads them."""
    (tmp_path / "a.yaml").write_text(written.text)
    return load_config([str(tmp_path / "a.yaml")], registries=None, environ={}).mirrors


def test_each_repository_is_a_mirror_with_exact_tags(tmp_path):
    """Grouped by registry, each name with where it is used."""
    written = write("nginx:1.27", "quay.io/a/b:v1", f"nginx:1.28@{A}", "nginx:1.27", "localhost:5000/x:1")

    assert written.text == (
        "# yaml-language-server: $schema=../schema/mirror.schema.json\n"
        "# Written by `imgsync discover`: each image, and where it is used.\n"
        "version: 1\n"
        "mirrors:\n"
        "  # docker.io\n"
        "  - name: docker.io-nginx\n"
        '    source: "docker.io/library/nginx"\n'
        "    tags:\n"
        "      names:\n"
        '        - "1.27"  # web.yaml:1, web.yaml:4\n'
        f'        - "1.28@{A}"  # web.yaml:3\n'
        "    destinations:\n"
        '      - "r.example.com/mirror/docker.io"\n'
        "\n"
        "  # localhost:5000\n"
        "  - name: localhost-5000-x\n"
        '    source: "localhost:5000/x"\n'
        "    tags:\n"
        "      names:\n"
        '        - "1"  # web.yaml:5\n'
        "    destinations:\n"
        '      - "r.example.com/mirror/localhost_5000"\n'
        "\n"
        "  # quay.io\n"
        "  - name: quay.io-a-b\n"
        '    source: "quay.io/a/b"\n'
        "    tags:\n"
        "      names:\n"
        '        - "v1"  # web.yaml:2\n'
        "    destinations:\n"
        '      - "r.example.com/mirror/quay.io"\n'
    )
    assert len(load(written, tmp_path)) == written.count == 3
    assert format_text(written.text.encode(), file="a.yaml") == written.text


def test_tag_has_one_digest(tmp_path):
    """Others, and digests without a tag, get a tag of their own; a tag alone is the digest that is known."""
    written = write("q.io/a:1", f"q.io/a:1@{B}", f"q.io/a:1@{A}", f"q.io/a@{A}", f"q.io/a@{B}", "q.io/a:digest-aaaaaaaaaaaa", "q.io/a")

    (mirror,) = load(written, tmp_path)
    tags = [name.partition("@")[0] for name in mirror.tags.names]
    assert len(set(tags)) == len(tags)
    assert {f"1@{A}", "latest", "digest-aaaaaaaaaaaa"} < set(mirror.tags.names)
    assert {name.partition("@")[2] for name in mirror.tags.names} == {"", A, B}


def test_image_at_the_destination_is_left_out():
    """And one whose path would be too long there."""
    written = write("r.example.com/mirror/docker.io/library/nginx:1", "q.io/" + "/".join(["a" * 62] * 4) + ":1", "r.example.com/other:1")

    assert [reason for _, reason in written.left_out] == ["the path at the destination would be too long", "it is at the destination already"]
    assert written.count == 1
    assert write("r.example.com/mirror/x:1").text == ""


def test_names_that_are_taken_are_not_used(tmp_path):
    """Neither by another file nor by another repository."""
    written = write("q.io/a/b:1", "q.io/a-b:1", taken_names={"q.io-a-b"})

    assert [mirror.name for mirror in load(written, tmp_path)] == ["q.io-a-b-2", "q.io-a-b-3"]


@pytest.mark.row("DISC-05")
@pytest.mark.parametrize("file", ["a\nmirrors: []", "a\u2028b", "\x1b[31m", "::error::x", "##[x]y", "\ufeff", "a\x85b", "\udcff"])
def test_origin_cannot_add_lines(file, tmp_path):
    """Names of files come from the checkout."""
    written = write("q.io/a:1", file=file)

    assert [mirror.tags.names for mirror in load(written, tmp_path)] == [("1",)]
    assert len(written.text.splitlines()) == 12
    assert written.text.isascii()
    assert all(line.isprintable() for line in written.text.splitlines())


@pytest.mark.parametrize(("text", "target"), [("r.io", ("r.io", "")), ("R/x", None), ("r.io/X", None), ("r.io:5000/a/b/", ("r.io:5000", "a/b"))])
def test_destination_is_a_registry_and_a_namespace(text, target):
    """Anything else is a usage error."""
    if target is not None:
        assert parse_target(text) == MirrorTarget(*target)
    else:
        with pytest.raises(UsageError, match="--destination"):
            parse_target(text)


REGISTRIES = st.sampled_from(["docker.io", "q.io", "localhost:5000", "[::1]:5000", "[fe80::1]", "r.example.com", "10.0.0.1:80"])
PATHS = st.sampled_from(["a", "a/b", "a-b", "library/a", "mirror/a", "x" * 200, "/".join("x" * 120), "a__b", "a.b"])
DIGESTS = st.sampled_from(["", A, B, f"sha512:{'a' * 128}", f"sha512:{'a' * 127}b"])
TAGS = st.sampled_from(["", "1", "3.10", "latest", "null", "yes", "0x1", "_", "x" * 128, "digest-aaaaaaaaaaaa", "digest-aaaaaaaaaaaa-2"])


REFERENCES = st.builds(Reference, st.builds(Repository, REGISTRIES, PATHS), TAGS, DIGESTS).map(lambda one: parse_reference(str(one)))


@given(st.lists(REFERENCES, max_size=12))
def test_mirrors_are_valid_and_cover_what_was_found(references):
    """Whatever the images are: each is covered, or left out with a reason."""
    written = write_mirrors([FoundImage(str(one), one, Certainty.SURE, "f", 1) for one in references], TARGET)

    mirrors = load_mirrors({"a.yaml": written.text.encode()}) if written.text else ()
    declarations = Declarations(mirrors)
    left_out = {reference for reference, _ in written.left_out}
    for reference in references:
        assert (declarations.find_coverage(reference).covered is Covered.YES) != (reference in left_out)
