"""The page of a study in headless Chromium: no errors, figures, and controls that work."""

import pytest

from cnnlab.report.study_page import study_page
from tests.report.study_records import mixed
from tests.report.test_page_in_a_browser import needs_chromium, operate


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_page_works(tmp_path, width):
    page = study_page(
        mixed(), importances={"optimizer.learning_rate": 0.7, "model.name": 0.3}, command="train"
    )
    script = """
      document.body.style.width = "%dpx";
      dispatchEvent(new Event("resize"));
      results.plots = $$(".plot").filter((x) => x.querySelector(".main-svg")).length;
      const said = $("[data-plot=history]").data.flatMap((trace) => trace.hovertext || []);
      results.said = new Set(said).size;

      const order = () => $$("tbody tr").map((row) => Number(row.id.slice(5)));
      const heads = $$("th button");
      heads[2].click(); results.worst = order().slice(0, 3);
      heads[2].click(); results.best = order().slice(0, 3);
      heads[4].click(); results.names = order();
      results.sorted = heads[4].parentElement.getAttribute("aria-sort");
      $(".filters input[value=pruned]").click();
      results.hidden = $$("tbody tr").filter((row) => row.hidden).map((row) => row.id);
      $("[data-plot=history]").emit("plotly_click", { points: [{ customdata: 3 }] });
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
      results.tip = $("#tip").innerText;

      const inks = () => [getComputedStyle(document.body).color, $("#curves text").style.fill];
      const before = inks();
      $("#theme").click(); results.dark = inks().every((ink, i) => ink !== before[i]);
      results.unnamed = $$("input").filter((x) => !x.labels.length).length;
      const free = (x) => !x.closest(".scroll, pre, svg, .plot");
      results.wide = $$("main *").filter((x) => free(x) && x.getBoundingClientRect().right > %d)
        .map((x) => x.tagName + "." + x.className);
    """
    results = operate(page, script % (width, width + 1), tmp_path, width=max(width, 500))
    assert results["plots"] == 7
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
    assert "trial 0, complete\naccuracy 82.00 %, step 500\nlearning_rate = 0.001" in results["tip"]
    assert results["dark"]
    assert results["unnamed"] == 0
    assert results["wide"] == []
