"""The report in a real browser: drawn, readable, on paper and on telephones, and silent."""

import shutil
from pathlib import Path

import pytest

from speedlimits import report
from tests.browser import browser, opened
from tests.recordings import steady
from tests.report.members import CONFIG, RUNS, SUMMARY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """A run, a recording and a run with noise, as addresses."""
    from speedlimits.report.pages.noisy import write_noisy_page
    from speedlimits.report.pages.page import write_page
    from speedlimits.runs import NoisyConfig
    from speedlimits.training.noisy import train_noisy

    folder = tmp_path_factory.mktemp("pages")
    write_page(folder / "run.html", SUMMARY, {"python": "3"}, vars(CONFIG), RUNS)
    shutil.move(report.write(steady(), folder / "x"), folder / "recording.html")
    noisy = NoisyConfig(samples=6, width=2, members=400, time=0.2, records=5, strengths=3, anneal_steps=2, step=0.01)
    write_noisy_page(folder / "noisy.html", train_noisy(noisy, folder / "noisy").summary)
    return {name: (folder / f"{name}.html").as_uri() for name in ("run", "recording", "noisy")}


KINDS = ("run", "recording", "noisy")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (390, "light")])
def test_every_chart_is_drawn_and_accessible(chromium, pages, kind, width, scheme):
    """Wide, narrow and dark: nothing is wider than the window, and axe finds no violation."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with opened(chromium, pages[kind], width=width, scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("[...document.querySelectorAll('.plot svg')].every(x => x.clientWidth < innerWidth)")
        # Its tables of data, too.
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_charts_follow_the_colours_of_the_page(chromium, pages):
    """Dark paper has light letters, and curves change with the reader's choice while the page is open."""
    colour = "getComputedStyle(document.querySelector('#loss .xtitle')).fill"
    with opened(chromium, pages["run"]) as page:
        light = page.evaluate(colour)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"{colour} != '{light}'")
        assert (light, page.evaluate(colour)) == ("rgb(28, 35, 48)", "rgb(230, 234, 240)")


def test_paper_has_every_chart_whole(chromium, pages, tmp_path):
    """Printed from a dark window: light, two charts beside each other in their cards, three dimensions as a still."""
    with opened(chromium, pages["run"], scheme="dark") as page:
        page.wait_for_selector(".still[src]", state="attached")
        page.evaluate(
            """() => addEventListener("beforeprint", () => {
                window.printed = [...document.querySelectorAll(".plot")].map(plot => plot._fullLayout.width);
                window.ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
            })"""
        )
        page.pdf(path=tmp_path / "run.pdf", format="A4")
        assert page.evaluate("window.printed")[:3] == [318, 318, 318]
        assert page.evaluate("window.ink") == "#1c2330"
        assert (tmp_path / "run.pdf").stat().st_size > 20_000
        # Afterwards the window is as it was.
        assert page.evaluate("'paper' in document.documentElement.dataset") is False
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.querySelector('.still')).display") == "block"
        assert page.evaluate("getComputedStyle(document.querySelector('.space .plot')).display") == "none"


def test_charts_are_saved(chromium, pages):
    """Each chart gives its points as CSV and its picture as PNG."""
    with opened(chromium, pages["run"]) as page:
        got = {}
        for kind in ("csv", "png"):
            with page.expect_download() as waiting:
                page.click(f"figure:has(#inefficiencies) [data-save={kind}]")
            got[kind] = Path(waiting.value.path()).read_bytes()
            assert waiting.value.suggested_filename == f"inefficiencies.{kind}"
    header, first, *_ = got["csv"].decode().splitlines()
    assert header == "curve,x,y,lower,upper"
    assert first.startswith("T/T_SL,0.001,1")
    assert got["png"].startswith(b"\x89PNG")


def test_words_are_explained(chromium, pages):
    """Each word that is underlined says on hover what the glossary says, and leads there."""
    for kind in KINDS:
        with opened(chromium, pages[kind]) as page:
            found = page.evaluate(
                """() => [...document.querySelectorAll("a.term, a.badge")].map(each =>
                    [each.title, document.querySelector(each.getAttribute("href"))?.nextElementSibling?.textContent])"""
            )
            assert len(found) >= 5
            for title, meaning in found:
                assert title.replace("T_SL", "TSL") == meaning
