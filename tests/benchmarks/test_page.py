"""The page leads with TLS and the defaults, and says what was unfair."""

from __future__ import annotations

import re

from benchmarks.page import page
from tests.benchmarks.figures import document, result, work


def _three(**figures):
    return (result("imgsync", 2.0, **figures), result("imgsync (defaults)", 3.0), result("crane", 4.0))


def _page(**works):
    return "\n".join(page(document(**works)))


def test_page_leads_with_tls_and_defaults():
    """Loopback without TLS is not what users have."""
    text = _page(small=work(*_three(), title="plain work"), small_line_tls=work(*_three(), title="TLS work"))

    assert text.index("TLS work: with its defaults, imgsync needs 3.0 s") < text.index("## TLS, a slow line") < text.index("## Goals")
    assert "| TLS work | crane | 4.00 | 3.00 | 0.75 | 2.00 | 0.50 |" in text
    assert text.index("## TLS work") < text.index("## plain work")


def test_page_of_a_plain_run_has_no_lead_table():
    """The first scenario with both settings and a peer is the headline."""
    text = _page(single=work(result("imgsync", 1.0)), small=work(*_three(), title="plain work"))

    assert "## TLS, a slow line" not in text
    assert "\nplain work: with its defaults, imgsync needs 3.0 s" in text


def test_programs_are_named_with_version_and_build():
    """Who reads the page can make the same comparison."""
    assert "| skopeo | 1.9.3 | Debian package 1.9.3, go1.19.8 with cgo |" in _page()
    assert "| docker-registry | 2.8.2 | – |" in _page()
    assert "| skopeo sync | `--all` |" in _page()


def test_page_names_the_file_system_of_the_destinations():
    """Figures of before do not say it."""
    figures = document()

    assert "The destinations' files" not in "\n".join(page(figures))
    figures["machine"]["files"] = "tmpfs"
    assert "The destinations' files are on tmpfs (memory).\n" in "\n".join(page(figures))


def test_broken_cache_is_in_table_and_text():
    """Both the row and a sentence say so."""
    text = _page(shared=work(*_three(), result("skopeo sync", 31.0, read=4280e6), unique=189e6))

    assert re.search(r"\| skopeo sync \| 31\.00 .* \| 1, no working cache \|", text)
    assert "\nskopeo sync ran without a working cache: it read 4,280 MB, and the images have 189 MB.\n" in text


def test_floors_have_a_cold_row_only():
    """They copy again in each run, so an unchanged run says nothing."""
    text = _page(large=work(*_three(), result("curl | curl, 4 at once", 1.0, unchanged=None)))

    assert text.count("| *curl \\| curl, 4 at once* |") == 1


def test_rows_of_each_table_have_as_many_fields_as_its_head():
    """A field with a `|` would move all others."""
    works = {"large": work(*_three(), result("curl | curl, 4 at once", 1.0, unchanged=None)), "small_line_tls": work(*_three(wrong=2))}
    tables = re.findall(r"(?:^\|.*\|$\n?)+", _page(**works), re.MULTILINE)

    assert len(tables) > 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_figures_of_an_earlier_benchmark_make_a_page():
    """They have no builds, tools, registries or unique bytes."""
    figures = document(small=work(*_three()))
    for name in ("builds", "tools", "registries"):
        del figures[name]
    del figures["works"]["small"]["unique_bytes"]

    assert "| skopeo | 1.9.3 | – |" in "\n".join(page(figures))


def test_headings_are_short_and_the_whole_title_follows():
    """The site lists the headings beside the page."""
    text = _page(small=work(*_three(), title="40 small images: 8 repositories; loopback") | {"short": "40 small images, loopback"})

    assert "\n## 40 small images, loopback\n\n40 small images: 8 repositories; loopback.\n" in text


def test_requests_of_http_2_are_counted():
    """Over TLS the tools of Go use it, and a table of kinds does not show it."""
    results = _three()
    results[2]["cold"][0]["http2"] = 144

    assert "best peer (crane). 0 of imgsync's requests and 144 of the peer's are HTTP/2." in _page(small_line_tls=work(*results))
    assert "HTTP/2." not in _page(small=work(*_three())).partition("## Programs")[2]


def test_exit_codes_of_failed_runs_are_shown():
    """All tags may be right although a program says that it failed."""
    results = _three()
    results[0]["cold"][0]["code"] = 70

    assert re.search(r"\| \*\*imgsync\*\* \| 2\.00 .* \| 1, exit 70 \|", _page(small=work(*results)))
