"""luigid's web view, in a headless Chromium: what a person sees there, and does there."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
MISSING = "Chromium and its driver are not installed (Debian: chromium, chromium-driver)"

_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1400,900"),
    # The page needs no network but luigid's.
    *("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    # In a container, the shared memory is often small.
    *("--disable-sync", "--disable-dev-shm-usage"),
)
_PATIENCE = 90.0
_MOVES = 1.0
"""Seconds for which the page moves parts of itself after something was opened."""


class WebView:
    """The page of one luigid.

    Parameters
    ----------
    browser : webdriver.Chrome
        The browser.
    port : int
        luigid's.
    """

    def __init__(self, browser: Any, port: int) -> None:
        self._browser = browser
        self._page = f"http://127.0.0.1:{port}/static/visualiser/index.html"

    def open_tasks(self, status: str = "", name: str = "") -> None:
        """Open the list of tasks of a status, or of all, of which the name or the details contain something."""
        self._open("#tab=tasks")
        # The page asks for the tasks of each status by itself; when it has all, it draws the list, then the menu.
        self.wait_for(lambda: self._visible(".sidebar .sidebar-menu"))
        if status:
            self._click(f"#{status}_info")
        box = self._find("#taskTable_filter input[type=search]")
        box.send_keys(name)

    def open_graph(self, task_id: str) -> None:
        """Open the graph of a task in the page's default view, and wait until it is drawn."""
        self._open(f"#tab=graph&taskId={task_id}")
        self.wait_for(self.nodes)

    def nodes(self) -> int:
        """Return how many tasks the graph shows."""
        return len(self._browser.find_elements(By.CSS_SELECTOR, "#graphPlaceholder a.graph-node-a"))

    def count(self, status: str) -> int:
        """Return how many tasks of a status the top of the list shows."""
        return int(self._text(f"#{status}_info .info-box-number"))

    def rows(self) -> list[str]:
        """Return the text of each row of the list of tasks."""
        return [row.text for row in self._browser.find_elements(By.CSS_SELECTOR, "#taskTable tbody tr")]

    def has_status(self) -> bool:
        """Tell whether a task of the list has a status message."""
        return bool(self._visible("#taskTable .statusMessage"))

    def show_error(self) -> str:
        """Open the box with the error of the first task of the list; return its text."""
        return self._open_box("showError", "errorModal")

    def show_status(self) -> str:
        """Open the box with the status message of the first task of the list that has one; return its text."""
        return self._open_box("statusMessage", "statusMessageModal")

    def status(self) -> str:
        """Return the status message that the open box shows at present."""
        return self._text("#statusMessageModal pre")

    def percentage(self) -> int:
        """Return the progress that the box with the status message shows."""
        return int(self._text("#statusMessageModal .progress-bar").removesuffix("%"))

    def hidden_columns(self) -> int:
        """Return how many pixels of the error's text only scrolling sideways shows."""
        return int(
            self._browser.execute_script(
                "const box = document.querySelector('#errorModal pre'); return box.scrollWidth - box.clientWidth"
            )
        )

    def forgive(self) -> None:
        """Press the button that has the first failed task of the list run again."""
        self._click("#taskTable .forgiveFailures")
        # The page removes the button when luigid has answered; before that, another page would end the request.
        self.wait_for(lambda: not self._visible("#taskTable .forgiveFailures"))

    def save_picture(self, path: Path, height: int = 900) -> None:
        """Save what is seen in a window of this height, in pixels, as a PNG file."""
        self._browser.set_window_size(1400, height)
        time.sleep(_MOVES)
        self._browser.save_screenshot(str(path))

    def wait_for(self, condition: Callable[[], Any], patience: float = _PATIENCE) -> Any:
        """Wait until a condition about the page is true, and return its value."""
        deadline = time.monotonic() + patience
        while True:
            try:
                value = condition()
            except (WebDriverException, ValueError):
                # The page has just replaced what was found.
                value = None
            if value:
                return value
            assert time.monotonic() < deadline, self._browser.find_element(By.TAG_NAME, "body").text
            time.sleep(0.1)

    def _open(self, place: str) -> None:
        # Else the browser goes to another place of the page that it has.
        self._browser.get("about:blank")
        self._browser.get(self._page + place)

    def _find(self, selector: str) -> Any:
        return self.wait_for(lambda: next(iter(self._visible(selector)), None))

    def _click(self, selector: str) -> None:
        def click() -> bool:
            for element in self._visible(selector)[:1]:
                element.click()
                return True
            return False

        # The page may replace or cover what was found just before.
        self.wait_for(click)

    def _visible(self, selector: str) -> list[Any]:
        return [it for it in self._browser.find_elements(By.CSS_SELECTOR, selector) if it.is_displayed()]

    def _text(self, selector: str) -> str:
        return str(self._browser.find_element(By.CSS_SELECTOR, selector).text)

    def _open_box(self, button: str, box: str) -> str:
        self._click(f"#taskTable .{button}")
        return str(self.wait_for(lambda: self._text(f"#{box} pre")))


@contextmanager
def web_view(port: int) -> Iterator[WebView]:
    """Yield the page of a luigid on loopback."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield WebView(browser, port)
    finally:
        browser.quit()
