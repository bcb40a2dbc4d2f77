"""A stream of YAML documents of other programs: text as written, lines, and errors that stay in their document."""

from __future__ import annotations

import time

import pytest

from imgsync.config.yaml_nodes import YamlLimits
from imgsync.config.yaml_stream import TextDocument, UnreadDocument, read_stream


def read(text: str | bytes, **limits: int) -> list[TextDocument | UnreadDocument]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_stream(data, file="a.yaml", **({"limits": YamlLimits(**limits)} if limits else {})))


def test_scalars_stay_the_text_that_is_written():
    """A tag 1.20 is not a number, and `on` is not true; only null is None."""
    (found,) = read("a: 1.20\nb: on\nc: 2024-01-01\nd: ~\ne:\nf: 'null'\ng: !custom x\n")

    assert found.value == {"a": "1.20", "b": "on", "c": "2024-01-01", "d": None, "e": None, "f": "null", "g": "x"}


def test_lines_are_those_of_the_file():
    """Also in later documents, through lists, anchors and merge keys."""
    text = "# head\n---\na:\n  - b: &x {image: one}\n---\nbase: &base\n  image: two\nweb:\n  <<: *base\n  name: web\nrun: *base\n"

    first, second = read(text)

    assert first.find_line(("a", 0, "b", "image")) == 4
    assert second.value["web"] == {"image": "two", "name": "web"}
    assert [second.find_line(path) for path in (("base", "image"), ("web", "image"), ("web", "name"), ("run", "image"))] == [7, 7, 10, 7]
    assert second.find_line(("web", "no", "such")) == 9, "the nearest part above"


def test_error_in_a_document_does_not_hide_the_others():
    """Its line is that of the file."""
    good, bad, last = read("a: 1\n---\nb: [1\n---\nc: 3\n")

    assert good.value == {"a": "1"}
    assert isinstance(bad, UnreadDocument)
    assert bad.error.line in {3, 4}
    assert last.value == {"c": "3"}


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "---\n---\n# nothing\n--- # or this\n...\n", "\ufeff"])
def test_empty_documents_are_left_out(text):
    """As charts whose templates render to nothing write them."""
    assert read(text) == []


@pytest.mark.parametrize(
    "text", ["\ufeffa: b\n", "%YAML 1.1\n---\na: b\n", "---\r\na: b\r\n", "--- {a: b}\n", "---\ta: b\n" * 0 + "a: b", "# x\n\n---\n# y\na: b\n..."]
)
def test_unusual_beginnings_are_read(text):
    """A byte order mark, a directive, Windows' line ends, content beside the marker."""
    assert [one.value for one in read(text)] == [{"a": "b"}]


def test_tabs_within_texts_are_allowed():
    """Scripts in a ConfigMap have them."""
    (found,) = read("run: |\n  a:\n  \tmake\n")

    assert found.value == {"run": "a:\n\tmake\n"}


def test_repeated_key_is_reported_and_the_last_counts():
    """As Kubernetes reads it."""
    (found,) = read("a: 1\nb: 2\na: 3\n")

    assert found.value == {"a": "3", "b": "2"}
    assert found.repeated == [(3, "a")]


BOMBS = {
    "alias": "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
    "merge": "m0: &m0 {k: v}\n" + "".join(f"m{n}: &m{n} {{<<: [{','.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 12)),
    "itself": "a: &a [*a, *a]\n",
    "merges itself": "a: &a\n  <<: *a\n  b: c\n",
    "deep": "[" * 5000,
    "chain": "".join(f"a{n}: &a{n} {{x: {f'*a{n - 1}' if n else 'y'}}}\n" for n in range(5000)),
    "key": "? {a: b}\n: c\n",
    "not UTF-8": b"a: \xff\n",
    "control": "a: \x07\n",
}


@pytest.mark.row("DISC-08")
@pytest.mark.parametrize("name", BOMBS)
def test_hostile_document_is_an_error_of_its_own(name):
    """Within seconds, and the next document is read."""
    bomb = BOMBS[name]
    data = bomb if isinstance(bomb, bytes) else bomb.encode()
    began = time.process_time()

    bad, good = read(data + b"\n---\na: b\n")

    assert isinstance(bad, UnreadDocument)
    assert good.value == {"a": "b"}
    assert time.process_time() - began < 30


def test_document_larger_than_its_limit_is_an_error():
    """Of bytes and of values; each document has the limit for itself."""
    small = "a: b\n---\n"

    assert [type(one).__name__ for one in read(small * 4, size_bytes=20, values=8)] == ["TextDocument"] * 4
    assert [type(one).__name__ for one in read(f"{small}a: {'b' * 30}\n---\nc: [1,2,3,4,5,6,7,8]\n", size_bytes=30, values=8)] == [
        "TextDocument",
        "UnreadDocument",
        "UnreadDocument",
    ]


@pytest.mark.row("DISC-08")
def test_documents_beyond_the_limit_are_one_error():
    """Those before it are read."""
    *good, bad = read("a: b\n---\n" * 9, documents=3)

    assert len(good) == 4
    assert isinstance(bad, UnreadDocument)
    assert "more than 3 documents" in bad.error.message
