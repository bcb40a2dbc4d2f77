"""Hostile and damaged archives, by family and kind, each with what the error says."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from types import MappingProxyType

from tests.support.archives import BLOCK, END, docker_24, folder, header, layout_members, link, member, pax, saved, tar, with_prefix
from tests.support.images import digest_of, image, to_json

_IMAGE = image("hostile")
_BLOB = f"blobs/sha256/{'ab' * 32}"
Kinds = Mapping[str, tuple[bytes, str]]


def plant(*hostile: bytes, kind: str) -> bytes:
    """Return a valid layout with *hostile* members at a place that *kind* seeds."""
    members = layout_members(_IMAGE)
    place = random.Random(kind).randint(0, len(members))
    return tar(*members[:place], *hostile, *members[place:])


def planted(kinds: Mapping[str, tuple[bytes, str]]) -> Kinds:
    """Return each archive with its hostile members planted in a valid layout."""
    return MappingProxyType({kind: (plant(content, kind=kind), message) for kind, (content, message) in kinds.items()})


LINKS = planted(
    {
        "absolute": (link("x", "/etc/passwd"), "'x' is a link to '/etc/passwd', not to a regular file of the archive"),
        "parent": (link("a/x", "../../etc/passwd"), "'a/x' is a link to '../../etc/passwd', not to"),
        "parent and back": (link("x", "../index.json"), "'x' is a link to '../index.json', not to"),
        "dangling": (link("x", "y"), "'x' is a link to 'y', not to"),
        "empty": (link("x", ""), "'x' is a link to '', not to"),
        "itself": (link("x", "x"), "'x' is a link to 'x', not to"),
        "circle": (link("x", "y") + link("y", "x"), "is a link to"),
        "to a link": (link("x", "y") + link("y", "index.json"), "'x' is a link to 'y', not to"),
        "to a folder": (folder("a") + link("x", "a"), "'x' is a link to 'a', not to"),
        "twice": (link("x", "index.json") + link("x", "oci-layout"), "'x' is there twice"),
        "over a file": (member("x") + link("x", "index.json"), "'x' is there twice"),
        "blob": (link(_BLOB, "/etc/shadow"), "is a link to '/etc/shadow', not to"),
        "hard, absolute": (member("x", kind=b"1", target="/etc/passwd"), "'x' is a link to '/etc/passwd', not to"),
        "hard, parent": (member("a/x", kind=b"1", target="../index.json"), "'a/x' is a link to '../index.json', not to"),
        "hard, dangling": (member("x", kind=b"1", target="y"), "'x' is a link to 'y', not to"),
        "long target": (member("././@LongLink", b"/etc/passwd\0", kind=b"K") + link("x", ""), "'x' is a link to '/etc/passwd', not to"),
        "pax target": (pax({"linkpath": "../../x"}) + link("x", "index.json"), "'x' is a link to '../../x', not to"),
    }
)
KINDS = planted(
    {
        "character device": (member("x", kind=b"3"), "'x' is a device"),
        "block device": (member(_BLOB, kind=b"4"), "is a device"),
        "named pipe": (member("x", kind=b"6"), "'x' is a named pipe"),
        "contiguous file": (member("x", kind=b"7"), "'x' is of the unknown type '7'"),
        "volume label": (member("x", kind=b"V"), "'x' is of the unknown type 'V'"),
        "continued file": (member("x", b"y", kind=b"M"), "'x' is of the unknown type 'M'"),
        "escape code": (member("x", kind=b"\x1b"), "'x' is of the unknown type '\\x1b'"),
    }
)
NAMES = planted(
    {
        "absolute": (member("/etc/cron.d/x"), "'/etc/cron.d/x' has an absolute path"),
        "parent": (member("../x"), "'../x' leaves the archive by `..`"),
        "parent inside": (member("blobs/../../x"), "'blobs/../../x' leaves the archive by `..`"),
        "parent at the end": (member("blobs/.."), "'blobs/..' leaves the archive by `..`"),
        "parent folder": (folder("../x"), "'../x/' leaves the archive by `..`"),
        "parent in a prefix": (with_prefix("..", "x"), "'../x' leaves the archive by `..`"),
        "parent of pax": (pax({"path": "../x"}) + member("x"), "'../x' leaves the archive by `..`"),
        "absolute by GNU": (member("././@LongLink", b"/x\0", kind=b"L") + member("x"), "'/x' has an absolute path"),
        "empty": (member(""), "the name of the member '' is empty"),
        "NUL": (pax({"path": b"x\0y"}) + member("x"), "the name of the member 'x\\x00y' has a NUL"),
        "too long": (pax({"path": "x" * 1025}) + member("x"), "has 1,025 bytes"),
        "escape codes": (member("\x1b[2J/../x"), "'\\x1b[2J/../x' leaves"),
        "not UTF-8": (member(b"\xff/../x"), "'\\udcff/../x' leaves"),
    }
)
SPARSE = planted(
    {
        "GNU": (member("x", kind=b"S"), "'x' is a sparse file"),
        "GNU 0.0": (pax({"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1"}) + member("x", b"y"), "a sparse file"),
        "GNU 1.0": (pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}) + member("GNUSparseFile.1/x"), "a sparse file"),
        "star": (pax({"SCHILY.realsize": "9"}) + member("x"), "a sparse file"),
    }
)
SIZES = planted(
    {
        "pax hides a member": (pax({"size": "1024"}) + member("x") + member("../y"), "'x' has two sizes: 0 and 1,024 bytes"),
        "pax shows a member": (pax({"size": "0"}) + member("x", member("../y")), "'x' has two sizes: 512 and 0 bytes"),
        "negative in pax": (pax({"size": "-512"}) + member("x"), "the size of the member 'x' is '-512'"),
        "no number in pax": (pax({"size": "0x10"}) + member("x"), "the size of the member 'x' is '0x10'"),
        "endless in pax": (pax({"size": "9" * 400}) + member("x"), "the size of the member 'x' is '999"),
        "negative": (header("x", size_field=b"-0000000512\0"), "the size of the member 'x' is not a number"),
        "negative, base 256": (header("x", size_field=b"\xff" * 12), "the size of the member 'x' is negative"),
        "endless, base 256": (header("x", size_field=b"\x80" + b"\x7f" * 11), "the size of the member 'x' is larger than any file"),
        "petabytes, base 256": (header("x", size_field=b"\x80" + (1 << 53).to_bytes(11, "big")), "'x' has 9,007,199,254,740,992 bytes from"),
        "petabytes in pax": (pax({"size": str(1 << 53)}) + header("x"), "'x' has 9,007,199,254,740,992 bytes from"),
        "no number": (header("x", size_field=b"1_000\0"), "the size of the member 'x' is not a number"),
        "letters": (header("x", size_field=b"\xd9\xa1\xd9\xa2\0"), "the size of the member 'x'"),
        "folder with content": (header("x/", 512, kind=b"5") + bytes(BLOCK), "'x/' is a folder with 512 bytes of content"),
        "old folder with content": (header("x/", 512, kind=b"\0") + bytes(BLOCK), "'x/' is a folder with 512 bytes of content"),
        "link with content": (header("x", 512, kind=b"2", target="index.json") + bytes(BLOCK), "'x' is a link with 512 bytes of content"),
        "hard link with content": (header("x", 512, kind=b"1", target="index.json") + bytes(BLOCK), "'x' is a hard link with 512 bytes of content"),
    }
)
TWICE = planted(
    {
        "index": (member("index.json", b"{}"), "'index.json' is there twice"),
        "index by another path": (member("./index.json", b"{}"), "'index.json' is there twice"),
        "file": (member("x") + member("x"), "'x' is there twice"),
        "blob": (member(_BLOB) + member(_BLOB, b"y"), f"'{_BLOB}' is there twice"),
        "blob by another path": (member(_BLOB) + member(f".//{_BLOB}", b"y"), f"'{_BLOB}' is there twice"),
        "index in capitals": (member("INDEX.json", b"{}"), "'INDEX.json' differs from 'index.json' only by upper and lower case"),
        "blob in capitals": (member(_BLOB.upper()), f"differs from '{_BLOB}' only by upper and lower case"),
        "file in capitals": (member("Readme") + member("README"), "'README' differs from 'Readme' only by upper and lower case"),
        "sharp s": (member("Straße") + member("STRASSE"), "'STRASSE' differs from 'Straße' only by upper and lower case"),
    }
)
EXTENDED = planted(
    {
        "too large": (pax(b"x" * (64 * 1024 + 1)) + member("x"), "an extended header has 65,537 bytes; the limit is 65,536"),
        "petabytes": (header("x", kind=b"x", size_field=b"\x80" + (1 << 53).to_bytes(11, "big")), "an extended header has 9,007,199,254,740,992 bytes"),
        "too large by GNU": (member("x", b"y" * (64 * 1024 + 1), kind=b"L"), "an extended header has 65,537 bytes"),
        "no record": (pax(b"hello") + member("x"), "an extended header is malformed"),
        "short record": (pax(b"3 a=b\n") + member("x"), "an extended header is malformed"),
        "long record": (pax(b"99 path=b\n") + member("x"), "an extended header is malformed"),
        "endless length": (pax(b"9" * 5000 + b" path=b\n") + member("x"), "an extended header is malformed"),
        "negative length": (pax(b"-9 path=b\n") + member("x"), "an extended header is malformed"),
        "zero length": (pax(b"0 path=b\n") + member("x"), "an extended header is malformed"),
        "no key": (pax(b"5 =b\n") + member("x"), "an extended header is malformed"),
        "no value": (pax(b"7 path\n") + member("x"), "an extended header is malformed"),
        "path twice": (pax(b"9 path=a\n9 path=b\n") + member("x"), "gives the path of a member twice"),
        "two headers": (pax({"path": "a"}) + pax({"path": "b"}) + member("x"), "two extended headers of one member contradict each other"),
        "GNU and pax": (member("L", b"a\0", kind=b"L") + pax({"path": "b"}) + member("x"), "two extended headers of one member contradict each other"),
        "global path": (pax({"path": "a"}, kind=b"g") + member("x"), "a global extended header changes"),
        "global size": (pax({"size": "0"}, kind=b"g") + member("x"), "a global extended header changes"),
    }
)
_WHOLE = tar(*layout_members(_IMAGE))
CUT: Kinds = MappingProxyType(
    {
        "nothing": (b"", "ends at byte 0 without an end mark: it is truncated"),
        "half a header": (_WHOLE[:300], "ends at byte 300 without an end mark: it is truncated"),
        "no end": (_WHOLE[: -len(END)], "without an end mark: it is truncated"),
        "in the last member": (_WHOLE[: -len(END) - BLOCK], "but the archive ends at byte"),
        "after an extended header": (tar(*layout_members(_IMAGE), pax({"path": "x"})), "ends after an extended header, without its member"),
        "empty block inside": (b"".join([*layout_members(_IMAGE), bytes(BLOCK), member("x"), END]), "an empty block is in the middle of the archive"),
        "zeros": (bytes(BLOCK * 40), "neither index.json nor manifest.json"),
        "wrong checksum": (_WHOLE[:10] + b"?" + _WHOLE[11:], "at byte 0, there is no header of a tar archive"),
        "text": (b"hello, I am no archive. " * 100, "at byte 0, there is no header of a tar archive"),
        "junk between": (tar(*layout_members(_IMAGE), b"\xff" * BLOCK, member("x")), "there is no header of a tar archive"),
    }
)


def replace_index(content: bytes, name: str = "index.json") -> bytes:
    """Return a layout whose `index.json` is *content*."""
    return tar(member("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), member(name, content))


def make_bomb(kind: str) -> tuple[bytes, str]:
    """Return an archive whose content would need much memory, and what the error says."""
    docker = "manifest.json"
    if kind == "million entries":
        return replace_index(
            b'{"schemaVersion":2,"manifests":[' + b",".join([b'{"digest":"","size":0}'] * 1_000_000) + b"]}"
        ), "index.json has more than 2,500,000 values"
    if kind == "deep index":
        return replace_index(b'{"schemaVersion":2,"manifests":' + b"[" * 100_000), "index.json: it is not valid JSON"
    if kind == "large index":
        return replace_index(b" " * ((64 << 20) + 1)), "index.json has 67,108,865 bytes; the limit is 67,108,864"
    if kind == "large layout version":
        return tar(member("oci-layout", b" " * 5000), member("index.json", b"{}")), "oci-layout has 5,000 bytes; the limit is 4,096"
    if kind == "large config":
        large = member("c", b" " * ((4 << 20) + 1))
        return tar(member(docker, to_json([{"Config": "c", "Layers": []}])), large), "the config 'c' has 4,194,305 bytes; the limit is 4 MiB"
    content, message = {
        "large manifest.json": (b" " * ((8 << 20) + 1), "manifest.json has 8,388,609 bytes; the limit is 8,388,608"),
        "million images": (b"[" + b",".join([b"{}"] * 1_000_000) + b"]", "manifest.json has more than 100,000 values"),
        "too many images": (b"[" + b",".join([b"{}"] * 5001) + b"]", "manifest.json lists 5,001 images; the limit is 5,000"),
        "too many layers": (to_json([{"Config": "x", "Layers": ["y"] * 1001}]), "an image of manifest.json has 1,001 layers; the limit is 1,000"),
        "deep nesting": (b"[" * 50_000 + b"]" * 50_000, "manifest.json is not valid JSON"),
        "deep objects": (b'[{"a":' * 40_000, "manifest.json is not valid JSON"),
        "endless number": (b"[" + b"9" * 100_000 + b"]", "manifest.json is not valid JSON"),
    }[kind]
    return replace_index(content, docker), message


BOMBS = (
    *(
        "million entries",
        "deep index",
        "large index",
        "large layout version",
        "large config",
        "large manifest.json",
        "million images",
        "too many images",
    ),
    *("too many layers", "deep nesting", "deep objects", "endless number"),
)


def change_docker(**changes: object) -> bytes:
    """Return an archive of Docker 24 whose `manifest.json` has *changes*, None removing a key."""
    archive = docker_24(saved("docker"))
    place = archive.index(header("manifest.json", 1)[:13])
    size = int(archive[place + 124 : place + 135], 8)
    (entry,) = json.loads(archive[place + BLOCK : place + BLOCK + size])
    changed = {key: value for key, value in {**entry, **changes}.items() if value is not None}
    return archive[:place] + member("manifest.json", to_json([changed])) + END


_SAVED = saved("docker")
_CONFIG = f"{digest_of(_SAVED.config).partition(':')[2]}.json"
DOCKER: Kinds = MappingProxyType(
    {
        "no list": (replace_index(b"{}", "manifest.json"), "manifest.json is not a JSON array"),
        "dir of skopeo": (replace_index(b'{"schemaVersion": 2}', "manifest.json"), "as in a `dir:` folder of skopeo"),
        "null": (replace_index(b"null", "manifest.json"), "manifest.json is not a JSON array"),
        "numbers": (replace_index(b"[1]", "manifest.json"), "manifest.json is not what `docker save` writes"),
        "two lists": (replace_index(b"[],[]", "manifest.json"), "manifest.json is not valid JSON"),
        "a key twice": (replace_index(b'[{"Config":"a","Config":"b"}]', "manifest.json"), "ambiguous keys"),
        "a key in other case": (change_docker(config="x"), "ambiguous keys"),
        "no config": (change_docker(Config=None), "manifest.json is not what `docker save` writes"),
        "layers are no list": (change_docker(Layers="x"), "manifest.json is not what `docker save` writes"),
        "names are no texts": (change_docker(RepoTags=[1]), "manifest.json is not what `docker save` writes"),
        "invalid name": (change_docker(RepoTags=["UP/../../x:1"]), "manifest.json names an image 'UP/../../x:1'"),
        "config outside": (change_docker(Config="../../etc/passwd"), "manifest.json names '../../etc/passwd', which is not in the archive"),
        "config absolute": (change_docker(Config="/etc/passwd"), "manifest.json names '/etc/passwd', which is not in the archive"),
        "layer outside": (change_docker(Layers=["../x", "/etc/passwd"]), "manifest.json names '../x', which is not in the archive"),
        "layer missing": (change_docker(Layers=["x", "y"]), "manifest.json names 'x', which is not in the archive"),
        "fewer layers": (change_docker(Layers=[]), "0 layers, its config 2"),
        "config is a layer": (change_docker(Config="manifest.json"), "is not a JSON object"),
    }
)
