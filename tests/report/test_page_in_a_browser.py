"""The report in headless Chromium: no errors, controls that work, by mouse and by keyboard."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import cnnlab.report
from tests.report.pages import comparison_page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

# No window is as narrow as a phone: the page is in a frame, and tells what is around its results.
FRAME = """<iframe src="page.html" width="%d" height="900"></iframe><script>
addEventListener("message", (e) => { document.body.textContent = "RESULTS" + e.data + "END"; });
</script>"""
# Errors are collected from the first line on; what a test does runs last, when all is drawn.
FIRST = """<script>
window.errors = [];
addEventListener("error", (e) => errors.push(e.message));
addEventListener("securitypolicyviolation", (e) => errors.push(e.violatedDirective + e.blockedURI));
console.error = console.warn = (...all) => errors.push(all.join(" "));
</script>"""
LAST = """<script>
const $ = (query) => document.querySelector(query);
const $$ = (query) => [...document.querySelectorAll(query)];
const texts = (query) => $$(query).map((x) => x.textContent).join(" ");
const results = {};
addEventListener("load", () => {
  try { %s } catch (error) { errors.push(String(error.stack)); }
  results.errors = errors;
  parent.postMessage(JSON.stringify(results), "*");
});
</script>"""


@pytest.fixture(scope="module")
def page():
    return comparison_page()


def operate(page, script, tmp_path, width=1240):
    """Opens the page, runs a script in it, and returns the `results` that it filled."""
    page = page.replace("<head>", f"<head>{FIRST}", 1)
    page = page.replace("</body>", f"{LAST % script}</body>", 1)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME % width)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               "--window-size=1280,960", "--virtual-time-budget=30000",
               f"--user-data-dir={tmp_path}/profile", f"file://{frame}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    found = re.search(r"RESULTS(\{.*?\})END", done.stdout, flags=re.S)
    assert found, done.stderr[-2000:]
    results = json.loads(html.unescape(found[1]))
    assert results.pop("errors") == []
    return results


@needs_chromium
@pytest.mark.parametrize("width", [1240, 390])
def test_opens_and_draws(page, tmp_path, width):
    """Also at the width of a phone nothing sticks out of the page."""
    results = operate(page, """
      results.width = innerWidth;
      results.panels = $$(".panel").map((panel) => panel.dataset.panel);
      results.curves = $$('[data-panel="loss"] path.curve').length;
      results.levels = $$('[data-panel="loss"] path.level').length;
      results.bands = $$('[data-panel="loss"] path.band').length;
      results.matrix = $$("#matrix tbody td").length;
      const inScroll = (x) => x.closest(".scroll, pre, .runs, nav, svg");
      const right = (x) => x.getBoundingClientRect().right;
      results.wide = $$("main *").filter((x) => !inScroll(x) && right(x) > innerWidth + 1)
        .map((x) => x.tagName + "." + x.className);
      results.pictures = $$("img").every((x) => x.complete && x.naturalWidth > 0);
    """, tmp_path, width)  # fmt: skip
    assert results["width"] == width
    assert results["panels"] == ["loss", "accuracy", "miou", "learning_rate", "grad_norm"]
    assert results["curves"] >= 6  # train and validation of each configuration
    assert results["levels"] == 3  # the baseline's, which has no course
    assert results["bands"] >= 2  # two seeds, in training and validation
    assert results["matrix"] == 100
    assert results["wide"] == []
    assert results["pictures"]


@needs_chromium
def test_controls_of_the_curves(page, tmp_path):
    results = operate(page, """
      const curves = () => $$('[data-panel="loss"] path.curve:not(.raw)').length;
      const path = () => $('[data-panel="loss"] path.curve').getAttribute("d");
      const ticks = () => texts('[data-panel="loss"] text');
      const set = (input, value) => {
        if (input.type === "checkbox") input.checked = value; else input.value = value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
        input.dispatchEvent(new Event("change", { bubbles: true }));
      };
      results.all = curves();
      set($("#mean"), false); results.each_seed = curves();
      set($("#runs input"), false); results.without_one = curves();
      const press = (text) => $$("#runs button").find((x) => x.textContent === text).click();
      press("none"); results.none = curves();
      press("all");
      set($("#splits input"), false); results.without_train = curves();
      set($("#splits input"), true);
      const before = path();
      set($("#smoothing"), 0.8);
      results.raw = $$('[data-panel="loss"] path.raw').length;
      results.smoothed = path() !== before;
      set($("#smoothing"), 0);
      results.as_before = path() === before;
      const log = $('[data-panel="loss"] button');
      results.pressed = [log.getAttribute("aria-pressed")];
      log.click(); results.pressed.push(log.getAttribute("aria-pressed"));
      results.linear = path() !== before;
      const epochs = ticks();
      set($("#x-axis"), "step"); results.steps = ticks() !== epochs;
      $("#numbers").querySelectorAll("label").forEach((label) => {
        if (label.textContent.startsWith("weight norm")) set(label.querySelector("input"), true);
      });
      results.panels = $$(".panel").length;
    """, tmp_path)  # fmt: skip
    assert results["each_seed"] > results["all"] > results["without_train"] > 0
    assert results["without_one"] == results["each_seed"] - 3
    assert results["none"] == 0
    assert results["raw"] > 0
    assert results["pressed"] == ["true", "false"]
    for name in ("smoothed", "as_before", "linear", "steps"):
        assert results[name], name
    assert results["panels"] == 6


@needs_chromium
def test_zoom_and_reading(page, tmp_path):
    """By dragging and by keys, in all panels at once."""
    results = operate(page, """
      const svg = $('[data-panel="loss"] svg');
      const ticks = (panel) => texts(`[data-panel="${panel}"] text`);
      const box = svg.getBoundingClientRect();
      const send = (type, share, target = svg) => target.dispatchEvent(new PointerEvent(type, {
        clientX: box.left + share * box.width, clientY: box.top + 80,
        bubbles: true, pointerType: "mouse" }));
      const key = (name) =>
        svg.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
      const tip = $('[data-panel="loss"] .tip');
      const start = [ticks("loss"), ticks("grad_norm")];
      send("pointermove", 0.5);
      results.tip = [tip.hidden, tip.textContent];
      send("pointerleave", 0.5);
      results.left = tip.hidden;
      send("pointerdown", 0.4); send("pointermove", 0.7); send("pointerup", 0.7, window);
      results.zoomed = [ticks("loss") !== start[0], ticks("grad_norm") !== start[1]];
      results.zoomed.push($("#reset").hidden);
      $("#reset").click();
      results.reset = [ticks("loss") === start[0], $("#reset").hidden];
      svg.focus();
      results.focus = document.activeElement === svg;
      key("ArrowLeft");
      const first = tip.textContent;
      key("ArrowLeft");
      results.keys = [tip.hidden, tip.textContent !== first];
      key("+"); results.plus = ticks("loss") !== start[0];
      key("0"); results.zero = ticks("loss") === start[0];
      results.label = svg.getAttribute("aria-label");
    """, tmp_path)  # fmt: skip
    hidden, text = results["tip"]
    assert not hidden
    assert re.search(r"epoch.*train|epoch.*validation", text)
    assert results["left"]
    assert results["zoomed"] == [True, True, False]
    assert results["reset"] == [True, True]
    assert results["focus"]
    assert results["keys"] == [False, True]
    assert results["plus"] and results["zero"]
    assert "Arrow keys" in results["label"]


@needs_chromium
def test_tables_classes_and_theme(page, tmp_path):
    results = operate(page, """
      const table = $("#cost table");
      const rows = () => [...table.tBodies[0].rows];
      const column = () => rows().map((row) => Number(row.cells[1].dataset.value));
      const head = table.tHead.rows[0].cells[1];
      head.querySelector("button").click();
      results.down = [column(), head.getAttribute("aria-sort")];
      head.querySelector("button").click();
      results.up = [column(), head.getAttribute("aria-sort")];
      const choice = $("#class-run");
      choice.value = "3"; choice.dispatchEvent(new Event("change"));
      results.scenes = $$("#matrix tbody tr").length;
      results.tables = $$("[data-class-table]").filter((x) => !x.hidden)
        .map((x) => x.dataset.classTable);
      results.pairs = $$("#pairs li").length;
      const shade = () => getComputedStyle(document.body).backgroundColor;
      results.shades = [shade()];
      $("#theme").click(); results.shades.push(shade());
      $("#theme").click(); results.shades.push(shade());
      results.unreachable = $$("button, select, input, a[href], summary, svg[tabindex]")
        .filter((x) => x.tabIndex < 0).length;
      results.unnamed = $$("input, select").filter((x) => !x.labels.length).length;
    """, tmp_path)  # fmt: skip
    down, order = results["down"]
    assert order == "descending" and down == sorted(down, reverse=True)
    up, order = results["up"]
    assert order == "ascending" and up == sorted(up)
    assert results["scenes"] == 11
    assert results["tables"] == ["3"]
    assert 0 < results["pairs"] <= 12
    light, dark, again = results["shades"]
    assert light == again != dark
    assert results["unreachable"] == results["unnamed"] == 0


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """WCAG 2.2: 4.5 and more for text, 3 for what is drawn."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_have_contrast():
    css = (Path(cnnlab.report.__file__).parent / "templates" / "page.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    assert len(pairs) >= 20
    for theme in (1, 2):
        colors = {pair[0]: pair[theme] for pair in pairs}
        for name in ("ink", "quiet", "accent", "good", "bad"):
            assert contrast(colors[name], colors["card"]) >= 4.5, name
            assert contrast(colors[name], colors["page"]) >= 4.5, name
        for number in range(8):
            assert contrast(colors[f"c{number}"], colors["card"]) >= 3.0, number
