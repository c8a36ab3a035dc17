"""The page as a person meets it, in headless Chromium. Nothing may reach the network: the first test proves that the page does not try."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser


def requests(browser: "WebDriver") -> list[str]:
    """Everything the browser asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def resize(browser: "WebDriver", width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: "WebDriver", scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def css(browser: "WebDriver", selector: str) -> list["WebElement"]:
    return browser.find_elements("css selector", selector)


def shown(browser: "WebDriver") -> int:
    """Rejects on the page, by layout."""
    return browser.execute_script(
        "return [...document.querySelectorAll('ul.rejects > li')].filter(e => e.offsetHeight).length"
    )


@pytest.fixture
def opened(chromium: "WebDriver", report_file: Path) -> "WebDriver":
    for kind in ("performance", "browser"):
        chromium.get_log(kind)
    resize(chromium, 1400)
    prefer(chromium, "light")
    chromium.get(f"file://{report_file}")
    return chromium


def test_it_loads_in_silence_and_asks_for_nothing(opened: "WebDriver") -> None:
    assert opened.get_log("browser") == []
    assert [url for url in requests(opened) if not url.startswith("data:")] == [opened.current_url]


def test_a_hostile_document_is_only_text(opened: "WebDriver", hostile: str) -> None:
    texts = opened.execute_script(
        "return [...document.querySelectorAll('ul.rejects pre')].map(e => e.textContent.trim())"
    )
    assert hostile in texts
    assert opened.title == "quickstart · tokenloom report"
    assert css(opened, "img") == []


def test_what_slips_through_the_escaping_can_do_nothing(
    chromium: "WebDriver", report_file: Path, tmp_path: Path, hostile: str
) -> None:
    page = report_file.read_text()
    attacked = tmp_path / "attacked.html"
    attacked.write_text(page.replace("<footer>", f"{hostile}<footer onclick=\"document.title='owned'\">"))
    chromium.get(f"file://{attacked}")
    css(chromium, "footer")[0].click()
    assert css(chromium, "img") != []
    assert chromium.title == "quickstart · tokenloom report"
    refused = [entry["message"] for entry in chromium.get_log("browser")]
    assert any("evil.example" in message and "Content Security Policy" in message for message in refused)


def test_rejects_are_filtered_and_searched(opened: "WebDriver") -> None:
    from selenium.webdriver.support.ui import Select

    everything = shown(opened)
    Select(css(opened, "select[name=corpus]")[0]).select_by_visible_text("web")
    Select(css(opened, "select[name=reason]")[0]).select_by_visible_text("near_duplicate")
    assert shown(opened) == 6
    Select(css(opened, "select[name=reason]")[0]).select_by_visible_text("all")
    search = css(opened, "input[name=search]")[0]
    search.send_keys("EVIL.example")
    assert shown(opened) == 1
    assert css(opened, ".filters output")[0].text == f"1 of {everything} shown"
    css(opened, "ul.rejects > li:not([hidden]) summary")[0].click()
    assert css(opened, "ul.rejects > li:not([hidden]) pre")[0].is_displayed()
    search.send_keys(" nowhere")
    assert shown(opened) == 0


def test_drop_reasons_open(opened: "WebDriver") -> None:
    details = css(opened, ".funnel details")[0]
    assert not details.find_element("css selector", ".reasons").is_displayed()
    details.find_element("css selector", "summary").click()
    assert details.find_element("css selector", ".reasons").is_displayed()


def plot(browser: "WebDriver", title: str) -> "WebElement":
    found = next(p for p in css(browser, ".plot") if p.get_attribute("aria-label").startswith(f"{title}:"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def test_hovering_a_chart_reads_its_values(opened: "WebDriver", full_build: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    lines = [json.loads(line) for line in (full_build / "metrics.jsonl").read_text().splitlines()]
    ActionChains(opened).move_to_element(plot(opened, "Loss")).perform()
    step, stage, loss, mtp = [line.text.split("\n") for line in css(opened, "#tip p")]
    number = int(step[0].removeprefix("step "))
    assert stage == [lines[number]["stage"]]
    assert float(loss[1]) == pytest.approx(lines[number]["loss"], rel=1e-3)
    assert float(mtp[1]) == pytest.approx(lines[number]["mtp_loss"], rel=1e-3)


def test_arrow_keys_read_a_chart(opened: "WebDriver") -> None:
    from selenium.webdriver.common.keys import Keys

    chart = plot(opened, "Loss")
    for key, step in (
        (Keys.ARROW_RIGHT, 0),
        (Keys.ARROW_RIGHT, 1),
        (Keys.END, 289),
        (Keys.ARROW_LEFT, 288),
        (Keys.HOME, 0),
    ):
        chart.send_keys(key)
        assert css(opened, "#tip p")[0].text == f"step {step}"
    chart.send_keys(Keys.ESCAPE)
    assert not css(opened, "#tip")[0].is_displayed()


def test_hovering_a_bar_names_the_bucket(opened: "WebDriver") -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    bar = css(opened, ".stack rect")[0]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", bar)
    ActionChains(opened).move_to_element(bar).perform()
    assert css(opened, "#tip")[0].text == bar.get_attribute("aria-label")
    assert "tokens planned" in css(opened, "#tip")[0].text


@pytest.mark.parametrize("width", [400, 768, 1400])
def test_the_page_never_scrolls_sideways(opened: "WebDriver", width: int) -> None:
    resize(opened, width)
    assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert opened.execute_script("return innerWidth") == width


@pytest.mark.parametrize("width", [800, 1400])
@pytest.mark.parametrize("label", ["All corpora", "web: after every step", "Packing by row length"])
def test_the_main_tables_fit(opened: "WebDriver", label: str, width: int) -> None:
    resize(opened, width)
    region = css(opened, f"[aria-label='{label}']")[0]
    assert opened.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", region)


def contrast(browser: "WebDriver", selector: str) -> float:
    """Contrast of an element's text with the page (WCAG 2.2, 1.4.3)."""
    script = (
        "const s = getComputedStyle(arguments[0]); return [s.color, getComputedStyle(document.body).backgroundColor]"
    )
    colours: list[Any] = browser.execute_script(script, css(browser, selector)[0])

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted(luminance(colour) for colour in colours)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(opened: "WebDriver", scheme: str) -> None:
    prefer(opened, scheme)
    assert opened.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    for selector in ("h2", ".lead", ".unit", ".warn", "nav a", ".y span"):
        assert contrast(opened, selector) >= 4.5, selector


def test_every_drawing_has_a_name(opened: "WebDriver") -> None:
    names = opened.execute_script(
        "return [...document.querySelectorAll('svg[role=img]')].map(s => s.getAttribute('aria-label'))"
    )
    assert len(names) > 30
    assert all(names)
