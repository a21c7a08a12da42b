"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import shutil
import time

import pytest
from watch_stub import BLUE, GREEN, RED, crossing, disc_frame, write_video

from lrface.faces.images import encode_image

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
    page.wait_for_selector("#people-count:not(:has-text('Loading'))")
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
        assert page.inner_text("#drop-enrol b") == "Picture of the person"  # ready for the next one
        assert page.locator("#drop-enrol img").count() == 0
        enrol(page, "Bert", picture(1))
        page.fill("#filter", "bert")
        assert page.locator("#cards li").count() == 1
        page.fill("#filter", "")
        assert page.locator("#cards b").all_inner_texts() == ["Anna <b>Bold</b>", "Bert"]
        page.click("#tab-group")
        page.set_input_files("#file-group", file(picture(1)))
        page.wait_for_selector("#group-out .photo")
        assert page.locator("#group-out li b").inner_text() == "1 Bert"
        page.click("#tab-people")
        page.get_by_role("button", name="Erase Bert").click()
        page.get_by_role("button", name="Keep").click()
        assert page.locator("#cards li").count() == 2
        page.get_by_role("button", name="Erase Bert").click()
        page.locator("#confirm").get_by_role("button", name="Erase").click()
        page.get_by_text("Bert was erased").wait_for()
        assert page.locator("#cards li").count() == 1
        page.get_by_role("button", name="Erase Anna").click()
        page.locator("#confirm").get_by_role("button", name="Erase").click()
        page.get_by_text("Nobody is enrolled yet").wait_for()
        assert not page.is_visible("#filter")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_answer_goes_with_the_pictures_that_it_is_about(page, address, picture):
    with address() as url:
        page.goto(url)
        page.set_input_files("#file-a", file(picture(0)))
        page.set_input_files("#file-b", file(picture(0)))
        page.get_by_role("button", name="Compare").press("Enter")
        page.wait_for_selector(".verdict.same")
        assert page.evaluate("document.activeElement.textContent") == "Compare"
        page.set_input_files("#file-b", file(picture(1)))
        assert page.locator(".verdict").count() == 0
        page.get_by_role("button", name="Compare").click()
        page.wait_for_selector(".verdict")
        page.select_option("#far", "0.001")
        assert page.locator(".verdict").count() == 0


def test_a_late_answer_is_not_shown(page, address, picture):
    """Another picture was chosen while the first was looked at, and its answer came before."""
    held = []

    def first_waits(route):
        held.append(route)
        if len(held) == 2:
            held[1].continue_()

    with address() as url:
        page.goto(url)
        enrol(page, "Anna", picture(0))
        enrol(page, "Bert", picture(1))
        page.route("**/search", first_waits)
        page.click("#tab-group")
        page.set_input_files("#file-group", file(picture(0)))
        page.set_input_files("#file-group", file(picture(1)))
        page.wait_for_selector("#group-out .photo")
        with page.expect_response("**/search"):
            held[0].continue_()
        page.wait_for_timeout(200)
        assert page.locator("#group-out li b").inner_text() == "1 Bert"


def test_a_picture_that_misses_its_field_does_not_replace_the_page(page, address):
    with address() as url:
        page.goto(url)
        taken = page.evaluate("!document.body.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true}))")
        assert taken


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
        assert "Picture B is not an image" in page.inner_text("#compare-out")


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [(0.02, "Two different people, probably"), (0.9, "Not enough to tell"), (None, "Two different people, or not")],
)
def test_the_verdict_does_not_contradict_the_probability(page, address, picture, probability, verdict):
    def answer(route):
        route.fulfill(json=route.fetch().json() | {"same": False, "probability": probability})

    with address() as url:
        page.goto(url)
        page.route("**/verify", answer)
        page.set_input_files("#file-a", file(picture(0)))
        page.set_input_files("#file-b", file(picture(0)))
        page.get_by_role("button", name="Compare").click()
        page.wait_for_selector(".verdict")
        assert page.inner_text(".verdict h2").startswith(verdict)


def test_a_group_photo_is_named(page, address, disc_engine):
    photo = encode_image(disc_frame([(30, 48, RED), (80, 48, BLUE), (130, 48, GREEN)]), "png")
    with address(disc_engine()) as url:
        page.goto(url)
        page.click("#tab-group")
        page.set_input_files("#file-group", file(photo))
        page.get_by_text("3 faces, 2 known").wait_for()
        assert page.locator("#group-out .box span").all_inner_texts() == ["1 Rosa", "2", "3 Greta"]
        assert page.locator("#group-out li b").all_inner_texts() == ["1 Rosa", "2 Unknown", "3 Greta"]
        page.set_input_files("#file-group", file(b"no picture"))
        page.wait_for_selector("#group-out .bad")


@pytest.fixture
def video(tmp_path):
    """Four seconds in which Rosa and Greta cross, and somebody comes."""
    pytest.importorskip("av", reason="needs the extra video")
    pytest.importorskip("trackers", reason="needs the extra video")
    return write_video(tmp_path / "door.mp4", crossing()).read_bytes()


def test_a_video_becomes_a_timeline(page, address, disc_engine, video):
    with address(disc_engine()) as url:
        page.goto(url)
        page.click("#tab-video")
        page.set_input_files("#file-video", file(video, "door.mp4"))
        page.get_by_text("3 people, 2 known").wait_for()
        assert page.locator(".timeline .row-name").all_inner_texts() == ["Rosa", "Greta", "Unknown 1"]
        assert page.locator(".who img").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        there = page.get_by_role("button", name="Unknown 1, 0:02")
        there.press("Enter")
        page.wait_for_function("document.querySelector('video').currentTime >= 1.9")
        page.set_input_files("#file-video", file(b"no video", "door.mp4"))
        page.wait_for_selector("#video-out .bad")


def test_a_watch_can_be_stopped(page, address, disc_engine, video, monkeypatch):
    monkeypatch.setattr("lrface.serve.batching.Upright.faces_of_frames", lambda *_: time.sleep(0.3) or [[]])
    with address(disc_engine()) as url:
        page.goto(url)
        page.click("#tab-video")
        page.set_input_files("#file-video", file(video, "door.mp4"))
        page.get_by_text("Watched 0:0").wait_for()
        page.click("#video-stop")
        page.get_by_text("Nothing of the video is kept").wait_for()
        page.wait_for_function("fetch('/metrics').then(a => a.text()).then(t => t.includes('lrface_videos_held 0.0'))")


def test_there_is_no_tab_without_videos(page, address):
    with address(videos=0) as url:
        page.goto(f"{url}/#people")
        page.get_by_text("Nobody is enrolled yet").wait_for()
        assert not page.is_visible("#tab-video")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_a_screen_reader_out(page, address, disc_engine, video, scheme):
    """Roles, names, labels and contrast, by the rules of axe-core."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    photo = file(encode_image(disc_frame([(30, 48, RED), (80, 48, BLUE)]), "png"))

    def check(where):
        found = axe.run(page)
        assert found.violations_count == 0, f"{where}: {found.generate_report()}"

    with address(disc_engine()) as url:
        page.goto(url)
        page.set_input_files("#file-a", photo)
        page.set_input_files("#file-b", photo)
        page.get_by_role("button", name="Compare").click()
        page.wait_for_selector(".verdict")
        check("compare")
        page.click("#tab-group")
        page.set_input_files("#file-group", photo)
        page.wait_for_selector("#group-out .photo")
        check("group")
        page.click("#tab-video")
        page.set_input_files("#file-video", file(video, "door.mp4"))
        page.get_by_text("3 people, 2 known").wait_for()
        check("video")
        page.click("#tab-people")
        page.get_by_role("button", name="Erase Rosa").wait_for()
        page.click("summary")
        check("people")
        page.get_by_role("button", name="Erase Rosa").click()
        check("confirm")


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
        assert not page.is_visible("#compare")  # nothing can be asked yet
        page.fill("#token", TOKEN)
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector("#token-form", state="hidden")
        assert page.is_visible("#compare")
        assert page.evaluate("document.activeElement.id") == "tab-compare"
        page.click("#tab-people")
        page.get_by_text("Nobody is enrolled yet").wait_for()
