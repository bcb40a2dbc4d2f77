"""What a configuration means once loaded: frozen values, defaults applied, durations in seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import NoReturn, Self

from imgsync.config.public_keys import PublicKey
from imgsync.filters.tags import TagFilter


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How much one mirror may do at once: images copied, tags asked about, blobs of one image."""

    images: int = 4
    queries: int = 10
    blobs: int = 3


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds: without a byte on one request, for one image, for the whole run."""

    request_seconds: float = 30.0
    image_seconds: float = 900.0
    run_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Tries in all (1 is one try), the first pause between them, and tries for a login."""

    attempts: int = 4
    interval_seconds: float = 4.0
    login: int = 2


@dataclass(frozen=True, slots=True)
class Source:
    """Where images come from: a registry, namespaces to enumerate, exact repositories, globs taken away."""

    registry: str
    namespaces: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """Where images go; `repository` and `tag` are templates, see `imgsync.config.templates`."""

    registry: str
    namespace: str = ""
    repository: str = "{path}"
    tag: str = "{tag}"


@dataclass(frozen=True, slots=True)
class Prune:
    """Deletions of what is no longer selected: how many at most in one plan, and globs of destination tags that stay."""

    at_most: int = 20
    protect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirements:
    """
    What an image has to satisfy; nothing given, nothing is asked.

    `keys` and `identities` are names in registries.yaml, of which one has to have signed; every one of `artifacts` has to be there; each media
    type of the image has to match a glob of `media_types`; `max_bytes` is the most that it may have, compressed.
    """

    keys: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    max_bytes: int | None = None

    def __bool__(self) -> bool:
        """Return whether anything is asked."""
        return self != Requirements()


@dataclass(frozen=True, slots=True)
class Mirror:
    """
    One declaration.

    `platforms` None is all, `referrers` True all, or the artifact types, `prune` None deletes nothing; `file`, `line` say where it was declared.
    """

    name: str
    source: Source
    destinations: tuple[Destination, ...]
    tags: TagFilter = TagFilter()
    description: str = ""
    suspend: bool = False
    platforms: tuple[str, ...] | None = None
    referrers: tuple[str, ...] | bool = True
    immutable: tuple[str, ...] = ()
    prune: Prune | None = None
    require: Requirements = Requirements()
    concurrency: Concurrency = Concurrency()
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    file: str = ""
    line: int = 0

    @property
    def selection(self) -> str:
        """Return the settings that shape an image's content, as the state remembers them (design.md §6)."""
        platforms = "all" if self.platforms is None else ",".join(sorted(self.platforms))
        referrers = ("all" if self.referrers else "none") if isinstance(self.referrers, bool) else ",".join(sorted(self.referrers))
        return f"platforms={platforms};referrers={referrers}"

    @property
    def declaration(self) -> str:
        """Return what tells this declaration from another: a digest of all that it says, wherever it is written."""
        said = json.dumps(asdict(replace(self, file="", line=0)), sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"


class Secret:
    """
    A value that never shows: `repr`, `str` and `format` give `***`, and it cannot be saved; `reveal()` gives the text.

    No dataclass, as `asdict` would take it apart within whatever holds it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret text, for the Authorization header and nothing else."""
        return self._text

    def __repr__(self) -> str:
        """Hide the value."""
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Hide the value."""
        return "***"

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself: `asdict` copies what is no dataclass."""
        return self

    def __reduce__(self) -> NoReturn:
        """
        Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a secret is not written down")


@dataclass(frozen=True, slots=True)
class Login:
    """A username and its password."""

    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS: off only when said so; own CA bundle, client certificate and key as file paths."""

    enabled: bool = True
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """
    Settings of one registry: credentials, TLS and limits.

    `rate` is (requests, seconds). `listing` names the listing API, `listing_url` its address.
    `chunk_bytes` is the largest request body of an upload.
    """

    credentials: Login | None = None
    rate: tuple[int, float] | None = None
    connections: int = 32
    tls: Tls = Tls()
    proxy: str | None = None
    listing: str = "auto"
    listing_url: str | None = None
    token_server: str | None = None
    chunk_bytes: int | None = None
    create_repositories: bool = False


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key whose signatures are believed, and prefixes of repositories, beside the source's own, that they may say to be of."""

    public: PublicKey
    signed_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """Who may sign without a key: exactly this identity, as exactly this issuer calls it, by the trust root in a file; `fingerprint` is the file's."""

    identity: str
    issuer: str
    trust_root: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RegistriesConfig:
    """
    Everything that registries.yaml holds.

    `by_host` has a host[:port] for key. Without a list (None), every source or destination is allowed.
    `require` holds the operator's requirements for images below each prefix; mirrors can only add to them.
    """

    by_host: Mapping[str, RegistrySettings] = field(default_factory=dict)
    allowed_sources: tuple[str, ...] | None = None
    allowed_destinations: tuple[str, ...] | None = None
    keys: Mapping[str, SigningKey] = field(default_factory=dict)
    identities: Mapping[str, SigningIdentity] = field(default_factory=dict)
    require: Mapping[str, Requirements] = field(default_factory=dict)

    def of(self, registry: str) -> RegistrySettings:
        """Return the settings of *registry* (host[:port]), or the defaults."""
        return self.by_host.get(registry, RegistrySettings())


@dataclass(frozen=True, slots=True)
class Config:
    """Desired state and registry settings together, ready for a plan; `files` are those read, in order, `whole` whether none of their mirrors was left out."""

    mirrors: tuple[Mirror, ...]
    registries: RegistriesConfig
    files: tuple[str, ...] = ()
    whole: bool = True

    def part(self, wanted: Callable[[Mirror], bool]) -> Config:
        """Return the configuration of those mirrors alone that are *wanted*, no longer whole if there are others."""
        mirrors = tuple(mirror for mirror in self.mirrors if wanted(mirror))
        return replace(self, mirrors=mirrors, whole=self.whole and len(mirrors) == len(self.mirrors))
