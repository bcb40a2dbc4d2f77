"""What is mirrored: known images, the same at each run, pushed to a registry once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.images import OCI, Image, artifact, image, index, layer, push, to_json

_KIB, _MIB = 1 << 10, 1 << 20
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Repositories by path, and what each holds: tags and their images."""

    name: str
    title: str
    repositories: tuple[str, ...]
    contents: Callable[[str], Sequence[tuple[str, Image]]]
    referrers: bool = False

    def push(self, host: str) -> None:
        """Push all of it to the registry at *host*."""

        def fill(repository: str) -> None:
            for tag, content in self.contents(repository):
                push(host, repository, tag, content)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fill, self.repositories))


def small(repositories: int = 200, tags: int = 5) -> Corpus:
    """Many small images, as of many charts and tools: a base for each repository, a layer and a config for each tag."""

    def contents(repository: str) -> list[tuple[str, Image]]:
        base = layer(("small", repository), 10 * _KIB)
        return [(f"v{tag}", image((repository, tag), layers=1, shared=base, layer_bytes=4 * _KIB)) for tag in range(tags)]

    title = f"{repositories * tags:,} small images: {repositories} repositories of {tags} tags, layers of 10 and 4 KiB"
    return Corpus(f"small-{repositories * tags}", title, _named("s", repositories), contents)


def shared(repositories: int = 40) -> Corpus:
    """Images of one team on the same base."""
    base = [("base", number) for number in range(5)]

    def contents(repository: str) -> list[tuple[str, Image]]:
        own = [layer((repository, number), _MIB) for number in range(2)]
        return [("v1", image(repository, contents=[*(layer(seed, 20 * _MIB) for seed in base), *own]))]

    title = f"{repositories} images on one base of 5 × 20 MiB, 2 own layers of 1 MiB each"
    return Corpus(f"shared-{repositories}", title, _named("b", repositories), contents)


def large(images: int = 6, layer_mib: int = 256) -> Corpus:
    """Few images of one large layer, as of machine learning."""

    def contents(repository: str) -> list[tuple[str, Image]]:
        return [("v1", image(repository, contents=[layer(("large", repository), layer_mib * _MIB)]))]

    return Corpus(f"large-{images}x{layer_mib}", f"{images} images of one layer of {layer_mib} MiB", _named("l", images), contents)


def multi(repositories: int = 10) -> Corpus:
    """Indexes of four platforms, each with a referrer found by its fallback tag and one under a tag of cosign's."""

    def contents(repository: str) -> list[tuple[str, Image]]:
        children = [image(repository, layers=3, layer_bytes=2 * _MIB, platform=platform) for platform in _PLATFORMS]
        root = index(children=children)
        tag = root.digest.replace(":", "-")
        return [("v1", root), (f"{tag}.sig", artifact(("cosign", repository))), (tag, _fallback(artifact(("sbom", repository), subject=root)))]

    title = f"{repositories} indexes of 4 platforms, 3 layers of 2 MiB each, a referrer and a cosign tag"
    return Corpus(f"multi-{repositories}", title, _named("i", repositories), contents, referrers=True)


def _fallback(referrer: Image) -> Image:
    entry = {"mediaType": referrer.media_type, "digest": referrer.digest, "size": len(referrer.raw), "artifactType": "application/vnd.example.sbom.v1+json"}
    return Image(to_json({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [entry]}), OCI["index"], children=(referrer,))


def _named(letter: str, count: int) -> tuple[str, ...]:
    # The last part differs from repository to repository: some peers keep nothing else.
    return tuple(f"bench/{letter}{number:03}" for number in range(count))
