"""Headless Chromium for tests that look at pages. They are marked `browser`, and skip where it is not installed."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator["WebDriver"]:
    """A headless Chromium that logs its console and every request."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no chromium and chromedriver on the PATH (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    quiet = "--disable-background-networking --disable-component-update --disable-sync --no-first-run --disable-quic"
    for argument in f"--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage {quiet}".split():
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    session.get("about:blank")  # in place of the page for new tabs, which asks for a hundred files of its own
    yield session
    session.quit()
