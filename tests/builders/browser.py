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
_WEBGL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Any  # Playwright's
    errors: list[str] = field(default_factory=list)  # console errors, uncaught exceptions
    requests: list[str] = field(default_factory=list)  # that left the machine's files

    def check(self) -> None:
        assert self.errors == []
        assert self.requests == []


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser; the test is skipped where there is none."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="pages are tested with playwright (pip install playwright)"
    )
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    driver = [sys.executable, "-m", "playwright", "--version"]
    said = subprocess.run(driver, capture_output=True, text=True, check=False).stderr
    if "error while loading shared libraries" in said:
        pytest.skip(f"playwright does not start (apt-get install libatomic1): {said.strip()}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_WEBGL, "--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, **options: Any) -> Iterator[Watched]:
    """Open a file as a double click does, with all that it prints and asks for recorded."""
    context = browser.new_context(**options)
    watched = Watched(context.new_page())
    page = watched.page
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            watched.errors.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            watched.requests.append(request.url)
            if not request.url.startswith(("file:", "data:", "blob:"))
            else None
        ),
    )
    page.goto(path.as_uri(), timeout=90_000)
    yield watched
    context.close()
