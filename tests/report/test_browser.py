"""The page as a person sees it, in a headless Chromium."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.page import make_page
from tests.support.web_view import CHROMIUM, DRIVER, MISSING

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]

PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def address(built: Path, describe: Callable[..., ReportedBuild], tmp_path_factory: pytest.TempPathFactory) -> str:
    page = tmp_path_factory.mktemp("page") / "report.html"
    page.write_bytes(make_page(describe(built), "/source"))
    return page.as_uri()


def open_page(browser: Any, address: str, *, scheme: str = "light", size: tuple[int, int] = DESK) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get(address)


def luminance(colour: str) -> float:
    """Return how light a colour is, from 0 to 1; see WCAG 2.2, relative luminance."""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_page_opens_without_an_error_and_without_a_request(
    browser: Any, address: str, scheme: str, size: tuple[int, int]
) -> None:
    open_page(browser, address, scheme=scheme, size=size)
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [it["params"]["request"]["url"] for it in messages if it["method"] == "Network.requestWillBeSent"]
    assert [url for url in requests if not url.startswith("data:")] == [address]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_bars_stand_out_from_the_page(browser: Any, address: str, scheme: str) -> None:
    open_page(browser, address, scheme=scheme)

    def style(selector: str, name: str) -> str:
        element = browser.find_element(By.CSS_SELECTOR, selector)
        return str(browser.execute_script("return getComputedStyle(arguments[0])[arguments[1]]", element, name))

    page = style("body", "backgroundColor")
    assert (luminance(page) > 0.5) == (scheme == "light")
    for selector in ("h1", "p.quiet", "figcaption", "nav a"):
        assert contrast(style(selector, "color"), page) >= 4.5, selector
    assert contrast(style("#classes ~ figure svg text", "fill"), page) >= 4.5
    assert contrast(style("#shards ~ figure svg path[style*='--series']", "fill"), page) >= 3


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_page_is_no_wider_than_the_window(browser: Any, address: str, size: tuple[int, int]) -> None:
    open_page(browser, address, size=size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]


def test_each_sample_is_shown_and_its_boxes_lie_in_it(browser: Any, address: str) -> None:
    open_page(browser, address)
    pictures = browser.find_elements(By.CSS_SELECTOR, ".picture")
    assert len(pictures) == 36
    boxes = 0
    for picture in pictures:
        image = picture.find_element(By.TAG_NAME, "img")
        assert browser.execute_script("return arguments[0].naturalWidth", image) > 0
        outer = image.rect
        shape = browser.execute_script("return arguments[0].naturalWidth / arguments[0].naturalHeight", image)
        assert outer["width"] / outer["height"] == pytest.approx(shape, rel=0.03)
        for box in picture.find_elements(By.CSS_SELECTOR, ".box"):
            inner = box.rect
            boxes += 1
            assert inner["x"] >= outer["x"] - 1
            assert inner["y"] >= outer["y"] - 1
            assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 5
            assert inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 5
    assert boxes > 10
