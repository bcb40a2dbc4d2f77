"""
A small process that writes to a registry while it holds the lease.

Arguments: the name of the replica, HOST:PORT of the registry. It prints what it does, a line each, and releases the lease at SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys

from imgsync.__main__ import _patch_sockets

_patch_sockets()


def main(name: str, registry: str) -> None:
    from imgsync.concurrency.greenlets import pause
    from imgsync.concurrency.signals import handle_signals
    from imgsync.concurrency.stop import Stop
    from imgsync.errors import ImgsyncError
    from imgsync.oci.endpoint import Credentials, DeclaredCredentials, Endpoint
    from imgsync.oci.limits.rate_limit import RateLimit
    from imgsync.oci.limits.retry import RetryPolicy
    from imgsync.oci.registry import RegistryClient
    from imgsync.oci.spec.manifest import parse_manifest
    from imgsync.oci.spec.reference import Repository
    from imgsync.oci.transport import Transport
    from imgsync.serve.lease.open import open_lease

    class Log:
        def info(self, event: str, **fields: object) -> None:
            sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")

        debug = warning = error = info

    raw = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}).encode()
    log = Log()
    keeper = open_lease("imgsync", environ=os.environ, log=log)
    ends: list[bool] = []
    handle_signals(lambda: ends.append(True), lambda: os._exit(130))
    keeper.start()
    while not ends:
        if not keeper.is_held:
            pause(0.01)
            continue
        stop = Stop()
        try:
            stop.fence = keeper.make_fence()
            endpoint = Endpoint(
                registry, "destination", lambda _: None, DeclaredCredentials(Credentials("", "")), plain_http=True, check_write=stop.check_write
            )
            transport = Transport(endpoint, RateLimit(registry, None), on_warning=lambda _: None)
            client = RegistryClient(transport, RetryPolicy(attempts=1, request_seconds=5.0))
            while not ends:
                client.push_manifest(Repository(registry, name).with_tag("moving"), parse_manifest(raw))
                pause(0.005)
        except ImgsyncError as error:
            log.info("ended", error=error.message)
            pause(0.01)
        finally:
            transport.close()
    keeper.release()


main(*sys.argv[1:])
