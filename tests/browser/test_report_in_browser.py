"""The report in a real Chromium: run by `make test-browser`.

TEMDENOISE_REPORT names the page of a real run to look at instead of a made-up one;
TEMDENOISE_AXE is the script of axe-core, which looks for what bars readers.
"""

import io
import json
import os
import re
import unicodedata
from pathlib import Path

import made_up
import pytest
from in_browser import barred, printed, requests, wait_for
from temdenoise.report.catalogue import FIGURES
from temdenoise.report.run import report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory, lattice):
    if real := os.environ.get("TEMDENOISE_REPORT"):
        return Path(real).resolve()
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    path.write_text(report(made_up.run(folder, lattice)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(page):
    """What the page says it shows, read from its source."""
    text = page.read_text(encoding="utf-8")
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


@pytest.fixture
def opened(browser, page):
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    ready = "return document.documentElement.dataset.ready"
    wait_for(lambda: browser.execute_script(ready) == "yes")
    return browser


def find(driver, selector):
    return driver.find_element("css selector", selector)


def find_all(driver, selector):
    return driver.find_elements("css selector", selector)


def press(element, *keys):
    element.send_keys("".join(keys))


def test_opens_from_disk_without_a_request_or_a_complaint(opened, page):
    said = opened.get_log("browser")
    assert said == []
    assert requests(opened) == {page.as_uri()}


def test_every_chart_is_drawn(opened, data):
    drawn = {e.get_attribute("id") for e in find_all(opened, ".chart:has(svg.marks)")}
    assert drawn == set(data["charts"])


def points(driver, chart, method=None):
    """Labels of the points of a chart, as a screen reader hears them."""
    found = find_all(driver, f"#{chart} .mark-symbol path[aria-label]")
    texts = [(point, point.get_attribute("aria-label")) for point in found]
    return [(p, t) for p, t in texts if method is None or f"Method: {method};" in t]


def test_hovering_shows_the_value_of_the_table(opened, data):
    from selenium.webdriver import ActionChains

    chart = next(name for name in data["charts"] if name.startswith("quality-"))
    values = data["charts"][chart]["data"]["values"]
    wanted = [v for v in values if v["Method"] == "Universal CNN" and v["quantity"] == "MS-SSIM"]
    value = wanted[len(wanted) // 2]
    point = next(
        p for p, text in points(opened, chart, "Universal CNN") if f"C: {value['C']:g};" in text
    )
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(opened).move_to_element(point).perform()
    shown = wait_for(lambda: find(opened, "#vg-tooltip-element.visible"))
    cells = [e.text.rstrip(":") for e in find_all(shown, "td")]
    told = dict(zip(cells[::2], cells[1::2], strict=True))
    assert told["Method"] == "Universal CNN"
    assert float(told["C"]) == value["C"]
    assert float(told["value"]) == pytest.approx(value["value"], rel=5e-5)


def test_methods_are_picked(opened, data):
    chart = next(name for name in data["charts"] if name.startswith("quality-"))
    box = find(opened, "fieldset[data-charts='#quality'] input[value='Noisy']")
    assert points(opened, chart, "Noisy")
    others = len(points(opened, chart)) - len(points(opened, chart, "Noisy"))
    press(box, " ")
    wait_for(lambda: not points(opened, chart, "Noisy"))
    assert len(points(opened, chart)) == others
    press(find(opened, "fieldset[data-charts='#quality'] input[value='Gaussian blur']"), " ")
    wait_for(lambda: points(opened, chart, "Gaussian blur"))


def test_another_quantity_is_chosen(opened, data):
    from selenium.webdriver.support.ui import Select

    chart = next(name for name in data["charts"] if name.startswith("fidelity-"))
    title = "Invented pores per nm²"
    Select(find(opened, "select[data-charts='#fidelity-charts']")).select_by_visible_text(title)
    wait_for(lambda: all(f"quantity: {title};" in text for _, text in points(opened, chart)))
    shown = {v["Method"] for v in data["charts"][chart]["data"]["values"] if v["quantity"] == title}
    assert {"Noisy", "Universal CNN"} <= shown
    assert points(opened, chart, "Universal CNN")


def test_the_slider_moves_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    figure = find(opened, ".compare")
    slider, after = find(figure, "input[type=range]"), find(figure, ".after")
    clip = "return getComputedStyle(arguments[0]).clipPath"
    assert opened.execute_script(clip, after) == "inset(0px 0px 0px 50%)"
    press(slider, Keys.ARROW_RIGHT * 3)
    assert opened.execute_script(clip, after) == "inset(0px 0px 0px 53%)"
    press(slider, Keys.HOME)
    assert opened.execute_script(clip, after) == "inset(0px 0px 0px 0%)"


def test_c_and_network_exchange_the_images(opened, data):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    figure = find(opened, ".compare[data-noise]")
    levels = data["enlarged"][figure.get_attribute("data-noise")]["levels"]
    before, after = find_all(figure, ".stack img")
    assert after.get_attribute("src") == levels[data["start"]]["cnn"]
    press(find(opened, "#level"), Keys.END)
    last = list(levels)[-1]
    assert before.get_attribute("src") == levels[last]["raw"]
    Select(find(opened, "#network")).select_by_value("universal")
    assert after.get_attribute("src") == levels[last]["universal"]
    assert f"C = {last}, Universal CNN" in find(figure, "output").text
    assert last in before.get_attribute("alt")


def test_a_structure_is_shown_when_chosen(opened, data):
    buttons = find_all(opened, ".gallery button")
    name = buttons[-1].get_attribute("value")
    press(buttons[-1], " ")
    shown = [e for e in find_all(opened, "article.structure") if e.is_displayed()]
    assert [e.get_attribute("data-structure") for e in shown] == [name]
    assert buttons[-1].get_attribute("aria-pressed") == "true"
    assert buttons[0].get_attribute("aria-pressed") == "false"
    label = "#convergence .mark-symbol path[aria-label]"
    wait_for(lambda: f"structure: {name};" in find(opened, label).get_attribute("aria-label"))


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out(browser, page, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(page.as_uri())
        wait_for(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        if width > 500:
            # what is told in words needs no scrolling
            for table in find_all(browser, ".scroll:has(> .words)"):
                assert int(table.get_property("scrollWidth")) <= table.size["width"]
        for chart in find_all(browser, ".chart svg.marks"):
            assert chart.size["width"] <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_print_has_every_figure_and_chart(opened, data, page):
    from pypdf import PdfReader

    source = page.read_text(encoding="utf-8")
    pdf = PdfReader(io.BytesIO(printed(opened)))
    text = " ".join(" ".join(page.extract_text() for page in pdf.pages).split())
    # fonts may write "ffi" as one letter
    text = unicodedata.normalize("NFKC", text)
    titles = re.findall(r"<figcaption id=\"caption-figure.*?><strong>(.*?)</strong>", source)
    assert len(titles) >= len(FIGURES) - 1  # figure 3 needs a micrograph
    for title in titles:
        assert title in text
    # one title of an axis for each chart against C
    against_c = [
        n for n in data["charts"] if n.split("-")[0] in ("quality", "fidelity", "coverage")
    ]
    assert text.count("Noise coefficient C") == len(against_c)
    assert text.count("Optimiser step") == sum(n.startswith("training-") for n in data["charts"])
    # what is folded up on the screen is there, the long table of all numbers is not
    assert "c_noise_train" in text
    assert "psnr_db" not in text
    # nor is a digest cut off, which is broken into lines where paper ends
    unbroken = "".join(text.split())
    digests = re.findall(r'class="long">([0-9a-f]{64})<', source)
    assert len(digests) > 2
    assert all(digest in unbroken for digest in digests)
    # a picture that occurs twice is stored once
    visible = [e for e in find_all(opened, "main img") if e.is_displayed()]
    shown = {e.get_attribute("src") for e in visible}
    stored = {image.indirect_reference.idnum for page in pdf.pages for image in page.images}
    assert len(stored) >= len(shown)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_nothing_bars_a_reader(browser, page, scheme, width):
    """Nor of what is folded up at first."""
    script = os.environ.get("TEMDENOISE_AXE")
    if not script:
        pytest.skip("TEMDENOISE_AXE is unset: `make test-browser` fetches axe-core and sets it")
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(page.as_uri())
        wait_for(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
        background = "return getComputedStyle(document.body).backgroundColor"
        assert (browser.execute_script(background) == "rgb(255, 255, 255)") == (scheme == "light")
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert barred(browser, script) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
