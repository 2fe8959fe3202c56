"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const SHARES = new Set(data.shares);
const WORDS = {
  loss: "loss", accuracy: "accuracy (%)", miou: "mean IoU (%)", top5: "top-5 accuracy (%)",
  mean_class_accuracy: "mean accuracy of classes (%)", mean_dice: "mean Dice (%)",
  boundary_f1: "boundary F1 (%)", learning_rate: "learning rate", grad_norm: "gradient norm",
  param_norm: "weight norm", images_per_second: "images per second",
};
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 250;
const MARGIN = { left: 52, right: 10, top: 8, bottom: 24 };

function element(name, attributes = {}, ...children) {
  const node = name in { svg: 1, path: 1, line: 1, rect: 1, text: 1, g: 1, circle: 1, clipPath: 1 }
    ? document.createElementNS(SVG, name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function color(group) {
  return group < 8 ? `var(--c${group})` : `hsl(${(group * 137.5) % 360} 60% 50%)`;
}

// Numbers -----------------------------------------------------------------------------------------

function shown(value, name) {
  if (SHARES.has(name)) return `${value.toFixed(2)} %`;
  if (name === "images_per_second") return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(4)).toString();
}

function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks.map((tick) => Number(tick.toPrecision(10)));
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const parts = decades > 3.5 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 3, 5, 7];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const part of parts) {
      const tick = Number((part * 10 ** power).toPrecision(3));
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
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

// Curves ------------------------------------------------------------------------------------------

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
  panels: new Set(present.filter((name) => !["top5", "mean_class_accuracy", "mean_dice",
    "boundary_f1", "param_norm", "images_per_second"].includes(name))),
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
        series.push({ group: number, split, label: `${group.label}, mean of ${own.length}`, points });
      } else {
        for (const { run, points } of own) {
          const label = data.runs.length > 1 ? data.runs[run].name : "";
          const level = !hasCourse[run];
          series.push({ group: number, split, label, level, points: smooth(points, state.smoothing),
            raw: state.smoothing && !level ? points : null });
        }
      }
    }
  });
  return series;
}

class Panel {
  constructor(name) {
    this.name = name;
    this.svg = element("svg", { tabindex: "0", role: "application", height: HEIGHT });
    this.tip = element("div", { class: "tip", hidden: "" });
    this.plot = element("div", { class: "plot" }, this.svg, this.tip);
    this.logButton = element("button", { type: "button" }, "log");
    this.logButton.addEventListener("click", () => {
      if (!state.log.delete(name)) state.log.add(name);
      this.draw();
    });
    this.root = element("div", { class: "panel" },
      element("h3", {}, WORDS[name], this.logButton), this.plot);
    this.root.dataset.panel = name;
    this.listen();
  }

  draw() {
    this.series = seriesOf(this.name);
    this.width = this.plot.clientWidth || 480;
    const xs = this.series.filter((s) => !s.level).flatMap((s) => s.points.map((p) => p[0]));
    const full = [Math.min(...xs), Math.max(...xs)];
    const [left, right] = state.range || (xs.length ? full : [0, 1]);
    this.view = [left, right > left ? right : left + 1];
    this.series.filter((s) => s.level).forEach((s) => {
      s.points = this.view.map((x) => [x, s.points[0][1]]);
    });
    const all = this.series.flatMap((s) => s.points);
    const inside = all.filter((p) => p[0] >= this.view[0] && p[0] <= this.view[1]);
    const ys = inside.flatMap((p) => p.slice(1)).filter(Number.isFinite);
    const positive = ys.filter((y) => y > 0);
    this.log = state.log.has(this.name) && positive.length > 0;
    let low = Math.min(...(this.log ? positive : ys));
    let high = Math.max(...(this.log ? positive : ys));
    if (!ys.length) [low, high] = [0, 1];
    if (this.log) {
      if (high / low < 1.05) [low, high] = [low / 1.5, high * 1.5];
    } else {
      if (SHARES.has(this.name)) high = Math.max(high, low + 0.5);
      else low = Math.min(low, low > 0 && low < 0.5 * high ? 0 : low);
      if (high - low < 1e-12) [low, high] = [low - 0.5 * Math.abs(low || 1), high + 0.5 * Math.abs(high || 1)];
      const room = 0.04 * (high - low);
      [low, high] = [low === 0 ? 0 : low - room, high + room];
      if (SHARES.has(this.name) && high > 100) high = 100;
    }
    this.bounds = [low, high];
    this.logButton.setAttribute("aria-pressed", this.log);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label",
      `${WORDS[this.name]} over ${state.x}s, ${this.series.length} curves. `
      + "Arrow keys read values, plus and minus zoom, 0 shows all.");
    this.svg.replaceChildren(...this.axes(), this.curves());
    this.cross = element("line", { class: "cross", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom });
    this.cross.style.display = "none";
    this.selection = element("rect", { class: "select", y: MARGIN.top,
      height: HEIGHT - MARGIN.top - MARGIN.bottom });
    this.selection.style.display = "none";
    this.svg.append(this.cross, this.selection);
  }

  px(x) {
    const [low, high] = this.view;
    return MARGIN.left + ((x - low) / (high - low)) * (this.width - MARGIN.left - MARGIN.right);
  }

  x(px) {
    const [low, high] = this.view;
    const share = (px - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    return low + Math.min(Math.max(share, 0), 1) * (high - low);
  }

  py(y) {
    const [low, high] = this.bounds;
    const share = this.log ? Math.log(y / low) / Math.log(high / low) : (y - low) / (high - low);
    return HEIGHT - MARGIN.bottom - share * (HEIGHT - MARGIN.top - MARGIN.bottom);
  }

  axes() {
    const parts = [];
    const [low, high] = this.bounds;
    for (const tick of this.log ? logTicks(low, high) : linearTicks(low, high, 5)) {
      const y = this.py(tick);
      parts.push(element("line", { class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: y, y2: y }));
      parts.push(element("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" },
        Math.abs(tick) >= 1e5 || (tick !== 0 && Math.abs(tick) < 1e-4) ? tick.toExponential() : String(tick)));
    }
    for (const tick of linearTicks(...this.view, Math.max(this.width / 90, 2))) {
      parts.push(element("text", { x: this.px(tick), y: HEIGHT - 8, "text-anchor": "middle" },
        tick.toLocaleString("en")));
    }
    return parts;
  }

  path(points, index) {
    let text = "";
    for (const point of points) {
      const y = point[index];
      if (this.log && !(y > 0)) continue;
      text += `${text ? "L" : "M"}${this.px(point[0]).toFixed(1)} ${this.py(y).toFixed(1)}`;
    }
    return text;
  }

  curves() {
    const id = `clip-${this.name}`;
    const clip = element("clipPath", { id }, element("rect", {
      x: MARGIN.left, y: 0, width: this.width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.bottom + 3,
    }));
    const group = element("g", { "clip-path": `url(#${id})` });
    for (const one of this.series) {
      const paint = color(one.group);
      if (one.points[0].length > 2) {
        const back = [...one.points].reverse();
        const band = this.path(one.points, 2) + this.path(back, 3).replace("M", "L") + "Z";
        group.append(element("path", { class: "band", d: band, fill: paint }));
      }
      if (one.raw) group.append(element("path", { class: "curve raw", d: this.path(one.raw, 1), stroke: paint }));
      group.append(element("path", { class: `curve ${one.split}${one.level ? " level" : ""}`, d: this.path(one.points, 1), stroke: paint }));
      if (one.points.length < 30 && one.split !== "train" && !one.level) {
        for (const [x, y] of one.points) {
          if (this.log && !(y > 0)) continue;
          group.append(element("circle", { cx: this.px(x), cy: this.py(y), r: one.points.length > 1 ? 2 : 3.5, fill: paint }));
        }
      }
    }
    return element("g", {}, clip, group);
  }

  places() {
    const courses = this.series.filter((s) => !s.level);
    const places = new Set(courses.flatMap((s) => s.points.map((p) => p[0])));
    return [...places].filter((x) => x >= this.view[0] && x <= this.view[1]).sort((a, b) => a - b);
  }

  point(x) {
    this.cross.style.display = "";
    this.cross.setAttribute("x1", this.px(x));
    this.cross.setAttribute("x2", this.px(x));
  }

  read(x) {
    this.at = x;
    panels.forEach((panel) => panel.point(x));
    const reach = (this.view[1] - this.view[0]) / 25;
    const lines = this.series.map((one) => {
      const near = one.points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
      return { one, near };
    }).filter(({ one, near }) => one.level || Math.abs(near[0] - x) <= reach);
    lines.sort((a, b) => b.near[1] - a.near[1]);
    this.tip.replaceChildren(element("div", { class: "quiet" }, `${state.x} ${Number(x.toFixed(2)).toLocaleString("en")}`));
    for (const { one, near } of lines.slice(0, 12)) {
      const swatch = element("i", { class: "swatch", style: `--color: ${color(one.group)}` });
      const label = one.label ? `${one.label}, ${one.split}` : one.split;
      const value = shown(near[1], this.name)
        + (near.length > 2 ? ` (${shown(near[2], this.name)} to ${shown(near[3], this.name)})` : "");
      this.tip.append(element("div", {}, swatch, element("span", {}, label), element("b", {}, value)));
    }
    if (lines.length > 12) this.tip.append(element("div", { class: "quiet" }, `and ${lines.length - 12} more`));
    this.tip.hidden = false;
    const right = this.px(x) > this.width / 2;
    this.tip.style.left = right ? "auto" : `${this.px(x) + 12}px`;
    this.tip.style.right = right ? `${this.width - this.px(x) + 12}px` : "auto";
  }

  leave() {
    this.tip.hidden = true;
    panels.forEach((panel) => { panel.cross.style.display = "none"; });
  }

  nearest(event) {
    const box = this.svg.getBoundingClientRect();
    const x = this.x(((event.clientX - box.left) / box.width) * this.width);
    const places = this.places();
    return { x, place: places.length ? places.reduce((a, b) => (Math.abs(b - x) < Math.abs(a - x) ? b : a)) : null };
  }

  listen() {
    let from = null;
    this.svg.addEventListener("pointermove", (event) => {
      const { x, place } = this.nearest(event);
      if (from === null) {
        if (place !== null) this.read(place);
        return;
      }
      const [a, b] = [this.px(Math.min(from, x)), this.px(Math.max(from, x))];
      this.selection.style.display = "";
      this.selection.setAttribute("x", a);
      this.selection.setAttribute("width", b - a);
    });
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "touch") from = this.nearest(event).x;
    });
    window.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = this.nearest(event).x;
      const start = from;
      from = null;
      this.selection.style.display = "none";
      if (Math.abs(this.px(to) - this.px(start)) > 6) zoom([Math.min(start, to), Math.max(start, to)]);
    });
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("blur", () => this.leave());
    this.svg.addEventListener("dblclick", () => zoom(null));
    this.svg.addEventListener("keydown", (event) => {
      const places = this.places();
      const index = places.indexOf(this.at);
      const [low, high] = this.view;
      const middle = index >= 0 ? places[index] : (low + high) / 2;
      if (event.key === "ArrowRight" && places.length) this.read(places[Math.min(index + 1, places.length - 1)]);
      else if (event.key === "ArrowLeft" && places.length) this.read(places[index < 0 ? places.length - 1 : Math.max(index - 1, 0)]);
      else if (event.key === "+" || event.key === "=") zoom([middle - (high - low) / 4, middle + (high - low) / 4]);
      else if (event.key === "-") zoom([middle - (high - low), middle + (high - low)]);
      else if (event.key === "0" || event.key === "Escape") zoom(null);
      else return;
      event.preventDefault();
    });
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
      }, element("i", { class: "swatch", style: `--color: ${color(number)}` }));
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
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    drawCurves();
  }).observe(document.getElementById("panels"));
}

// Classes -----------------------------------------------------------------------------------------

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
    pairs.replaceChildren(...confusion.pairs.map(([a, b, count]) =>
      element("li", {}, `${a} taken for ${b}: ${count.toLocaleString("en")}`)));
    tables.forEach((table) => { table.hidden = table.dataset.classTable !== choice.value; });
  };
  choice.addEventListener("change", draw);
  unit.addEventListener("change", draw);
  draw();
}

// Tables, copying, colours ------------------------------------------------------------------------

function startSorting(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = element("button", { type: "button" }, ...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = [...body.rows].sort((a, b) => {
        const [left, right] = [key(a), key(b)];
        const numeric = left !== "" && right !== "" && !Number.isNaN(Number(left)) && !Number.isNaN(Number(right));
        if (left === "" || right === "") return (left === "") - (right === "");
        const order = numeric ? Number(left) - Number(right) : left.localeCompare(right);
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
}

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
document.querySelectorAll("table.sortable").forEach(startSorting);
document.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", () => copy(button)));
// On paper nothing can be opened.
addEventListener("beforeprint", () => document.querySelectorAll("details.printed").forEach((x) => { x.open = true; }));
startCurves();
startClasses();
