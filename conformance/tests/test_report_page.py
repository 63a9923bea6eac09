"""The page of `nnspec report` in a real browser: network, console, keys, links, contrast."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nnspec.conformance import report, suite
from nnspec.conformance.backends import load
from nnspec.conformance.recorded import labelled, read
from nnspec.conformance.runner import run
from nnspec.conformance.summaries import write
from nnspec.conformance.verdict import Result, Verdict
from nnspec.spec.loader import spec

selenium = pytest.importorskip("selenium", reason="selenium, which drives the browser, is missing")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

FILE = Path(__file__).with_name("backends_for_tests.py")
Swapped, HOSTILE = load(f"{FILE}:Swapped"), load(f"{FILE}:HOSTILE")

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None, reason="no Chromium with its chromedriver is installed"
)

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
)
SECONDS = 10.0
LEAST_CONTRAST = 4.5

# the contrast of each text that shows with what is painted behind it, as WCAG 2 computes it
CONTRASTS = """
const colour = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const found = colour(getComputedStyle(at).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found;
  }
  return [255, 255, 255];
};
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const texts = [...node.childNodes].filter((child) => child.nodeType === 3 && child.data.trim());
  if (!texts.length || !node.checkVisibility()) continue;
  if (node.closest(".hidden, .skip, script, noscript, :disabled")) continue;
  const [a, b] = [light(colour(getComputedStyle(node).color)), light(behind(node))];
  found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.outerHTML.slice(0, 160)]);
}
return found;
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("page")
    only = ["gru_step", "softmax", "sigmoid"]
    hostile = run(Swapped, only=only, dtype="float32")
    hostile.backend = f"hostile {HOSTILE}"
    hostile.diagnoses = [f"gru: {HOSTILE}"]
    hostile.results = [
        msgspec.structs.replace(r, reason=r.reason and HOSTILE) for r in hostile.results
    ]
    mixed = run("reference", only=["gru_step", "primitives"])
    mixed.backend = "mixed"
    mixed.results = [changed(i, found) for i, found in enumerate(mixed.results)]
    runs = [run("reference", only=only), run(Swapped, only=only, dtype="float32"), hostile, mixed]
    for number, done in enumerate(runs):
        folder = root / str(number)
        folder.mkdir()
        report.write(done, suite.suite().vectors, folder)
    recorded = labelled([read(root / str(number)) for number in range(len(runs))])
    write(recorded, suite.suite(), root / "out")
    return (root / "out" / "report.html").as_uri()


def changed(index: int, found: Result) -> Result:
    """Every verdict, and errors of every size, so that each colour of the page shows."""
    verdicts: tuple[Verdict, ...] = ("error", "crash", "timeout", "deviation")
    verdict = verdicts[index] if index < len(verdicts) else found.verdict
    sizes = (0.0, 0.5, 1.2, 2.5, 5.0, 40.0, 3e3, 3e6, 1e20, 1e300)
    operations = list(spec().operations)
    error = sizes[operations.index(found.operation.removesuffix(".vjp")) // 2 % len(sizes)]
    return msgspec.structs.replace(
        found, verdict=verdict, sigma_error=error if found.sigma_error is not None else None
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for switch in SWITCHES:
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def window(browser: Any, page: str) -> Any:
    """A wide, light window with the page at its start."""
    media(browser, "light")
    size(browser, 1280, 900)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page)
    browser.execute_script("localStorage.clear()")
    return browser


def media(browser: Any, scheme: str) -> None:
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def size(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {SECONDS:.0f} s: {what}")


def js(browser: Any, words: str) -> Any:
    return browser.execute_script(f"return {words}")


def press(browser: Any, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def focused(browser: Any) -> str:
    return str(js(browser, "document.activeElement.textContent"))


def choose(browser: Any, name: str, value: str) -> None:
    browser.find_element("css selector", f"select[name={name}] option[value='{value}']").click()


def status(browser: Any) -> str:
    return str(js(browser, "document.getElementById('status').textContent"))


def panel_title(browser: Any) -> str | None:
    found: str | None = js(
        browser,
        "document.getElementById('panel').open"
        " ? document.getElementById('panel-title').textContent : null",
    )
    return found


def rows(browser: Any) -> list[str]:
    found: list[str] = js(
        browser,
        "[...document.querySelectorAll('#table tr[data-row]:not(.topic):not([hidden])')]"
        ".map((row) => row.dataset.row)",
    )
    return found


def test_it_loads_without_network_and_without_complaint(window: Any, page: str) -> None:
    until(lambda: rows(window), "a table")
    for address in ("#view=errors", "#case=gru_step-plain-f32", "#clause=gru.state"):
        window.get(page + address)
    js(window, "document.querySelector('#table button').click()")
    messages = [json.loads(entry["message"])["message"] for entry in window.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert {address.partition("#")[0] for address in asked} == {page}
    assert window.get_log("browser") == []


def test_nothing_of_a_report_runs_or_becomes_an_element(window: Any, page: str) -> None:
    window.get(page + "#case=gru_step-plain-f32")
    until(lambda: panel_title(window), "the panel")
    assert "alert(1)" in js(window, "document.getElementById('panel').textContent")
    assert js(window, "document.querySelectorAll('img').length") == 0
    assert js(window, "document.scripts.length") == 2
    # and if a script came in after all, the policy would not let it run
    js(
        window,
        "document.body.appendChild(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = true'}))",
    )
    assert js(window, "window.ran === undefined")
    assert "Content Security Policy" in window.get_log("browser")[0]["message"]


def test_filters_narrow_the_table_and_say_so(window: Any) -> None:
    everything = status(window)
    choose(window, "topic", "gru")
    assert all(row.startswith("gru.") for row in rows(window))
    choose(window, "verdict", "not passed")
    assert "gru.state" in rows(window)
    # the reference passed what another did not: it was run, and none of it is shown
    cell = 'document.querySelector(\'tr[data-row="gru.state"] [data-column="1"]\').textContent'
    assert js(window, cell).startswith("·none")
    choose(window, "direction", "vjp")
    assert status(window) != everything
    js(window, "document.getElementById('reset').click()")
    assert status(window) == everything
    choose(window, "dtype", "float64")
    text = js(window, "document.querySelector('tr[data-row=\"gru.state\"]').textContent")
    assert "not run" in text
    js(window, "document.getElementById('reset').click()")
    window.find_element("name", "q").send_keys("extremes-f32 sigmoid")
    until(lambda: status(window) != everything, "the search")
    assert rows(window) == ["primitives.sigmoid"]
    assert status(window).endswith("1 of " + everything.rsplit(" of ", 1)[1])
    assert js(window, "document.getElementById('status').getAttribute('role')") == "status"
    window.find_element("name", "q").send_keys(" nothing has this name")
    until(lambda: not rows(window), "an empty table")
    assert "No case matches" in js(window, "document.getElementById('table').textContent")
    assert status(window).startswith("0 of ")


def test_the_keys_lead_from_the_table_to_a_case_and_back(window: Any) -> None:
    press(window, Keys.TAB)
    assert focused(window) == "Skip to the results"
    press(window, Keys.ENTER)
    assert "gru" in focused(window)
    # one stop for the whole table
    assert js(window, "document.querySelectorAll('#table [tabindex=\"0\"]').length") == 1
    press(window, Keys.CONTROL + Keys.END)
    assert js(window, "document.activeElement.dataset.column") == "4"
    window.switch_to.active_element.send_keys(Keys.CONTROL, Keys.HOME)
    while js(window, "document.activeElement.closest('tr').dataset.row") != "gru.state":
        press(window, Keys.ARROW_DOWN)
    press(window, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "Swapped, gru.state" in focused(window)
    press(window, Keys.ENTER)
    until(lambda: panel_title(window) == "gru.state", "the panel of the clause")
    assert focused(window) == "gru.state"
    link = "gru_step-plain-f32"
    for _ in range(60):
        press(window, Keys.TAB)
        if focused(window) == link:
            break
    assert focused(window) == link
    press(window, Keys.ENTER)
    until(lambda: panel_title(window) == link, "the panel of the case")
    text = js(window, "document.getElementById('panel').textContent")
    for words in (
        "There to catch: ",
        "gru.z_swapped",
        "◀ worst",
        "nnspec explain gru_step-plain-f32",
    ):
        assert words in text
    press(window, Keys.ESCAPE)
    until(lambda: panel_title(window) is None, "the panel to close")
    until(lambda: "Swapped, gru.state" in focused(window), "the focus to come back")
    assert js(window, "location.hash") in ("", "#")


def test_links_survive_reload_and_the_way_back(window: Any, page: str) -> None:
    window.get(page + "#topic=gru&clause=gru.state&run=Swapped")
    until(lambda: panel_title(window) == "gru.state", "the panel")
    assert all(row.startswith("gru.") for row in rows(window))
    js(
        window,
        "[...document.querySelectorAll('#panel a')]"
        ".find((link) => link.textContent === 'gru_step-plain-f32').click()",
    )
    until(lambda: panel_title(window) == "gru_step-plain-f32", "the case")
    window.refresh()
    until(lambda: panel_title(window) == "gru_step-plain-f32", "the case after a reload")
    window.back()
    until(lambda: panel_title(window) == "gru.state", "the clause again")
    window.find_element("css selector", "#panel button").click()
    until(lambda: panel_title(window) is None, "the panel to close")
    window.back()
    until(lambda: panel_title(window) == "gru.state", "the clause once more")
    window.get(page + "#case=no-such-case")
    until(lambda: panel_title(window) == "no-such-case", "a panel for it")
    assert "None of these runs" in js(window, "document.getElementById('panel').textContent")


@pytest.mark.parametrize("width", [1280, 380])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    window: Any, page: str, scheme: str, width: int
) -> None:
    media(window, scheme)
    size(window, width, 900)
    seen = 0
    for address in (
        "",
        "#view=errors",
        "#clause=gru.state",
        "#case=gru_step-plain-f32&run=Swapped",
    ):
        window.get("about:blank")
        window.get(page + address)
        # what does not fit scrolls in a box of its own
        assert js(window, "document.documentElement.scrollWidth <= innerWidth")
        found = window.execute_script(CONTRASTS)
        faint = [each for each in found if each[0] < LEAST_CONTRAST]
        assert faint == []
        seen += len(found)
        if address == "#view=errors":
            steps = js(
                window,
                "new Set([...document.querySelectorAll('#table .heat')]"
                ".map((cell) => cell.className)).size",
            )
            assert steps >= 8
    assert seen > 500


def test_the_theme_can_be_chosen_and_stays(window: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = js(window, ground)
    window.find_element("id", "theme").click()
    dark = js(window, ground)
    assert dark != light
    assert js(window, "document.getElementById('theme').getAttribute('aria-pressed')") == "true"
    window.refresh()
    assert js(window, ground) == dark
    window.find_element("id", "theme").click()
    media(window, "dark")
    assert js(window, ground) == light


def test_topics_fold(window: Any) -> None:
    before = len(rows(window))
    head = window.find_element("css selector", "[data-fold=gru]")
    assert head.get_attribute("aria-expanded") == "true"
    head.click()
    assert head.get_attribute("aria-expanded") == "false"
    assert 0 < len(rows(window)) < before
    window.find_element("id", "fold").click()
    assert rows(window) == []
    window.find_element("id", "fold").click()
    assert len(rows(window)) == before
