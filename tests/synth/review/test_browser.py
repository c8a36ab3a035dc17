"""The review page as a person meets it, in headless Chromium, by keys alone; and as an attacker would like it."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from synth.review.log import Log, decisions
from synth.review.opened import opened
from synth.review.server import Server
from synth.review.session import Session

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser
HOSTILE = "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture
def session(questions: pa.Table, pages: pa.Table, tmp_path: Path) -> Iterator[Session]:
    with opened([questions], [pages], Log(tmp_path / "reviews.jsonl"), "ada") as made:
        yield made


@contextlib.contextmanager
def serving(session: Session) -> Iterator[Server]:
    made = Server(session.functions())
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


@pytest.fixture
def server(session: Session) -> Iterator[Server]:
    with serving(session) as made:
        yield made


@pytest.fixture
def page(chromium: "WebDriver", server: Server) -> Iterator["WebDriver"]:
    chromium.get_log("browser")
    metrics = {"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chromium.get(server.url)
    until(
        chromium,
        "document.querySelectorAll('#queue li').length > 0 && document.getElementById('question').textContent !== ''",
    )
    yield chromium
    assert [entry for entry in chromium.get_log("browser") if "favicon" not in entry["message"]] == []
    chromium.get("about:blank")


def until(browser: "WebDriver", condition: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    said = "document.getElementById('said').textContent"
    WebDriverWait(browser, 10, poll_frequency=0.02).until(
        lambda driver: driver.execute_script(f"return {condition}"),
        f"{condition}; the page says: {browser.execute_script(f'return {said}')}",
    )


def press(browser: "WebDriver", keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(keys).perform()


def text(browser: "WebDriver", name: str) -> str:
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def actions(session: Session) -> list[tuple[str, str]]:
    return [(entry.action, entry.reason) for by in decisions(session.log.entries()).values() for entry in by.values()]


def test_accept_reject_and_undo_by_keys(page: "WebDriver", session: Session) -> None:
    first = text(page, "question")
    press(page, "a")
    until(page, "document.getElementById('said').textContent.startsWith('Accepted')")
    until(page, f"document.getElementById('question').textContent !== {first!r}")
    press(page, "r3")
    until(page, "document.getElementById('said').textContent.startsWith('Rejected: unclear')")
    assert actions(session) == [("accept", ""), ("reject", "unclear")]
    press(page, "z")
    until(page, "document.getElementById('said').textContent.startsWith('Taken back')")
    assert actions(session) == [("accept", "")]


def test_the_count_of_answers_follows_the_clues(page: "WebDriver") -> None:
    assert text(page, "count") == "1 answer in this corpus"
    press(page, "d")
    until(page, "document.getElementById('count').textContent.includes('answers:')")
    assert page.execute_script("return document.querySelectorAll('#clues .out').length") == 1
    press(page, "d")
    until(page, "document.getElementById('count').textContent === '1 answer in this corpus'")


def test_a_clue_that_cannot_be_vaguer_says_so(page: "WebDriver") -> None:
    clues = page.execute_script("return view.clues.map((clue) => clue.object !== null)")
    press(page, "j" * clues.index(True) + "o")
    until(page, "document.getElementById('said').textContent.includes('one form')")
    press(page, "2")
    until(page, "document.getElementById('said').textContent === ''")


def test_words_are_edited_and_verified(page: "WebDriver", session: Session) -> None:
    press(page, "e")
    until(page, "document.activeElement.id === 'own'")
    press(page, " Thank you!\ue00c")  # Escape
    until(page, "document.getElementById('question').textContent.endsWith('Thank you!')")
    press(page, "v")
    until(page, "document.getElementById('said').textContent.includes('verifier passes')")
    press(page, "a")
    until(page, "document.getElementById('said').textContent.includes('kept as edited')")
    assert actions(session) == [("edit", "")]


def test_a_question_is_made_of_selected_words(page: "WebDriver", session: Session) -> None:
    press(page, "2")
    until(page, "document.querySelectorAll('#found button').length > 3")
    page.execute_script(
        "[...document.querySelectorAll('#found button')].find(e => e.textContent.startsWith('Light')).click()"
    )
    until(page, "document.getElementById('page-text').textContent.includes('Height')")
    for label, relation in (("Keeper", "guarded by"), ("Height", "as high as")):
        page.execute_script(
            "const area = document.getElementById('page-text'), whole = area.textContent;"
            "const begin = whole.indexOf(`**${arguments[0]}**: `) + arguments[0].length + 6, end = whole.indexOf('\\n', begin);"
            "const walker = document.createTreeWalker(area, NodeFilter.SHOW_TEXT), range = document.createRange(); let at = 0, node;"
            "while ((node = walker.nextNode())) { const next = at + node.data.length;"
            " if (begin >= at && begin < next) range.setStart(node, begin - at);"
            " if (end > at && end <= next) range.setEnd(node, end - at); at = next; }"
            "getSelection().removeAllRanges(); getSelection().addRange(range)",
            label,
        )
        press(page, "f")
        until(page, "document.activeElement.id === 'relation'")
        chosen = text(page, "selected")
        press(page, f"{relation}\n")
        until(page, f"document.getElementById('said').textContent === {f'Kept: {chosen}'!r}")
        page.execute_script("document.activeElement.blur()")
    assert page.execute_script("return document.querySelectorAll('#facts li').length") == 2
    page.execute_script("document.querySelectorAll('#facts input[type=checkbox]')[0].click()")
    page.execute_script("document.querySelectorAll('#facts input[type=radio]')[1].click()")
    page.execute_script("document.activeElement.blur()")
    press(page, "c")
    until(page, "document.getElementById('flags').textContent === 'New question'")
    assert "guarded by" in text(page, "question")
    assert "m" in text(page, "answer")


def test_a_hostile_question_and_page_are_only_text(session: Session, chromium: "WebDriver") -> None:
    name = session.order[0]
    item = session.items[name]
    hostile_pages = {
        id: page._replace(title=HOSTILE, text=HOSTILE + page.text) for id, page in session.world.pages.items()
    }
    session.world.pages = hostile_pages
    session.items[name] = item._replace(task=item.task._replace(question=HOSTILE, answer=HOSTILE))
    with serving(session) as server:
        chromium.get(server.url)
        until(chromium, "document.getElementById('question').textContent !== ''")
        assert text(chromium, "question") == HOSTILE
        assert HOSTILE in text(chromium, "evidence")
        press(chromium, "2")
        until(chromium, "document.querySelectorAll('#found button').length > 0")
        chromium.execute_script("document.querySelector('#found button').click()")
        until(chromium, "document.getElementById('page-text').textContent !== ''")
        assert chromium.title == "Review"
        assert chromium.execute_script("return document.querySelectorAll('main img, main script').length") == 0
        chromium.get("about:blank")


def test_the_key_leaves_the_address_and_stays_with_the_tab(page: "WebDriver", server: Server) -> None:
    assert page.current_url == f"http://{server.hosts[0]}/"
    assert page.get_cookies() == []
    page.refresh()
    until(page, "document.querySelectorAll('#queue li').length > 0")


def test_a_tab_without_the_key_is_told_where_it_is(page: "WebDriver", server: Server) -> None:
    page.execute_script("sessionStorage.clear()")
    page.refresh()
    until(page, "document.getElementById('said').textContent.includes('address that was printed')")
    refused = [entry for entry in page.get_log("browser") if "403" in entry["message"]]
    assert len(refused) == 1


def test_a_name_that_was_made_to_point_here_gets_nothing(page: "WebDriver", server: Server) -> None:
    """DNS rebinding: browsers resolve every name under localhost to this machine, so evil.localhost is such a name."""
    page.get(f"http://evil.localhost:{server.server_port}/#{server.key}")
    assert "not this host" in page.page_source
    asked = (
        "const done = arguments[1]; fetch('/api/state', {method: 'POST', body: '{}', headers: "
        "{'Content-Type': 'application/json', 'X-Review-Key': arguments[0]}})"
        ".then(async (r) => done([r.status, await r.text()])).catch((e) => done(String(e)))"
    )
    status, said = page.execute_async_script(asked, server.key)
    assert status == 403
    assert "not this host" in said
    assert page.get_log("browser") != []
