"""The page of a study in headless Chromium: no errors, figures, and controls that work."""

import pytest

from cnnlab.report.study_page.page import About, study_page
from tests.report.study_records import mixed
from tests.report.test_page_in_a_browser import needs_chromium, operate


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_page_works(tmp_path, width):
    shares = {"optimizer.learning_rate": 0.7, "model.name": 0.3}
    page = study_page(mixed(), importances=shares, about=About(command="train"))
    script = """
      const drawn = (x) => x.querySelector("path.curve, path.mark");
      results.plots = $$(".plot svg").filter(drawn).length;
      const history = $("[data-chart=history] svg");
      const key = (name) => history.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
      const said = new Set(), history_tip = $("[data-chart=history] .tip");
      for (let i = 0; i < 20; i++) { key("ArrowRight"); said.add(history_tip.innerText); }
      results.said = said.size;

      const order = () => $$("#trials tbody tr").map((row) => Number(row.id.slice(5)));
      const heads = $$("th button");
      heads[2].click(); results.best = order().slice(0, 3);
      heads[2].click(); results.worst = order().slice(0, 3);
      heads[2].click();
      heads[4].click(); results.names = order();
      results.sorted = heads[4].parentElement.getAttribute("aria-sort");
      $("#states input[value=pruned]").click();
      results.hidden = $$("tbody tr").filter((row) => row.hidden).map((row) => row.id);
      key("0"); key("ArrowLeft");
      for (let i = 0; i < 20; i++) key("ArrowLeft");
      for (let i = 0; i < 3; i++) key("ArrowRight");
      key("Enter");
      results.found = $$("tr.found").map((row) => [row.id, row.hidden]);

      const lines = () => $$("#rails path.out").length;
      const grip = $("#rails .grip"), box = grip.getBoundingClientRect();
      grip.setPointerCapture = () => {};
      const send = (type, y) =>
        grip.dispatchEvent(new PointerEvent(type, { clientX: box.x, clientY: box.y + y }));
      const drag = (from, to) => {
        send("pointerdown", from); send("pointermove", to); send("pointerup", to);
      };
      results.lines = $$("#rails path").length;
      drag(0, box.height / 2); results.out = lines();
      drag(9, 9); results.cleared = lines();
      $("#rails path").dispatchEvent(new MouseEvent("mousemove", { clientX: 99, clientY: 99 }));
      results.tip = $("#parallel .tip").innerText;

      const inks = () => [document.body, $("#curves text")].map((x) => getComputedStyle(x).color);
      const before = inks();
      $("#theme").click(); results.dark = inks().every((ink, i) => ink !== before[i]);
      results.unnamed = $$("input").filter((x) => !x.labels.length).length;
      const free = (x) => !x.closest(".scroll, pre, svg, .plot");
      const out = (x) => x.getBoundingClientRect().right > innerWidth + 1;
      results.wide = $$("main *").filter((x) => free(x) && out(x))
        .map((x) => x.tagName + "." + x.className);
    """
    results = operate(page, script, tmp_path, width=width)
    assert results["plots"] == 5
    assert results["said"] == 12
    assert results["worst"] == [3, 7, 0]
    assert results["best"] == [11, 10, 9]
    # By the choice, and then as they were: sorting is stable.
    assert results["names"] == [11, 10, 8, 5, 4, 2, 1, 7, 9, 6, 0, 3]
    assert results["sorted"] == "ascending"
    assert results["hidden"] == ["trial3"]
    assert results["found"] == [["trial3", False]]
    assert results["lines"] == 9
    assert results["out"] == 4  # learning rates in the lower half of the axis
    assert results["cleared"] == 0
    assert (
        "trial 0, complete\nvalidation accuracy 82.00 %, step 500\nlearning_rate = 0.001"
        in (results["tip"])
    )
    assert results["dark"]
    assert results["unnamed"] == 0
    assert results["wide"] == []
