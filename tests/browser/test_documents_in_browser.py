"""The documents as a site, in a real Chromium: run by `make test-browser`."""

import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT
from in_browser import barred, requests

pytestmark = pytest.mark.browser

PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
PAGES += ["configuration", "index"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # strict: a link that leads nowhere, or a page that is in no menu, is an error
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "not included in the" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served; from disk its search does not work."""
    handler = partial(Silent, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Silent(SimpleHTTPRequestHandler):
    """A server that does not tell what it is asked for."""

    def log_message(self, *_):
        pass


def test_every_page_is_built(site):
    assert {path.stem for path in site.glob("*.html")} == {*PAGES, "404"}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_needs_nothing_from_elsewhere(browser, address, name, width):
    browser.get_log("browser"), browser.get_log("performance")
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(f"{address}/{name}.html")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        pictures = "return [...document.images].every((i) => i.complete && i.naturalWidth > 0)"
        assert browser.execute_script(pictures)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert all(url.startswith(address) for url in requests(browser))


def test_equations_are_drawn(browser, site):
    browser.get((site / "science.html").as_uri())
    text = (ROOT / "docs/science.md").read_text()
    drawn = browser.find_elements("css selector", "math[display=block]")
    assert len(drawn) == text.count("$$") // 2
    # fractions are higher than a line of text, and nothing of LaTeX is left
    assert max(equation.size["height"] for equation in drawn) > 35
    said = browser.find_element("css selector", "body").text
    assert "$" not in said
    assert "\\" not in said
    assert "EQUATION" not in said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_bars_a_reader_of_the_documents(browser, site, name, scheme):
    script = os.environ.get("TEMDENOISE_AXE")
    if not script:
        pytest.skip("TEMDENOISE_AXE is unset: `make test-browser` fetches axe-core and sets it")
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        browser.get((site / f"{name}.html").as_uri())
        background = "return getComputedStyle(document.body).backgroundColor"
        assert (browser.execute_script(background) == "rgb(255, 255, 255)") == (scheme == "light")
        assert barred(browser, script) == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
