/* The curves of runs, and their confusion matrices. */

const SHARES = new Set(data.shares);
const WORDS = Object.fromEntries(data.numbers);

const color = (group) => data.groups[group].color;

function shown(value, name) {
  if (SHARES.has(name)) return `${value.toFixed(2)} %`;
  if (name === "images_per_second") return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(4)).toString();
}

// As TensorBoard smooths: an exponential mean, corrected for its start at nothing.
function smooth(points, weight) {
  let sum = 0;
  let total = 0;
  return points.map(([x, y]) => {
    sum = weight * sum + (1 - weight) * y;
    total = weight * total + (1 - weight);
    return [x, sum / total];
  });
}

function together(curves) {
  const at = new Map();
  for (const curve of curves) {
    for (const [x, y] of curve) at.set(x, [...(at.get(x) || []), y]);
  }
  return [...at.keys()].sort((a, b) => a - b).map((x) => {
    const values = at.get(x);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return [x, mean, Math.min(...values), Math.max(...values)];
  });
}

const groupOf = [];
data.groups.forEach((group, number) => group.runs.forEach((run) => { groupOf[run] = number; }));

// A baseline has one number for each split, and no course over epochs: it is drawn as a level.
const hasCourse = data.runs.map((run) => Object.values(run.curves).some((c) => c.step.length > 1));
const present = Object.keys(WORDS).filter((name) =>
  data.runs.some((run) => Object.values(run.curves).some((c) => c[name] && c.step.length > 1)));
const state = {
  x: "epoch",
  smoothing: 0,
  mean: data.groups.some((group) => group.runs.length > 1),
  splits: { train: true, validation: true, test: true },
  runs: new Set(data.runs.keys()),
  panels: new Set(present.filter((name) => data.shown.includes(name))),
  log: new Set(present.filter((name) => name === "loss")),
  range: null,
};

function pointsOf(run, split, name) {
  const curve = data.runs[run].curves[split];
  if (!curve || !curve[name]) return [];
  const factor = SHARES.has(name) ? 100 : 1;
  return curve[name].map((y, i) => [curve[state.x][i], y === null ? null : factor * y])
    .filter(([, y]) => y !== null);
}

function look(group, split, level) {
  return { color: color(group), split, level, style: `${split}${level ? " level" : ""}` };
}

function seriesOf(name) {
  const series = [];
  data.groups.forEach((group, number) => {
    const runs = group.runs.filter((run) => state.runs.has(run));
    for (const split of ["train", "validation", "test"]) {
      if (!state.splits[split]) continue;
      const own = runs.map((run) => ({ run, points: pointsOf(run, split, name) }))
        .filter(({ points }) => points.length);
      if (!own.length) continue;
      if (state.mean && own.length > 1) {
        const points = together(own.map(({ points: raw }) => smooth(raw, state.smoothing)));
        series.push({ ...look(number, split, false), label: `${group.label}, mean of ${own.length}`, points });
      } else {
        for (const { run, points } of own) {
          const label = data.runs.length > 1 ? data.runs[run].name : "";
          const level = !hasCourse[run];
          series.push({ ...look(number, split, level), label, points: smooth(points, state.smoothing),
            raw: state.smoothing && !level ? points : null });
        }
      }
    }
  });
  for (const one of series) one.dots = one.points.length < 30 && one.split !== "train" && !one.level;
  return series;
}

/* Ends of the y axis for the part of the x axis that is seen. */
function boundsOf(name, series, [left, right], log) {
  const inside = series.flatMap((one) => one.points.filter(([x]) => x >= left && x <= right));
  const ys = inside.flatMap((point) => point.slice(1)).filter((y) => Number.isFinite(y) && (!log || y > 0));
  if (!ys.length) return [0, 1];
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (log) return high / low < 1.05 ? [low / 1.5, high * 1.5] : [low, high];
  if (SHARES.has(name)) high = Math.max(high, low + 0.5);
  else if (low > 0 && low < 0.5 * high) low = 0;
  if (high - low < 1e-12) [low, high] = [low - 0.5 * Math.abs(low || 1), high + 0.5 * Math.abs(high || 1)];
  const room = 0.04 * (high - low);
  [low, high] = [low === 0 ? 0 : low - room, high + room];
  return [low, SHARES.has(name) ? Math.min(high, 100) : high];
}

function specOf(name) {
  const series = seriesOf(name);
  const xs = series.filter((s) => !s.level).flatMap((s) => s.points.map((p) => p[0]));
  const [left, right] = state.range || (xs.length ? [Math.min(...xs), Math.max(...xs)] : [0, 1]);
  const view = [left, right > left ? right : left + 1];
  for (const one of series) {
    if (one.level) one.points = view.map((x) => [x, one.points[0][1]]);
  }
  const log = state.log.has(name) && series.some((s) => s.points.some(([, y]) => y > 0));
  return {
    title: `${WORDS[name]} over ${state.x}s`, series,
    x: { kind: "linear", range: view },
    y: { kind: log ? "log" : "linear", range: boundsOf(name, series, view, log) },
  };
}

class Panel {
  constructor(name) {
    this.name = name;
    this.chart = new Chart({
      zoom,
      stops: ({ spec }) => [...new Set(spec.series.filter((s) => !s.level).flatMap((s) => s.points.map((p) => p[0])))].map((x) => [x]),
      tell: (chart, [x]) => this.tell(chart, x),
      point: (x) => panels.forEach((panel) => panel.chart.point(x)),
      leave: () => panels.forEach((panel) => panel.chart.unpoint()),
    });
    this.logButton = element("button", { type: "button" }, "log");
    this.logButton.addEventListener("click", () => {
      if (!state.log.delete(name)) state.log.add(name);
      this.draw();
    });
    this.root = element("div", { class: "panel" }, element("h3", {}, WORDS[name], this.logButton), this.chart.root);
    this.root.dataset.panel = name;
  }

  draw() {
    this.chart.draw(specOf(this.name));
    this.logButton.setAttribute("aria-pressed", this.chart.spec.y.kind === "log");
  }

  tell({ spec, view }, x) {
    const reach = (view[1] - view[0]) / 25;
    const lines = spec.series.map((one) => {
      const near = one.points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
      return { one, near };
    }).filter(({ one, near }) => one.level || Math.abs(near[0] - x) <= reach);
    lines.sort((a, b) => b.near[1] - a.near[1]);
    const told = [element("div", { class: "quiet" }, `${state.x} ${Number(x.toFixed(2)).toLocaleString("en")}`)];
    for (const { one, near } of lines.slice(0, 12)) {
      const label = one.label ? `${one.label}, ${one.split}` : one.split;
      const value = shown(near[1], this.name)
        + (near.length > 2 ? ` (${shown(near[2], this.name)} to ${shown(near[3], this.name)})` : "");
      told.push(element("div", {}, swatch(one.color), element("span", {}, label), element("b", {}, value)));
    }
    if (lines.length > 12) told.push(element("div", { class: "quiet" }, `and ${lines.length - 12} more`));
    return told;
  }
}

let panels = [];
const resetButton = document.getElementById("reset");

function zoom(range) {
  if (range) {
    const courses = data.runs.filter((_, run) => hasCourse[run]);
    const xs = courses.flatMap((run) => Object.values(run.curves).flatMap((c) => c[state.x]));
    const [low, high] = [Math.min(...xs), Math.max(...xs)];
    range = [Math.max(range[0], low), Math.min(range[1], high)];
    if (range[0] <= low && range[1] >= high) range = null;
  }
  state.range = range;
  resetButton.hidden = !range;
  drawCurves();
}

function drawCurves() {
  panels.forEach((panel) => panel.draw());
}

function makePanels() {
  panels = present.filter((name) => state.panels.has(name)).map((name) => new Panel(name));
  document.getElementById("panels").replaceChildren(...panels.map((panel) => panel.root));
  drawCurves();
}

function checkbox(label, checked, change, ...before) {
  const input = element("input", { type: "checkbox" });
  input.checked = checked;
  input.addEventListener("change", () => change(input.checked));
  return element("label", {}, input, ...before, label);
}

function startCurves() {
  if (!present.length) return;
  const splits = document.getElementById("splits");
  for (const split of ["train", "validation", "test"]) {
    if (!data.runs.some((run) => run.curves[split])) continue;
    splits.append(checkbox(split, true, (on) => { state.splits[split] = on; drawCurves(); }));
  }
  const numbers = document.getElementById("numbers");
  for (const name of present) {
    numbers.append(checkbox(WORDS[name], state.panels.has(name), (on) => {
      if (on) state.panels.add(name); else state.panels.delete(name);
      makePanels();
    }));
  }
  document.getElementById("x-axis").addEventListener("change", (event) => {
    state.x = event.target.value;
    zoom(null);
  });
  const smoothing = document.getElementById("smoothing");
  smoothing.addEventListener("input", () => {
    state.smoothing = Number(smoothing.value);
    document.getElementById("smoothing-value").textContent = state.smoothing.toFixed(2);
    drawCurves();
  });
  const mean = document.getElementById("mean");
  mean.checked = state.mean;
  mean.addEventListener("change", () => { state.mean = mean.checked; drawCurves(); });
  mean.parentElement.hidden = !state.mean;
  resetButton.addEventListener("click", () => zoom(null));
  const chips = document.getElementById("runs");
  if (data.runs.length > 1) {
    data.groups.forEach((group, number) => group.runs.forEach((run) => {
      const chip = checkbox(data.runs[run].name, true, (on) => {
        if (on) state.runs.add(run); else state.runs.delete(run);
        drawCurves();
      }, swatch(color(number)));
      chip.className = "chip";
      chip.title = group.label;
      chips.append(chip);
    }));
    const all = element("button", { type: "button" }, "all");
    const none = element("button", { type: "button" }, "none");
    for (const [button, on] of [[all, true], [none, false]]) {
      button.addEventListener("click", () => {
        chips.querySelectorAll("input").forEach((input) => { input.checked = on; });
        state.runs = new Set(on ? data.runs.keys() : []);
        drawCurves();
      });
      chips.append(button);
    }
  }
  makePanels();
  onResize(document.getElementById("panels"), drawCurves);
}

/* Classes */

function drawMatrix(confusion, percent) {
  const { names, counts } = confusion;
  const long = Math.max(...names.map((name) => name.length)) > 3;
  const head = element("tr", {}, element("td", { class: "corner" }));
  for (const name of names) head.append(element("th", { scope: "col", class: long ? "tall" : "" }, name));
  const body = element("tbody");
  counts.forEach((row, i) => {
    const total = row.reduce((a, b) => a + b, 0);
    const line = element("tr", {}, element("th", { scope: "row" }, names[i]));
    row.forEach((count, j) => {
      const share = total ? count / total : 0;
      const text = percent ? (100 * share).toFixed(share < 0.0995 ? 1 : 0) : count.toLocaleString("en");
      const cell = element("td", { style: `--s: ${share.toFixed(3)}`,
        class: count === 0 ? "zero" : share > 0.55 ? "strong" : "",
        title: `${names[i]} taken for ${names[j]}: ${count.toLocaleString("en")} (${(100 * share).toFixed(2)} %)` }, text);
      line.append(cell);
    });
    body.append(line);
  });
  return element("table", { class: "matrix" }, element("thead", {}, head), body);
}

function startClasses() {
  const choice = document.getElementById("class-run");
  if (!choice) return;
  const unit = document.getElementById("matrix-unit");
  const place = document.getElementById("matrix");
  const pairs = document.getElementById("pairs");
  const tables = document.querySelectorAll("[data-class-table]");
  const first = data.runs[Number(choice.value)].confusion;
  unit.value = first.pixels ? "percent" : "count";
  const draw = () => {
    const { confusion } = data.runs[Number(choice.value)];
    place.replaceChildren(confusion.counts ? drawMatrix(confusion, unit.value === "percent")
      : element("p", { class: "quiet" }, `A matrix of ${confusion.names.length} classes would be too large to read.`));
    pairs.previousElementSibling.hidden = !confusion.pairs.length;
    pairs.replaceChildren(...confusion.pairs.map(([a, b, count]) =>
      element("li", {}, `${a} taken for ${b}: ${count.toLocaleString("en")}`)));
    tables.forEach((table) => { table.hidden = table.dataset.classTable !== choice.value; });
  };
  choice.addEventListener("change", draw);
  unit.addEventListener("change", draw);
  draw();
}

startCurves();
startClasses();
