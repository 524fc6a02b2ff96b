"""Chromium for the tests, and what they ask it."""

import base64
import json
import shutil
import time
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def start():
    """Start Chromium."""
    if not (CHROMIUM and DRIVER):
        pytest.fail("no Chromium: install it, on Debian: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in [*OPTIONS, "--window-size=1280,900"]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return found


def requests(driver):
    """Addresses asked for since the log was read last; none may have failed."""
    asked = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        assert message["method"] != "Network.loadingFailed", message
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"])
    return {url for url in asked if not url.startswith("data:")}


def printed(driver, *, attempts=3):
    """Print the page that is open, on A4; returns the PDF.

    The driver waits 10 seconds, which a busy machine may exceed, and cannot be told otherwise.
    """
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.common.print_page_options import PrintOptions

    options = PrintOptions()
    options.page_width, options.page_height, options.background = 21.0, 29.7, True
    while True:
        try:
            return base64.b64decode(driver.print_page(options))
        except TimeoutException:
            attempts -= 1
            if not attempts:
                raise


def barred(driver, script):
    """Say what bars readers from the page that is open, by axe-core (the path of its script)."""
    driver.set_script_timeout(300)
    driver.execute_script(Path(script).read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run().then(done, (error) => done(String(error)));"
    )
    assert len(found["passes"]) > 5
    return [
        f"{v['id']} ({v['impact']}): {v['help']}: {[n['target'] for n in v['nodes'][:3]]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
