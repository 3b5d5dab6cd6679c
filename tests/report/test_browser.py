"""The report in a real browser: Debian's Chromium, driven by Playwright, without a network."""

import base64
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from networld_algos.report.page import write_report
from networld_algos.results.folder import Failure
from networld_algos.results.rows import SCRATCH, read_rows

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is absent: pip install 'networld[dev]'"
)

ROWS = Path(__file__).parents[2] / "benchmarks" / "results" / "cpu"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}  # CSS pixels of a small one
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    "--no-sandbox",  # needed as root, e.g. in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def executable() -> str:
    """NETWORLD_BROWSER, or a browser on the path; the tests are skipped without."""
    named = os.environ.get("NETWORLD_BROWSER")
    if named:
        assert shutil.which(named), f"NETWORLD_BROWSER={named} cannot be run"
        return named
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(
            f"no browser: none of {', '.join(BROWSERS)} is on the path; install one "
            "(Debian: apt-get install chromium) or name it in NETWORLD_BROWSER"
        )
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A page of committed rows, with rows of further experiments derived from them."""
    kept = ("reference", "comparison")
    rows = [
        r
        for r in read_rows(ROWS)
        if r.task != "ns" and r.experiment in kept and (r.dataset or "expert").count("expert")
    ]
    last = [r for r in rows if r.experiment == "comparison" and r.is_last and r.task == "rb"]
    ours = [r for r in last if r.label == "networld"]

    def shifted(row, by, **changes):
        returns = tuple(x - by for x in row.episode_returns)
        return replace(row, episode_returns=returns, **changes)

    for row in ours:
        rows += [
            replace(row, experiment="ablation"),
            shifted(row, 0.4, experiment="ablation", label="no message"),
        ]
        for share, episodes in ((1 / 450, 1), (1.0, 450)):
            few = {"experiment": "fewshot", "fraction": share, "episodes": episodes}
            rows.append(shifted(row, 0.1 / episodes, **few))
            rows.append(shifted(row, 0.2 / episodes, label=row.label + SCRATCH, **few))
        for level in (0.0, 0.5, 0.9):
            lost = {"experiment": "robustness", "factor": "message_loss", "level": level}
            rows.append(shifted(row, level, **lost))
        for level in (1.0, 2.0, 10.0):
            steps = {"experiment": "cost", "factor": "steps", "level": level}
            rows.append(shifted(row, 0.5 / level, latency_p50_ms=4 + 3 * level, **steps))
    failure = Failure(suite="cpu", run="a / b", error="ValueError: " + "x" * 200, traceback="T\n")
    commands = ["networld bench run cpu --jobs 2 --results " + "folder/" * 40]
    out = tmp_path_factory.mktemp("report")
    page = write_report(rows, out, "A page", failures=[failure], commands=commands)
    assert page.stat().st_size < 2_000_000
    return page


@pytest.fixture(scope="module")
def browser():
    path = executable()
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=OPTIONS)
        yield running
        running.close()


@contextmanager
def opened(browser, report, **options):
    """The page; whatever the console, a script or the network complains of fails the test."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    yield page
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", report.as_uri()))] == []


def unfold(page) -> None:
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")


def sort_keys(table, column: int) -> list[str]:
    script = "(t, c) => [...t.tBodies[0].rows].map(r => r.cells[c].dataset.order)"
    return table.evaluate(f"t => ({script})(t, {column})")


def test_it_loads_without_complaint_and_reads_well(browser, report):
    with opened(browser, report) as page:
        assert page.title() == "A page"
        sections = page.locator("section h2").all_inner_texts()
        assert [s for s in sections if s != "Claims"][:6] == [
            "What was decided",
            "Comparison",
            "Few-shot adaptation",
            "Ablations",
            "Robustness",
            "Cost",
        ]
        for link in page.locator("nav a").all():
            target = link.get_attribute("href")
            link.click()
            assert page.evaluate("location.hash") == target
            assert page.locator(target).is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_shows_every_verdict_and_the_contents_stay(browser, report, scheme):
    with opened(browser, report, color_scheme=scheme) as page:
        cards = page.locator(".cards li")
        assert cards.count() == 2  # two tasks, expert data
        for card in cards.all():
            box = card.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] < DESKTOP["height"]
            paper = card.evaluate("e => getComputedStyle(e).backgroundColor")
            for line in card.locator("p").all():
                ink = line.evaluate("e => getComputedStyle(e).color")
                assert contrast(ink, opaque(paper, page)) >= 4.5
        assert page.locator("nav a[aria-current]").inner_text() == "What was decided"
        page.locator("#references").scroll_into_view_if_needed()
        page.evaluate("document.getElementById('references').scrollIntoView()")
        nav = page.locator("nav").bounding_box()
        assert nav is not None
        assert nav["y"] == pytest.approx(0.0, abs=1.0)
        heading = page.locator("#references h2").bounding_box()
        assert heading is not None
        assert heading["y"] >= nav["height"]  # not behind the contents
        page.locator("nav a[aria-current][href='#references']").wait_for()


def test_a_small_figure_looks_like_its_file(browser, report):
    """The figures of the page are shortened: every pixel is nearly that of the whole file."""
    script = """async ([whole]) => {
        const load = (src) => new Promise((done) => {
            const image = new Image();
            image.onload = () => done(image);
            image.src = src;
        });
        const pixels = (image) => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [1030, 400];
            const context = canvas.getContext("2d", {willReadFrequently: true});
            context.drawImage(image, 0, 0, 1030, 400);
            return context.getImageData(0, 0, 1030, 400).data;
        };
        const small = document.querySelector("#answer figure img").src;
        const [p, q] = (await Promise.all([load(whole), load(small)])).map(pixels);
        let apart = 0, ink = 0;
        for (let i = 0; i < p.length; i += 4) {
            apart += Math.abs(p[i] - q[i]) > 64;
            ink += p[i] < 250;
        }
        return [apart, ink];
    }"""
    svg = (report.parent / "figures" / "comparison_summary.svg").read_bytes()
    whole = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    with opened(browser, report) as page:
        apart, ink = page.evaluate(script, [whole])
        assert ink > 5000
        assert apart < 0.02 * ink


def test_the_policy_blocks_a_network(browser, report, tmp_path):
    """The page's own security policy refuses what a later change might load."""
    page = report.read_text().replace("</main>", '<img src="file:///x.png"></main>')
    (tmp_path / "report.html").write_text(page)
    with (
        pytest.raises(AssertionError, match="Content Security Policy"),
        opened(browser, tmp_path / "report.html") as changed,
    ):
        changed.wait_for_function("document.images[document.images.length - 1].complete")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_figure_is_drawn(browser, report, viewport):
    with opened(browser, report, viewport=viewport) as page:
        assert page.locator("img").count() >= 8
        for image in page.locator("img").all():
            image.evaluate("i => i.decode()")
            assert image.evaluate("i => i.naturalWidth") > 0
            box = image.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) > 100
            scrolls = viewport is PHONE and image.get_attribute("class") == "wide"
            assert (box["width"] > viewport["width"]) == scrolls
            if scrolls:  # inside its card, also with the keyboard
                card = image.locator("xpath=ancestor::div[@class='card']")
                assert card.evaluate("c => c.scrollWidth > c.clientWidth")
                assert card.get_attribute("tabindex") == "0"
        phone = viewport is PHONE
        box = page.locator("#answer img").first.bounding_box()
        assert box is not None
        assert (box["height"] > box["width"]) == phone  # one panel in a row on a phone


@pytest.mark.parametrize(
    ("column", "numeric"), [("Method", False), ("RB", True)], ids=["text", "number"]
)
def test_tables_sort_both_ways(browser, report, column, numeric):
    with opened(browser, report) as page:
        table = page.locator("table").first
        heads = [text.split("\n")[0] for text in table.locator("th button").all_inner_texts()]
        index = heads.index(column)
        before = sort_keys(table, index)
        read = (lambda key: float(key)) if numeric else str
        button, head = table.locator("th button").nth(index), table.locator("th").nth(index)
        for state in ("descending", "ascending") if numeric else ("ascending", "descending"):
            button.click()
            assert head.get_attribute("aria-sort") == state
            expected = sorted(before, key=read, reverse=state == "descending")
            assert sort_keys(table, index) == expected
        assert len(set(before)) > 3
        states = [th.get_attribute("aria-sort") for th in table.locator("th").all()]
        assert states.count("none") == len(states) - 1


def test_every_column_of_every_table_sorts_with_gaps_last(browser, report):
    with opened(browser, report) as page:
        unfold(page)
        tables = page.locator("table").all()
        assert len(tables) > 8
        gaps = 0
        for table in tables:
            lines = len(sort_keys(table, 0))
            for i, head in enumerate(table.locator("th").all()):
                head.locator("button").evaluate("b => b.click()")
                keys = sort_keys(table, i)
                assert len(keys) == lines
                given = [key for key in keys if key != ""]
                gaps += lines - len(given)
                assert keys[: len(given)] == given
                if "number" in (head.get_attribute("class") or ""):
                    numbers = [float(key) for key in given]
                    assert np.all(np.diff([-x for x in numbers if np.isfinite(x)]) >= 0)
        assert gaps > 0


def test_a_table_sorts_by_keyboard(browser, report):
    with opened(browser, report) as page:
        button = page.locator("table th button").nth(1)
        button.focus()
        page.keyboard.press("Enter")
        assert page.locator("table th").nth(1).get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("folded", [True, False])
def test_a_phone_scrolls_tables_and_not_the_page(browser, report, folded):
    with opened(browser, report, viewport=PHONE, is_mobile=True, has_touch=True) as page:
        if not folded:
            unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        wide = page.locator(".scroll").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth).length"
        )
        assert wide > 0
        size = page.locator("th button").first.bounding_box()
        assert size is not None
        assert size["height"] >= 32


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``."""
    values = np.array([float(x) for x in colour[4:-1].split(",")]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(ink: str, paper: str) -> float:
    """Ratio of luminances, from 1 to 21."""
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def opaque(colour: str, page) -> str:
    """The colour, or that of the page if it is transparent."""
    if colour.startswith("rgba"):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser, report, scheme):
    with opened(browser, report, color_scheme=scheme) as page:
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (luminance(paper) < 0.1) == (scheme == "dark")
        for selector in ("body", "p.caption", "td small", "nav a", "th button", "figcaption"):
            ink = page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
            assert contrast(ink, paper) >= 4.5, selector  # WCAG 2.2, level AA
