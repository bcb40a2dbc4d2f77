"""Generated storms: declarations, content, faults, ends of runs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from hypothesis import strategies as st

from tests import switches
from tests.support.images import DOCKER, Image, artifact, image, index, layer, to_json
from tests.switches import Distance, Switch

# Of several pieces on the wire, and shared by many.
_BASE = layer("storm base", 40_000)
_ON_BASE = tuple(image("storm base", layers=1, shared=_BASE, layer_bytes=200, platform=f"linux/{one}") for one in ("amd64", "arm64"))
IMAGES: Mapping[str, Image] = {
    "plain": image("storm plain", layers=1, layer_bytes=200),
    "based": image("storm based", layers=2, shared=_BASE, layer_bytes=200),
    "docker": image("storm docker", layers=1, shared=_BASE, layer_bytes=200, kind=DOCKER),
    "index": index("storm index", layer_bytes=200),
    "index on base": index(children=_ON_BASE),
    "index of a tag": index(children=(_ON_BASE[0], image("storm arm", layers=1, shared=_BASE, layer_bytes=200, platform="linux/arm64"))),
    "child": _ON_BASE[0],
    "list": index("storm list", kind=DOCKER, layer_bytes=200),
    "artifact": artifact("storm chart", artifact_type="application/vnd.example.chart.v1+json"),
}
REFERRERS = {name: artifact(f"of {name}", subject=IMAGES[name]) for name in ("plain", "index on base")}
REPOSITORIES = ("storm/a", "storm/n/b", "storm/c")
TAGS = ("v1", "v1.2", "v2", "v2-rc", "latest")
# There is always one: nothing selected at all is an error of its own.
ALWAYS = "v2"
FILTERS: Mapping[str, tuple[dict[str, object], frozenset[str]]] = {
    "all": ({}, frozenset(TAGS)),
    "globs": ({"include": ["v*"], "exclude": ["*-rc"]}, frozenset({"v1", "v1.2", "v2"})),
    "names": ({"names": ["latest", "v2"]}, frozenset({"latest", "v2"})),
    "range": ({"semver": ">=1.2"}, frozenset({"v1.2", "v2"})),
    "both": ({"regex": [r"v\d"], "names": ["v2-rc"]}, frozenset({"v1", "v2", "v2-rc"})),
}


# Tags that name another image from now on, None for none.
Moves = tuple[tuple[str, str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one run mirrors, and how."""

    repositories: tuple[str, ...]
    tags: str
    amd64_alone: bool = False
    referrers: bool = True
    immutable: bool = False
    prune: bool = False
    second: bool = False
    flat: bool = False

    @property
    def selected(self) -> frozenset[str]:
        """Return the tags it selects, where they are."""
        return FILTERS[self.tags][1]

    @property
    def names(self) -> frozenset[str]:
        """Return the tags that must exist."""
        names = FILTERS[self.tags][0].get("names", ())
        assert isinstance(names, list | tuple)
        return frozenset(names)

    def path(self, repository: str) -> str:
        """Return the destination's path for a source repository, without its namespace."""
        return repository.replace("/", "_") if self.flat else repository

    def fixed(self, tag: str) -> bool:
        """Return whether *tag* is declared immutable."""
        return self.immutable and tag.startswith("v1")

    def document(self, source: str, destinations: tuple[str, ...], namespace: str) -> dict[str, object]:
        """Return the YAML's content."""
        wanted = destinations if self.second else destinations[:1]
        mirror: dict[str, object] = {
            "name": "storm",
            "source": {"registry": source, "repositories": list(self.repositories)},
            "tags": FILTERS[self.tags][0],
            "referrers": self.referrers,
            "platforms": ["linux/amd64"] if self.amd64_alone else "all",
            "immutable": ["v1*"] if self.immutable else [],
            "prune": self.prune,
            "destinations": [{"registry": host, "namespace": namespace, "repository": "{flat}" if self.flat else "{path}"} for host in wanted],
            "retry": {"attempts": 2, "interval": "0s"},
            "timeouts": {"request": "20s"},
        }
        return {"version": 1, "mirrors": [{key: value for key, value in mirror.items() if value not in ({}, [])}]}

    def expected(self, content: Image) -> Image | None:
        """Return the served manifest, or None for an index with fewer platforms."""
        cut = self.amd64_alone and any(child.platform != "linux/amd64" for child in content.children)
        return None if cut else content

    def is_served(self, content: Image, raw: bytes) -> bool:
        """Return whether *raw* is what must be served for *content*."""
        whole = self.expected(content)
        if whole is not None:
            return raw == whole.raw
        document = json.loads(content.raw)
        document["manifests"] = [entry for entry in document["manifests"] if entry["platform"]["architecture"] == "amd64"]
        return raw == to_json(document)


@dataclass(frozen=True, slots=True)
class Fault:
    """A switch on one side, with its target, and when it applies."""

    side: str
    switch: str
    method: str
    target: str
    nth: tuple[int, ...] | None = None
    chance: float = 1
    seed: int = 0

    def make(self) -> Switch:
        """Return the switch, new."""
        return SWITCHES[self.switch]()


@dataclass(frozen=True, slots=True)
class End:
    """
    A signal at the n-th request of a side, or none.

    It comes before the registry gets the request, or after the registry acted. With *at_a_tag* only requests that push or delete a tag count.
    """

    number: signal.Signals | None = None
    side: str = "first"
    nth: int = 1
    answered: bool = False
    at_a_tag: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run: moved tags, its declaration, faults, its end, the state afterwards."""

    moves: Moves
    declaration: Declaration
    faults: tuple[Fault, ...]
    end: End
    state: str = "kept"
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class Storm:
    """The first content, the runs with faults, and the last declaration."""

    held: tuple[tuple[str, str, str], ...]
    runs: tuple[Run, ...]
    moves: Moves
    declaration: Declaration
    # Behind imgsync's back, which only --refresh can see: a tag of the first destination deleted, by its place among them.
    tampered: int | None = None
    deletes_tags: bool = True
    has_referrers: bool = True


CHANGES_A_TAG = "/manifests/[^:]+$"
# By name: hypothesis prints its example, which can then be built by hand.
SWITCHES: Mapping[str, Callable[[], Switch]] = {
    "429": lambda: switches.status(429, retry_after="0", error="TOOMANYREQUESTS"),
    "500": lambda: switches.status(500),
    "503": lambda: switches.status(503, retry_after="0"),
    "504": lambda: switches.html(504),
    "400": lambda: switches.status(400, error="NAME_INVALID"),
    "401": lambda: switches.status(401, headers={"WWW-Authenticate": 'Basic realm="storm"'}),
    "401 bearer": lambda: switches.status(401, headers={"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token",service="storm"'}),
    "403": lambda: switches.status(403, error="DENIED"),
    "404": lambda: switches.status(404, error="NAME_UNKNOWN"),
    "405": lambda: switches.status(405),
    "session lost": lambda: switches.status(404, error="BLOB_UPLOAD_UNKNOWN"),
    "quota": switches.quota_spent,
    "tag immutable": switches.immutable_tag,
    "too large": lambda: switches.status(413),
    "reset": switches.reset,
    "cut": lambda: switches.drop_body_after(150),
    "cut reset": lambda: switches.drop_body_after(20_000, reset=True),
    "cut quietly": lambda: switches.drop_body_after(150, framing="close"),
    "wrong byte": lambda: switches.corrupt_byte(120),
    "wrong late byte": lambda: switches.corrupt_byte(39_000),
    "more bytes": switches.extra_bytes,
    "chunked": lambda: switches.reframe("chunked"),
    "closed": lambda: switches.reframe("close"),
    "trickle": lambda: switches.trickle(5000, seconds=0.002),
    "far": lambda: Distance(0.005),
    "upload cut": lambda: switches.break_upload_after(100),
    "late upload cut": lambda: switches.break_upload_after(33_000),
    "garbage": lambda: switches.Respond(200, b"\x00\xff{]", headers={"Content-Type": "application/json"}),
    "page": switches.html,
    "gzip": switches.gzipped,
    "no digest": switches.no_digest_header,
    "wrong digest": lambda: switches.headers(Docker_Content_Digest="sha256:" + "0" * 64),
    "no ranges": switches.no_ranges,
    "shifted ranges": switches.shifted_ranges,
    "no mount": switches.refuse_mount,
    "relative": lambda: switches.location(lambda url: urlsplit(url)._replace(scheme="", netloc="").geturl() or None),
    "no location": lambda: switches.location(lambda _: None),
    "foreign location": lambda: switches.location(lambda _: "http://127.0.0.2:1/elsewhere"),
    "chunks": lambda: switches.chunk_min_length(5000),
    "chunks lost": switches.loses_chunks,
    "no tags": switches.tags_null,
}
_ANYWHERE = ("429", "500", "503", "504", "400", "401", "401 bearer", "403", "405", "reset", "far")
# (switches, methods, targets): what can befall which requests of which side. What a side says about itself is believed where nothing else can be
# known: so a source that says "not there" is not among the faults where that deletes, nor a destination that claims to have what it has not.
_SOURCE = (
    (_ANYWHERE, (".*", "GET", "HEAD"), ("", "/manifests/", "/blobs/", "/tags/list", "/referrers/")),
    (
        ("cut", "cut quietly", "wrong byte", "more bytes", "garbage", "page", "gzip", "chunked", "closed", "trickle"),
        ("GET",),
        ("/manifests/", "/blobs/", "/tags/"),
    ),
    (("cut reset", "wrong late byte", "no ranges", "shifted ranges", "trickle"), ("GET",), ("/blobs/",)),
    (("no digest", "wrong digest"), (".*", "HEAD", "GET"), ("/manifests/",)),
)
_LIES = ((("404", "no tags"), ("GET",), ("/tags/list",)), (("404",), ("GET|HEAD",), ("/manifests/", "/blobs/")))
_DESTINATION = (
    (_ANYWHERE, (".*", "PUT", "POST", "HEAD"), ("", "/manifests/", "/blobs/", "/uploads/")),
    (("upload cut", "late upload cut", "session lost", "too large", "quota", "chunks lost"), ("PUT", "PUT|PATCH"), ("/uploads/",)),
    (("tag immutable", "quota", "upload cut", "404"), ("PUT",), ("/manifests/",)),
    # Done, and the answer lost: the result is unknown.
    (("reset",), ("PUT", "DELETE"), (CHANGES_A_TAG,)),
    (("no mount", "relative", "no location", "foreign location", "chunks", "quota"), ("POST",), ("/uploads/",)),
    (("cut", "garbage", "wrong byte", "no digest"), ("GET", "HEAD"), ("/manifests/", "/tags/", "/referrers/")),
)
_WHEN = st.one_of(
    st.fixed_dictionaries({"nth": st.lists(st.integers(1, 14), min_size=1, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))}),
    st.fixed_dictionaries({"chance": st.sampled_from((0.15, 0.4, 0.8)), "seed": st.integers(0, 999)}),
)


@st.composite
def faults(draw: st.DrawFn, *, lies: bool) -> Fault:
    """Return one fault."""
    side = draw(st.sampled_from(("source", "first", "first", "second")))
    table = _SOURCE + (_LIES if lies else ()) if side == "source" else _DESTINATION
    names, methods, targets = draw(st.sampled_from(table))
    return Fault(side, draw(st.sampled_from(names)), draw(st.sampled_from(methods)), draw(st.sampled_from(targets)), **draw(_WHEN))


@st.composite
def declarations(draw: st.DrawFn, *, prune: bool) -> Declaration:
    """Return a generated declaration."""
    return Declaration(
        repositories=tuple(sorted(draw(st.sets(st.sampled_from(REPOSITORIES), min_size=1)))),
        tags=draw(st.sampled_from(tuple(FILTERS))),
        amd64_alone=draw(st.integers(0, 3)) == 3,
        referrers=draw(st.booleans()),
        immutable=draw(st.integers(0, 2)) == 2,
        prune=prune,
        second=draw(st.booleans()),
        flat=draw(st.integers(0, 4)) == 4,
    )


ALWAYS_HELD = "based"
_images = st.sampled_from(tuple(IMAGES))


@st.composite
def tag_moves(draw: st.DrawFn, held: tuple[tuple[str, str, str], ...]) -> Moves:
    """Return one to four tags with their new image, or None."""
    found: list[tuple[str, str, str | None]] = []
    for _ in range(draw(st.integers(1, 4))):
        repository, tag = draw(st.sampled_from([one[:2] for one in held]) | st.tuples(st.sampled_from(REPOSITORIES), st.sampled_from(TAGS)))
        name = draw(st.one_of(_images, _images, st.none()))
        found.append((repository, tag, ALWAYS_HELD if name is None and tag == ALWAYS else name))
    return tuple(found)


_ends = st.one_of(
    st.just(End()),
    st.just(End()),
    st.builds(
        End,
        st.sampled_from((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)),
        st.sampled_from(("source", "first", "first", "second")),
        st.integers(1, 40),
        st.booleans(),
    ),
    st.builds(End, st.just(signal.SIGKILL), st.just("first"), st.sampled_from((1, 1, 2, 3)), st.sampled_from((True, True, False)), st.just(True)),
)


_ONE = Declaration(("storm/a",), "all")
# What broke a law once, or would: they are sailed through first.
KNOWN = (
    # A push that was done and never noted, and the source goes back to what the state remembers.
    Storm(
        held=(("storm/a", "v2", "plain"), ("storm/a", "v1", "index")),
        runs=(Run((), _ONE, (), End()), Run((("storm/a", "v2", "based"),), _ONE, (), End(signal.SIGKILL, "first", 1, answered=True, at_a_tag=True))),
        moves=(("storm/a", "v2", "plain"),),
        declaration=_ONE,
    ),
    # A tag to be pruned where deletions are by digest, and another tag and an index that need what it names.
    Storm(
        held=(("storm/a", "v1", "child"), ("storm/a", "v2", "index on base"), ("storm/a", "latest", "child"), ("storm/a", "v2-rc", "docker")),
        runs=(Run((), replace(_ONE, prune=True), (), End()),),
        moves=(("storm/a", "v1", None), ("storm/a", "v2-rc", None)),
        declaration=replace(_ONE, prune=True),
        deletes_tags=False,
    ),
    # A source whose every second blob is not what it says.
    Storm(
        held=tuple((repository, "v2", "based") for repository in REPOSITORIES),
        runs=(Run((), Declaration(REPOSITORIES, "all", second=True), (Fault("source", "wrong byte", "GET", "/blobs/", chance=0.5, seed=3),), End()),),
        moves=(),
        declaration=Declaration(REPOSITORIES, "all", second=True),
    ),
)


@st.composite
def storms(draw: st.DrawFn) -> Storm:
    """Return a storm of one to three runs."""
    prune = draw(st.booleans())
    told = draw(declarations(prune=prune))
    held = tuple((repository, tag, draw(_images)) for repository in REPOSITORIES for tag in TAGS if tag == ALWAYS or draw(st.booleans()))
    runs = []
    for number in range(draw(st.sampled_from((1, 2, 2, 3)))):
        moves = draw(tag_moves(held)) if number else ()
        runs.append(
            Run(
                moves,
                told,
                tuple(draw(st.lists(faults(lies=not prune), max_size=3))),
                draw(_ends),
                draw(st.sampled_from(("kept", "kept", "kept", "lost", "damaged", "rolled back"))),
                refresh=draw(st.integers(0, 5)) == 5,
            )
        )
        if draw(st.integers(0, 2)) == 2:
            told = draw(declarations(prune=prune))
    return Storm(
        held,
        tuple(runs),
        draw(st.one_of(st.just(()), tag_moves(held))),
        told,
        tampered=draw(st.one_of(st.none(), st.none(), st.none(), st.integers(0, 9))),
        deletes_tags=draw(st.booleans()),
        has_referrers=draw(st.booleans()),
    )
