/* The figures of a study: charts over its trials, and parallel coordinates. */

function showRow(number) {
  document.querySelectorAll("tr.found").forEach((row) => row.classList.remove("found"));
  const row = document.getElementById("trial" + number);
  row.classList.add("found");
  row.hidden = false;
  row.scrollIntoView({ behavior: "smooth", block: "center" });
}

/* Lines of a tip, of which the first is its heading. */
const told = (lines) => lines.map((line, i) => element(i ? "div" : "strong", {}, line));

function legend(series) {
  const kinds = new Map(series.filter((one) => one.name).map((one) => [one.name, one]));
  if (kinds.size < 2) return "";
  return element("p", { class: "legend" }, ...[...kinds].map(([name, one]) =>
    element("span", {}, swatch(one.color), name)));
}

for (const place of document.querySelectorAll("[data-chart]")) {
  const spec = data.charts[place.dataset.chart];
  const full = spec.x.range;
  for (const one of spec.series) one.color = `var(--${one.color})`;
  const chart = new Chart({
    height: spec.height,
    stops: (own) => spec.series.filter((one) => one.trials).flatMap((one) =>
      one.points.map(([x, y], i) => [x, own.height(one, y), one.trials[i]])),
    tell: (own, stop) => told(data.texts[stop[2]]),
    pick: (stop) => showRow(stop[2]),
    zoom: (range) => {
      const inside = range && [Math.max(range[0], full[0]), Math.min(range[1], full[1])];
      chart.draw({ ...spec, x: { ...spec.x, range: inside || full } });
    },
  });
  place.append(place.matches(":first-child") ? legend(spec.series) : "", chart.root);
  chart.draw(spec);
  onResize(place, () => chart.draw(chart.spec));
}

/* Parallel coordinates: drag along an axis to keep the lines that pass there. */

const brushes = new Map();
const tip = element("div", { class: "tip", hidden: "" });

function drawRails() {
  const svg = document.getElementById("rails");
  if (!svg) return;
  const { rails, lines } = data.rails;
  const [top, bottom, left, right] = [40, 14, 60, 95];
  svg.style.minWidth = 150 * rails.length + "px";
  const { width, height } = svg.getBoundingClientRect();
  const x = (index) => left + index * (width - left - right) / Math.max(rails.length - 1, 1);
  const y = (share) => top + (1 - share) * (height - top - bottom);
  const paths = lines.map((line) => {
    const points = line.heights.map((share, i) => [x(i), y(share)]);
    const d = points.map(([px, py], i) => {
      const middle = i && (points[i - 1][0] + px) / 2;
      return i ? `C${middle} ${points[i - 1][1]} ${middle} ${py} ${px} ${py}` : `M${px} ${py}`;
    }).join("");
    const path = element("path", { d, class: line.best ? "top" : "", style: `--good: ${100 * line.good}%` });
    path.addEventListener("mousemove", (event) => {
      path.classList.add("near");
      tip.replaceChildren(...told(line.text));
      tip.hidden = false;
      tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = Math.max(event.clientY - tip.offsetHeight - 10, 8) + "px";
    });
    path.addEventListener("mouseleave", () => { path.classList.remove("near"); tip.hidden = true; });
    path.addEventListener("click", () => showRow(line.trial));
    return path;
  });
  const filter = () => paths.forEach((path, number) => path.classList.toggle("out",
    [...brushes].some(([index, [low, high]]) => {
      const share = lines[number].heights[index];
      return share < low || share > high;
    })));
  const axes = rails.flatMap((rail, index) => {
    const brush = element("rect", { x: x(index) - 9, width: 18, class: "brush" });
    const grip = element("rect", { x: x(index) - 12, width: 24, y: top - 6, height: height - top - bottom + 12, class: "grip" });
    const show = () => {
      const [low, high] = brushes.get(index) ?? [0, 0];
      brush.setAttribute("y", y(high));
      brush.setAttribute("height", y(low) - y(high));
      filter();
    };
    const shareAt = (event) => 1 - (event.clientY - svg.getBoundingClientRect().top - top) / (height - top - bottom);
    let from = null;
    grip.addEventListener("pointerdown", (event) => {
      from = shareAt(event);
      grip.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    grip.addEventListener("pointermove", (event) => {
      if (from === null) return;
      brushes.set(index, [Math.min(from, shareAt(event)), Math.max(from, shareAt(event))]);
      show();
    });
    grip.addEventListener("pointerup", (event) => {
      if (Math.abs(shareAt(event) - from) < 0.01) brushes.delete(index); // a click clears
      from = null;
      show();
    });
    show();
    const ticks = rail.ticks.flatMap(([share, text]) => [
      element("line", { x1: x(index), x2: x(index) + 5, y1: y(share), y2: y(share) }),
      element("text", { x: x(index) + 8, y: y(share) + 4 }, text)]);
    return [element("line", { x1: x(index), x2: x(index), y1: y(0), y2: y(1) }),
      element("text", { x: x(index), y: 18, class: "name" }, rail.label), ...ticks, brush, grip];
  });
  svg.replaceChildren(...paths.toReversed(), ...axes); // the best is drawn last
}

const rails = document.getElementById("rails");
if (rails) {
  rails.parentElement.append(tip);
  onResize(rails.parentElement, drawRails);
}

/* The table, and the bars of the timeline. */

document.querySelectorAll("[data-trial]").forEach((bar) => {
  bar.addEventListener("click", () => showRow(bar.dataset.trial));
});
document.querySelectorAll("#states input").forEach((box) => {
  box.addEventListener("change", () => {
    document.querySelectorAll(`tr[data-state="${box.value}"]`).forEach((row) => { row.hidden = !box.checked; });
  });
});
