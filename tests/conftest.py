"""Fixtures: real registries, proxies before them, and the lab."""

from __future__ import annotations

import gc
import itertools
import json
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from hypothesis import settings

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests.support.canary import CANARY
from tests.support.effort import NIGHTLY
from tests.support.embedded import embedded_registry
from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.support.lab import Lab
from tests.support.logins import CREDENTIALS, Secure
from tests.support.long_tests import begin_with_long
from tests.support.rabbitmq import Broker, shared_broker
from tests.support.registry_process import RegistryProcess, running_registry, tls_files
from tests.support.run_imgsync import Result, Workplace
from tests.support.token_server import TokenServer

# The suite is to be quick; who has time looks further: HYPOTHESIS_PROFILE=thorough.
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "thorough" if NIGHTLY else "quick"))

_REGISTRIES = {"lab", "registry", "second_registry", "keeping_registry", "password_registry", "token_registry", "tls_registry"}
_numbers = itertools.count(1)
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 << 30


def pytest_configure() -> None:
    """Use /dev/shm for temporary files, which is faster."""
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return
    system = os.statvfs(_MEMORY)
    if system.f_bavail * system.f_frsize >= _MEMORY_BYTES and not system.f_flag & os.ST_NOEXEC:
        # pytest has asked already, and remembers.
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores: some tests wait."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that use a registry; leave long ones to the night."""
    for item in items:
        if _REGISTRIES & set(getattr(item, "fixturenames", ())):
            item.add_marker("registry")
    if NIGHTLY:
        for item in items:
            looks_further = item.get_closest_marker("nightly") or item.get_closest_marker("only_nightly")
            if looks_further and not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(2 * 3600))
        return
    late = [item for item in items if item.get_closest_marker("only_nightly")]
    config.hook.pytest_deselected(items=late)
    items[:] = begin_with_long([item for item in items if item not in set(late)], workers=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_collectstart() -> None:
    """Make no search for garbage while thousands of tests are made."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was collected out of each later search for garbage."""
    gc.enable()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_credential_shows() -> Iterator[None]:
    """Fail every test that printed, stored or sent a credential."""
    yield
    assert CANARY.leaks() == []


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The source registry, over plain http, without logins."""
    with running_registry(tmp_path_factory.mktemp("source")) as running:
        yield running


@pytest.fixture(scope="session")
def second_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The destination registry."""
    with running_registry(tmp_path_factory.mktemp("destination")) as running:
        yield running


@pytest.fixture(scope="session")
def keeping_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry that refuses deletions, the default of docker-registry."""
    with running_registry(tmp_path_factory.mktemp("keeping"), deletes=False) as running:
        yield running


@pytest.fixture(scope="session")
def password_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry that requires `registry_process.LOGIN`."""
    with running_registry(tmp_path_factory.mktemp("password"), htpasswd=True) as running:
        yield running


@pytest.fixture(scope="session")
def _token_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with TokenServer(tmp_path_factory.mktemp("tokens")).running() as running:
        yield running


@pytest.fixture
def token_server(_token_server: TokenServer) -> TokenServer:
    """The token server of `token_registry`, reset."""
    _token_server.reset()
    return _token_server


@pytest.fixture(scope="session")
def token_registry(tmp_path_factory: pytest.TempPathFactory, _token_server: TokenServer) -> Iterator[RegistryProcess]:
    """A registry that requires bearer tokens of `token_server`."""
    with running_registry(tmp_path_factory.mktemp("token-registry"), token=_token_server.auth) as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that is not trusted by default."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[RegistryProcess]:
    """A registry over TLS with a certificate of `authority`."""
    folder = tmp_path_factory.mktemp("tls-registry")
    with running_registry(folder, tls=tls_files(folder, authority)) as running:
        yield running


@pytest.fixture(scope="session")
def _knowing_registry() -> Iterator[str]:
    with embedded_registry() as host:
        yield host


@pytest.fixture
def knowing(_knowing_registry: str) -> Iterator[FaultProxy]:
    """A proxy before a registry that has the referrers API."""
    with FaultProxy(_knowing_registry) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this session, which all its workers share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def broker(shared_folder: Path) -> Iterator[Broker]:
    """The RabbitMQ of this session, which all its workers share."""
    with shared_broker(shared_folder / "rabbitmq") as running:
        yield running


@pytest.fixture
def source(registry: RegistryProcess) -> Iterator[FaultProxy]:
    """A proxy before the source: records requests, injects faults."""
    with FaultProxy(registry) as proxy:
        yield proxy


@pytest.fixture
def destination(second_registry: RegistryProcess) -> Iterator[FaultProxy]:
    """A proxy before the destination: records requests, injects faults."""
    with FaultProxy(second_registry) as proxy:
        yield proxy


@pytest.fixture
def other_host(registry: RegistryProcess) -> Iterator[FaultProxy]:
    """A proxy at 127.0.0.2 that must never get a credential."""
    with FaultProxy(registry, address="127.0.0.2") as proxy:
        yield proxy


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """An empty folder to run imgsync in."""
    return Workplace(tmp_path)


@pytest.fixture
def lab(request: pytest.FixtureRequest, workplace: Workplace) -> Lab:
    """Two registries, a proxy before each, and a folder for imgsync."""
    return Lab(f"t{next(_numbers)}", workplace, request)


@pytest.fixture
def imgsync(workplace: Workplace) -> Callable[..., Result]:
    """Run imgsync to its end; a traceback fails the test."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, **options: object) -> Result:
        result = workplace.run(*arguments, env=env, **options)  # type: ignore[arg-type]
        assert "Traceback" not in result.stderr, result.stderr
        return result

    return run


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Secure]:
    """Return a function that puts a TLS proxy before a registry."""
    with ExitStack() as ends:

        def before(registry: RegistryProcess | None) -> FaultProxy:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            return ends.enter_context(FaultProxy(registry, tls=context))

        yield before


@pytest.fixture
def declare_login(lab: Lab, authority: trustme.CA) -> Callable[..., None]:
    """Return a function that declares a mirror of NAME/app with a login."""
    ca = lab.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))

    def declare(*, of: FaultProxy | None = None, to: FaultProxy | None = None, at: str = "source", attempts: int = 1, **settings: object) -> None:
        ends = {"source": of or lab.source, "destination": to or lab.destination}
        trusted = {end.host: {"tls": {"ca": str(ca)} if end.url.startswith("https:") else False} for end in ends.values()}
        trusted[ends[at].host] |= {"credentials": CREDENTIALS, **settings}
        lab.workplace.registries_file(json.dumps({"version": 1, "registries": trusted}))
        retry = {"attempts": attempts, "interval": "0s"}
        lab.workplace.mirror("a", source=f"{ends['source']}/{lab.name}/app", destinations=[f"{ends['destination']}/m"], retry=retry)

    return declare


@pytest.fixture
def origin(lab: Lab) -> Callable[..., None]:
    """Push tags 1 and 2; return a function to declare their mirror."""
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    for tag in "12":
        lab.push("app", tag, image((lab.name, tag)))

    def declare_mirror(**settings: object) -> None:
        lab.workplace.mirror("a", source=f"{lab.source}/{lab.name}/app", destinations=[f"{lab.destination}/m"], retry={"attempts": 1}, **settings)

    declare_mirror()
    return declare_mirror


@pytest.fixture
def state(workplace):
    """Return a function that opens the state; a warning fails."""
    folder = str(workplace.folder / ".imgsync" / "state")
    return lambda: open_state(folder, thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail)
