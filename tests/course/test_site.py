"""The site: complete, offline, and its widgets compute what the library computes."""

import html
import json
import re
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from cnnlab.analysis import receptive_fields, textbook
from cnnlab.cli.main import main
from cnnlab.course import check_names
from cnnlab.course.experiments import feature_maps
from cnnlab.course.pages import pages_folder, read_pages
from cnnlab.course.site import build_site
from cnnlab.course.site.builder import WIDGETS
from cnnlab.course.training import predictor
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.models import create_model
from tests.report.test_page_in_a_browser import CHROMIUM, needs_chromium

SCRIPT = """<script>
window.errors = [];
addEventListener("error", (event) => errors.push(event.message || event.target.src));
const results = {};
addEventListener("load", () => {
  const $ = (query) => document.querySelector(query);
  const $$ = (query) => [...document.querySelectorAll(query)];
  try { %s } catch (error) { errors.push(String(error.stack)); }
  results.errors = errors;
  parent.postMessage(JSON.stringify(results), "*");
});
</script></head>"""
FRAME = """<iframe src="%s" width="%d" height="900"></iframe><script>
addEventListener("message", (e) => { document.body.textContent = "RESULTS" + e.data + "END"; });
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("href", "src")]


def test_pages_are_complete_and_need_no_network(site):
    names = [page.name for page in read_pages()]
    assert {path.stem for path in site.glob("*.html")} == {"index", *names}
    for path in site.glob("*.html"):
        text = path.read_text()
        links = _Links()
        links.feed(text)
        assert links.found
        for link in links.found:
            assert link.startswith("#") or (site / link).is_file(), (path.name, link)
        if path.stem != "index":
            assert "<math" in text and 'class="code"' in text and "```" not in text
            assert ("data-widget=" in text) == (path.stem in WIDGETS)
    for path in (site / "assets").iterdir():
        assert "http" not in path.read_text().replace("http://www.w3.org", ""), path.name


def test_command(tmp_path, capsys):
    assert main(["launch.py", "course", "site", f"--out={tmp_path}", "--json"]) == 0
    pages = json.loads(capsys.readouterr().out)["pages"]
    assert pages[0] == str(tmp_path / "index.html") and len(pages) == 1 + len(read_pages())
    assert main(["launch.py", "course", "site", "stride", f"--out={tmp_path}"]) == 1
    assert "takes no figures" in capsys.readouterr().err


def use(site, page, script, tmp_path, width=1280):
    """Opens a page of the site in Chromium, runs a script, and returns the `results` it filled."""
    text = (site / f"{page}.html").read_text().replace("</head>", SCRIPT % script, 1)
    (site / f"tested_{page}.html").write_text(text)
    frame = site / f"frame_{page}.html"
    frame.write_text(FRAME % (f"tested_{page}.html", width))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               "--virtual-time-budget=20000", f"--user-data-dir={tmp_path}/profile",
               f"file://{frame}"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    finally:
        frame.unlink()
        (site / f"tested_{page}.html").unlink()
    found = re.search(r"RESULTS(\{.*?\})END", done.stdout, flags=re.S)
    assert found, done.stderr[-2000:]
    results = json.loads(html.unescape(found[1]))
    assert results.pop("errors") == []
    return results


@needs_chromium
@pytest.mark.slow
def test_layers_are_those_of_the_textbook(site, tmp_path):
    rng = np.random.default_rng(0)
    x, kernel = rng.integers(-3, 9, (6, 5)), rng.integers(-2, 4, (3, 3))
    small = rng.integers(0, 5, (2, 3))
    found = use(site, "convolution", f"""
      const x = {x.tolist()}, kernel = {kernel.tolist()}, small = {small.tolist()};
      results.convolved = course.convolve(x, kernel, {{ padding: 1, stride: 2 }});
      results.dilated = course.convolve(x, kernel, {{ padding: 2, dilation: 2 }});
      results.max = course.pool(x, 2, {{ padding: 1, stride: 2 }});
      results.mean = course.pool(x, 2, {{ padding: 1, stride: 2, kind: "mean" }});
      results.transposed = course.transposed(small, kernel, {{ padding: 1, stride: 2 }});
    """, tmp_path)  # fmt: skip
    spread = np.zeros((5, 5), int)
    spread[::2, ::2] = kernel
    wanted = {
        "convolved": textbook.cross_correlate(x, kernel, padding=1, stride=2),
        "dilated": textbook.cross_correlate(x, spread, padding=2),
        "max": textbook.pool(x, 2, stride=2, padding=1),
        "mean": textbook.pool(x, 2, kind="avg", stride=2, padding=1),
        "transposed": textbook.transposed_convolve(small, kernel, stride=2, padding=1),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)


STEP = """
  const words = () => $(".widget .words").textContent;
  const press = (name) => $$(".widget button").find((b) => b.textContent === name).click();
  const set = (name, value) => {
    const field = $$(".widget label").find((l) => l.textContent.startsWith(name)).firstElementChild;
    field.value = value;
    field.dispatchEvent(new Event("input"));
    return field;
  };
  results.first = words();
"""
USES = {
    "convolution": (
        STEP + "press('Step'); results.second = words(); press('Back'); results.back = words();"
        "set('kernel', 3); set('padding', 1); results.third = words();"
        "set('padding', 0); set('input', 2); results.none = words();"
        "results.invalid = set('stride', 0).getAttribute('aria-invalid');",
        lambda r: (
            "= 24" in r["first"]
            and "1·0 + 2·1 + 5·2 + 6·3 = 30" in r["second"]
            and r["back"] == r["first"]
            and "of 4×4" in r["third"]
            and r["none"].startswith("No window fits")
            and r["invalid"] == "true"
        ),
    ),
    "padding": (
        STEP + "set('padding', 0); results.less = words();",
        lambda r: "of 5×5: 0·0 + 0·1 + 0·2 + 0·3 = 0" in r["first"] and "of 3×3" in r["less"],
    ),
    "pooling": (
        STEP + "press('Step'); results.second = words();",
        lambda r: "max(0, 1, 4, 5) = 5" in r["first"] and "= 7" in r["second"],
    ),
    "transposed_convolution": (
        STEP + "set('padding', 1); results.less = words();",
        lambda r: "Output: 4×4" in r["first"] and "Output: 2×2" in r["less"],
    ),
    "stride": (
        STEP + "set('input', 8); set('kernel', 3); set('padding', 0); results.second = words();",
        lambda r: "= 112" in r["first"] and "= 3; 1 pixel" in r["second"],
    ),
    "batch_norm": (
        STEP + "results.cells = $$('.widget table')[1].textContent;",
        lambda r: r["first"].startswith("A mean and a deviation for each feature: 2 and 0.82;"),
    ),
    "layer_norm": (
        STEP + "results.cells = $$('.widget table')[1].textContent;",
        lambda r: "5 and 2.24" in r["first"] and "−1.34−0.450.451.34" in r["cells"],
    ),
}


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("page", USES)
def test_widget_is_used(page, site, tmp_path):
    script, holds = USES[page]
    found = use(site, page, script, tmp_path)
    assert holds(found), found


@needs_chromium
@pytest.mark.slow
def test_receptive_fields_are_those_of_the_library(site, tmp_path):
    found = use(site, "receptive_field", """
      const area = $(".widget textarea");
      results.rows = course.receptiveFields(course.parseLayers(area.value), 28);
      area.value = "conv stride 2";
      area.dispatchEvent(new Event("input"));
      results.mistake = $(".widget .scroll").textContent;
    """, tmp_path)  # fmt: skip
    rows = {row["name"]: row for row in found["rows"]}
    network = create_model("lenet", num_classes=10)
    fields = {field.name: field for field in receptive_fields(network, (28, 28, 1))}
    for name in ("conv1", "conv2"):
        field = fields[f"backbone/{name}"]
        assert (rows[name]["field"],) * 2 == field.size
        assert (rows[name]["jump"],) * 2 == field.stride
    assert rows["pool2"]["size"] == 5
    assert "Line 1" in found["mistake"]


@needs_chromium
@pytest.mark.slow
def test_digits_are_classified_as_by_the_library_and_shifted_by_keys(site, tmp_path):
    found = use(site, "digits", """
      const x = course.unpack(NETWORKS.example).map((v) => (v - NETWORKS.mean) / NETWORKS.std);
      for (const [name, { weights }] of Object.entries(NETWORKS.networks)) {
        const arrays = Object.entries(weights).map(([key, packed]) => [key, course.unpack(packed)]);
        results[name] = [...course.logits(name, Object.fromEntries(arrays), x)];
      }
      const canvas = $("canvas.digit");
      const answer = () => $$("[data-network] strong").map((x) => x.textContent);
      results.answers = [answer()];
      for (let n = 0; n < 4; n++) {
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      }
      results.answers.push(answer());
      results.words = $(".widget .words").textContent;
      const box = canvas.getBoundingClientRect();
      $$(".widget button").find((b) => b.textContent === "Clear").click();
      canvas.dispatchEvent(new PointerEvent("pointerdown", { buttons: 1, bubbles: true,
        clientX: box.left + 100, clientY: box.top + 100 }));
      const pixels = canvas.getContext("2d").getImageData(0, 0, 28, 28).data;
      results.drawn = [pixels[4 * (12 * 28 + 12)], pixels[0]];
    """, tmp_path)  # fmt: skip
    kept = json.loads((pages_folder() / "figures" / "feature_maps.json").read_text())
    image = np.round(255 * feature_maps.unpack(kept["example"])).astype(np.uint8)
    info = DatasetInfo(
        name="digits",
        class_names=tuple("0123456789"),
        image_shape=(28, 28, 1),
        num_examples={},
        mean=(kept["mean"],),
        std=(kept["std"],),
    )
    for name, options in feature_maps.NETWORKS.items():
        model = create_model(name, num_classes=10, **options)
        variables = feature_maps.network_variables(kept, name)
        logits = predictor(model, variables, info)(image[None, ..., None])[0]
        np.testing.assert_allclose(found[name], logits, rtol=2e-2, atol=0.1)
    assert found["answers"][0] == ["3", "3"]
    assert found["words"] == "Shifted by 4 to the right and 0 down."
    assert found["drawn"] == [255, 0]


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("page", ["index", "unet_variations", *WIDGETS])
def test_nothing_sticks_out_of_a_phone(page, site, tmp_path):
    found = use(site, page, """
      const scrolled = (x) => x.closest(".scroll, pre, .tables, .skip, math");
      results.wide = $$("body *").filter((x) => !scrolled(x))
        .filter((x) => x.getBoundingClientRect().right > innerWidth + 1)
        .map((x) => x.tagName + "." + x.className);
    """, tmp_path, width=390)  # fmt: skip
    assert found["wide"] == []


def test_mistakes_are_sentences():
    with pytest.raises(UserError, match="no figure 'sites'"):
        check_names(["sites"])
