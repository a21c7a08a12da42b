"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, which drives the browser")
CHROMIUM = shutil.which("chromium")
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page on a phone's screen, dark; no request may go elsewhere, and no script fail."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page, seen = context.new_page(), []
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on(
        "request",
        lambda request: request.url.startswith(("http://127.0.0.1", "blob:", "data:")) or seen.append(request.url),
    )
    yield page
    context.close()
    assert seen == []


def file(data, name="face.png"):
    return {"name": name, "mimeType": "image/png", "buffer": data}


def enrol(page, name, data):
    page.click("#tab-people")
    if not page.is_visible("#name"):
        page.click("summary")
    page.set_input_files("#file-enrol", file(data))
    page.fill("#name", name)
    page.check("#force")
    page.get_by_role("button", name="Enrol").click()
    page.wait_for_selector("#enrol-out .good")


def test_enrol_search_and_erase(page, address, picture):
    with address() as url:
        page.goto(url)
        enrol(page, "Anna <b>Bold</b>", picture(0))
        enrol(page, "Bert", picture(1))
        page.fill("#filter", "bert")
        assert page.locator("#cards li").count() == 1
        page.fill("#filter", "")
        assert page.locator("#cards b").all_inner_texts() == ["Anna <b>Bold</b>", "Bert"]
        page.click("#tab-group")
        page.set_input_files("#file-group", file(picture(1)))
        page.wait_for_selector("#group-out .photo")
        assert page.locator("#group-out li b").inner_text() == "Bert"
        page.click("#tab-people")
        page.get_by_role("button", name="Erase Bert").click()
        page.get_by_role("button", name="Keep").click()
        assert page.locator("#cards li").count() == 2
        page.get_by_role("button", name="Erase Bert").click()
        page.locator("#confirm").get_by_role("button", name="Erase").click()
        page.get_by_text("Bert was erased").wait_for()
        assert page.locator("#cards li").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_compare_shows_what_was_seen(page, address, picture):
    with address() as url:
        page.goto(url)
        page.get_by_role("button", name="Compare").click()
        assert "Two pictures" in page.inner_text("#compare-out")
        page.set_input_files("#file-a", file(picture(0)))
        page.set_input_files("#file-b", file(picture(0)))
        page.get_by_role("button", name="Compare").click()
        page.wait_for_selector(".verdict.same")
        assert page.locator(".crops img").count() == 6
        page.set_input_files("#file-b", file(b"no picture"))
        page.get_by_role("button", name="Compare").click()
        page.wait_for_selector("#compare-out .bad")
        assert "picture B is not an image" in page.inner_text("#compare-out")


def test_tabs_by_keyboard(page, address):
    with address() as url:
        page.goto(url)
        page.focus("#tab-compare")
        page.keyboard.press("ArrowRight")
        assert page.is_visible("#group")
        page.keyboard.press("End")
        assert page.is_visible("#people")
        assert page.get_attribute("#tab-people", "aria-selected") == "true"


def test_a_token_is_asked_for(page, address):
    with address(token=TOKEN) as url:
        page.goto(url)
        page.fill("#token", "a wrong one, that is long")
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector("#token-message.bad:not(:empty)")
        page.fill("#token", TOKEN)
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector("#token-form", state="hidden")
        page.click("#tab-people")
        page.get_by_text("Nobody is enrolled yet").wait_for()
