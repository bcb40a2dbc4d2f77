"""Make listing APIs by kind; imported late."""

from __future__ import annotations

from collections.abc import Callable

from imgsync.errors import InsecureError
from imgsync.listing import dockerhub, ghcr
from imgsync.listing.catalog import Catalog
from imgsync.listing.dockerhub import DockerHub
from imgsync.listing.ecr import Ecr
from imgsync.listing.gcr import Gcr
from imgsync.listing.ghcr import Ghcr
from imgsync.listing.gitlab import GitLab
from imgsync.listing.harbor import Harbor
from imgsync.listing.json_api import ApiOpener
from imgsync.listing.model import ListingApi
from imgsync.listing.quay import Quay
from imgsync.oci.auth.aws import Aws
from imgsync.oci.auth.challenge import describe_bad_realm
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import parse_url
from imgsync.oci.registry import RegistryClient


def make_listing_api(kind: str, client: RegistryClient, open_api: ApiOpener, *, api_url: str | None) -> ListingApi:
    """Return the API of *kind*, at *api_url* if it is declared."""
    makers: dict[str, Callable[[], ListingApi]] = {
        "catalog": lambda: Catalog(client),
        "gcr": lambda: Gcr(client),
        "dockerhub": lambda: DockerHub(open_api(dockerhub.URL)),
        "quay": lambda: Quay(open_api("")),
        "harbor": lambda: Harbor(open_api("")),
        "gitlab": lambda: GitLab(open_api(api_url or _find_gitlab_url(client)), client),
        "ghcr": lambda: Ghcr(open_api(ghcr.URL), client),
        "ecr": lambda: Ecr(Aws(client.registry, client.origin, api_url)),
    }
    return makers[kind]()


def _find_gitlab_url(client: RegistryClient) -> str:
    """Return the URL of GitLab's token server and API."""
    if client.registry == "registry.gitlab.com":
        return "https://gitlab.com"
    challenge = client.transport.challenge or client.fetch_challenge()
    realm = challenge.parameters.get("realm", "") if challenge is not None else ""
    if "://" not in realm:
        return ""
    try:
        (scheme, _, _), host, _ = parse_url(realm)
        problem = describe_bad_realm(realm, allows_http=client.transport.endpoint.plain_http)
    except httpx.InvalidURL:
        problem = "is invalid"
    if problem:
        raise client.make_operation("list repositories of", client.registry).make_error(
            InsecureError,
            f"the URL of the registry's token server, which is also its API, {problem}",
            hint=f"nothing was sent there; set the API's URL: registries: {{{client.registry}: {{listing: {{kind: gitlab, url: URL}}}}}}",
        )
    return f"{scheme}://{host}"
