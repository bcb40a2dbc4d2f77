"""The choice between listing APIs, without a registry."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from imgsync.errors import UnreachableError
from imgsync.listing import lister as module
from imgsync.listing.lister import Lister, find_kind_by_host
from imgsync.listing.model import ListedTag, ListedTags, TagListing


@pytest.mark.parametrize(
    ("registry", "kind"),
    [
        ("docker.io", "dockerhub"),
        ("quay.io", "quay"),
        ("ghcr.io", "ghcr"),
        ("registry.gitlab.com", "gitlab"),
        ("registry.k8s.io", "gcr"),
        ("eu.gcr.io", "gcr"),
        ("europe-docker.pkg.dev", "gcr"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "ecr"),
        ("dkr.ecr.eu-west-1.amazonaws.com", None),
        ("evil-gcr.io", None),
        ("registry.internal:5000", None),
    ],
)
def test_known_hosts_have_a_known_api(registry, kind):
    """By the whole host or a suffix with its dot."""
    assert find_kind_by_host(registry) == kind


@pytest.mark.parametrize("kind", ["auto", "dockerhub"])
def test_unreachable_api_falls_back_unless_declared(kind, monkeypatch):
    """`auto` continues with tags/list and a warning; a declared API is an error."""
    asked = []

    class Broken:
        def tags(self, path):
            asked.append(path)
            raise UnreachableError("list tags of", path, origin="source", detail="cannot connect")

    monkeypatch.setattr(module, "list_tags", lambda client, path: TagListing(ListedTags([ListedTag("1")])))
    monkeypatch.setattr(Lister, "_make_api", lambda self, kind: Broken())
    lister = Lister(SimpleNamespace(registry="docker.io", origin="source"), kind, lambda url: None)

    if kind == "dockerhub":
        with pytest.raises(UnreachableError):
            lister.tags("library/nginx")
        return
    assert "without digests: list tags of library/nginx (source): cannot connect" in lister.tags("library/nginx").warnings[0]
    assert lister.tags("library/redis").warnings == ()
    assert asked == ["library/nginx"]
