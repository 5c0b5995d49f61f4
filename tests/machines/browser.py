"""A headless Chromium for tests of pages, or a reason to skip."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# Without a graphics card WebGL is computed; Chromium wants to be asked for that.
_WEBGL = [
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


@dataclass
class Watched:
    """A page, and what went wrong on it: console errors, exceptions, requests to a network."""

    page: Any  # Playwright's
    wrong: list[str] = field(default_factory=list)

    def check(self) -> None:
        assert self.wrong == []


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="pages need playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    driver = [sys.executable, "-m", "playwright", "--version"]
    errors = subprocess.run(driver, capture_output=True, text=True, check=False).stderr
    if "error while loading shared libraries" in errors:
        pytest.skip(
            f"playwright does not start (apt-get install libatomic1): {errors.strip()}"
        )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*_WEBGL, "--no-sandbox"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, **options: Any) -> Iterator[Watched]:
    """Open a file as a double click does, with all that it prints and asks for recorded."""
    context = browser.new_context(**options)
    watched = Watched(context.new_page())

    def note(what: str, bad: bool = True) -> None:
        watched.wrong.extend([what] if bad else [])

    watched.page.on("pageerror", lambda error: note(str(error)))
    watched.page.on(
        "console",
        lambda message: note(message.text, message.type in ("error", "warning")),
    )
    local = ("file:", "data:", "blob:")
    watched.page.on(
        "request", lambda request: note(request.url, not request.url.startswith(local))
    )
    watched.page.goto(path.as_uri(), timeout=90_000)
    yield watched
    context.close()
