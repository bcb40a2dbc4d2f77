"""Define the images that the benchmarks mirror, identical in every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.support.images import OCI, Image, artifact, image, index, layer, push, to_json

_KIB, _MIB = 1 << 10, 1 << 20
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The repositories of one scenario with their tags and images."""

    name: str
    title: str
    repositories: tuple[str, ...]
    contents: Callable[[str], Sequence[tuple[str, Image]]]
    referrers: bool = False

    def push(self, host: str) -> None:
        """Push every image to the registry at *host*."""

        def fill(repository: str) -> None:
            for tag, content in self.contents(repository):
                push(host, repository, tag, content)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fill, self.repositories))


def small(repositories: int = 200, tags: int = 5) -> Corpus:
    """
    Return many small images, as charts and tools have.

    Each repository has one base layer; each tag adds a layer and a config.
    """

    def contents(repository: str) -> list[tuple[str, Image]]:
        base = layer(("small", repository), 10 * _KIB)
        return [(f"v{tag}", image((repository, tag), layers=1, shared=base, layer_bytes=4 * _KIB)) for tag in range(tags)]

    counts = f"{_count(repositories, 'repository', 'repositories')} with {_count(tags, 'tag', 'tags')}{' each' if repositories > 1 else ''}"
    title = f"{_count(repositories * tags, 'small image', 'small images')}: {counts}, layers of 10 and 4 KiB"
    return Corpus(f"small-{repositories * tags}", title, _named("s", repositories), contents)


def shared(repositories: int = 40) -> Corpus:
    """Return images that share a base, as one team's images do."""
    base = [("base", number) for number in range(5)]

    def contents(repository: str) -> list[tuple[str, Image]]:
        own = [layer((repository, number), _MIB) for number in range(2)]
        return [("v1", image(repository, contents=[*(layer(seed, 20 * _MIB) for seed in base), *own]))]

    title = f"{repositories} images that share a base of 5 × 20 MiB, each with 2 own layers of 1 MiB"
    return Corpus(f"shared-{repositories}", title, _named("b", repositories), contents)


def large(images: int = 6, layer_mib: int = 256) -> Corpus:
    """Return a few images with one large layer, as in machine learning."""

    def contents(repository: str) -> list[tuple[str, Image]]:
        return [("v1", image(repository, contents=[layer(("large", repository), layer_mib * _MIB)]))]

    return Corpus(f"large-{images}x{layer_mib}", f"{images} images with one layer of {layer_mib} MiB", _named("l", images), contents)


def multi(repositories: int = 10) -> Corpus:
    """
    Return indexes of four platforms with signatures.

    Each has a referrer that its fallback tag lists and an artifact under a cosign tag.
    """

    def contents(repository: str) -> list[tuple[str, Image]]:
        children = [image(repository, layers=3, layer_bytes=2 * _MIB, platform=platform) for platform in _PLATFORMS]
        root = index(children=children)
        tag = root.digest.replace(":", "-")
        return [("v1", root), (f"{tag}.sig", artifact(("cosign", repository))), (tag, _fallback(artifact(("sbom", repository), subject=root)))]

    title = f"{repositories} indexes of 4 platforms with 3 layers of 2 MiB each, a referrer and a cosign tag"
    return Corpus(f"multi-{repositories}", title, _named("i", repositories), contents, referrers=True)


def _fallback(referrer: Image) -> Image:
    entry = {"mediaType": referrer.media_type, "digest": referrer.digest, "size": len(referrer.raw), "artifactType": "application/vnd.example.sbom.v1+json"}
    return Image(to_json({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [entry]}), OCI["index"], children=(referrer,))


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"


def _named(letter: str, count: int) -> tuple[str, ...]:
    # The last path segment is unique, because some peers keep only that one.
    return tuple(f"bench/{letter}{number:03}" for number in range(count))
