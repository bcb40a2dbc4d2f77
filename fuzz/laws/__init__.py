"""
Define one law for each group of parsers.

For any input, a parser must return a value with the properties checked here, or raise an error of `imgsync.errors`. Any other exception breaks the law.

`LAWS` lists the laws. A law takes bytes, returns nothing, and raises if it is broken. The test suite checks each law with the corpus and with inputs
that hypothesis derives from it (tests/test_fuzz_laws.py). `python -m fuzz.run` searches with coverage guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from fuzz.laws.archives import archives
from fuzz.laws.bundles import bundles
from fuzz.laws.credentials import logins
from fuzz.laws.discovery import discoveries
from fuzz.laws.events import events
from fuzz.laws.files import conversions, layouts, locks, settings
from fuzz.laws.fleet import messages
from fuzz.laws.http import answers, exchanges, headers
from fuzz.laws.http2 import connections, header_blocks
from fuzz.laws.inventories import inventories
from fuzz.laws.leases import leases
from fuzz.laws.nodes import nodes
from fuzz.laws.registries import blobs, listings, manifests
from fuzz.laws.rendering import documents
from fuzz.laws.state import databases, states
from fuzz.laws.texts import durations, references, versions

Law = Callable[[bytes], None]

LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.__name__: law
        for law in (
            references,
            headers,
            exchanges,
            listings,
            blobs,
            manifests,
            logins,
            states,
            databases,
            documents,
            messages,
            leases,
            settings,
            discoveries,
            conversions,
            nodes,
            layouts,
            archives,
            bundles,
            inventories,
            locks,
            durations,
            answers,
            connections,
            header_blocks,
            events,
            versions,
        )
    }
)
