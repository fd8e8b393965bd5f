"""A browser without a window, and what it complains of, for tests of pages; without one they skip and say why."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
# Software draws what a graphics card would.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright.

    Yields:
        The browser.
    """
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


@contextlib.contextmanager
def opened(
    chromium: Any, address: str, *, width: int = 1400, scheme: str = "light", own: str = "file:"
) -> Iterator[Any]:
    """A page in a window of its own; at the end nothing in it may have failed, and nothing may have been asked for.

    Args:
        chromium: from `browser`.
        address: of the page.
        width: of the window [pixel].
        scheme: ``"light"`` or ``"dark"``.
        own: how addresses begin that the page may ask for.

    Yields:
        The page, with its charts drawn.
    """
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((own, "data:", "blob:")) else complaints.append(asked.url),
    )
    page.goto(address)
    page.wait_for_selector(".plot:not(:has(.main-svg))", state="detached")
    yield page
    context.close()
    assert not complaints
