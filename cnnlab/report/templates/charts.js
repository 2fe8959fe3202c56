/* Charts of lines and points that are read, zoomed and picked by mouse, touch and keyboard.

What `Chart.draw` takes is what `report/charts.py` describes: an axis has a label, a kind ("linear"
or "log"), maybe a range and ticks [place, text]; points of a series are [x, y] or
[x, y, low, high]. */

const MARGIN = { left: 52, right: 12, top: 8, bottom: 24 };

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

function tickText(tick) {
  const size = Math.abs(tick);
  if (size >= 1e5 || (size && size < 1e-4)) return tick.toExponential();
  return size >= 1e4 ? tick.toLocaleString("en") : String(tick);
}

function ticksOf(axis, [low, high], count) {
  if (axis.ticks?.length) return axis.ticks.filter(([x]) => x >= low && x <= high);
  const ticks = axis.kind === "log" ? logTicks(low, high) : linearTicks(low, high, count);
  const fit = axis.whole ? ticks.filter(Number.isInteger) : ticks;
  return fit.map((tick) => [tick, tickText(tick)]);
}

/* Outline of a mark around a point. */
function markPath(kind, x, y, r) {
  const at = (turns, size = r) =>
    `${(x + size * Math.sin(2 * Math.PI * turns)).toFixed(1)} ${(y - size * Math.cos(2 * Math.PI * turns)).toFixed(1)}`;
  if (kind === "cross") return `M${at(0.125)}L${at(0.625)}M${at(0.375)}L${at(0.875)}`;
  if (kind === "down") return `M${at(0.5)}L${at(0.833)}L${at(0.167)}Z`;
  if (kind === "up") return `M${at(0)}L${at(0.333)}L${at(0.667)}Z`;
  if (kind === "star") {
    return `M${[...Array(10).keys()].map((i) => at(i / 10, i % 2 ? 0.8 * r : 2 * r)).join("L")}Z`;
  }
  return `M${at(0)}A${r} ${r} 0 1 1 ${at(0.5)}A${r} ${r} 0 1 1 ${at(0)}Z`;
}

class Chart {
  /* Options: `stops(chart)` gives the places [x] or [x, y, ...] that can be read, `tell(chart, stop)`
  the lines of the tip, `point(x)` and `leave()` are called as one is read, `zoom(range)` as a part
  is chosen, `pick(stop)` at a click. */
  constructor(options) {
    this.options = { height: 250, point: () => {}, leave: () => {}, pick: () => {}, ...options };
    this.svg = element("svg", { tabindex: "0", role: "application", height: this.options.height });
    this.tip = element("div", { class: "tip", hidden: "" });
    this.root = element("div", { class: "plot" }, this.svg, this.tip);
    this.listen();
  }

  draw(spec) {
    this.spec = spec;
    this.width = this.root.clientWidth || 480;
    this.bottom = this.options.height - MARGIN.bottom - (spec.x.label ? 16 : 0);
    this.top = MARGIN.top + (spec.y.label ? 16 : 0);
    this.view = spec.x.range;
    this.bounds = spec.y.range;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.options.height}`);
    this.svg.setAttribute("aria-label",
      `${spec.title}, ${spec.series.length} curves. Arrow keys read values, plus and minus zoom, 0 shows all.`);
    this.cross = element("path", { class: "cross" });
    this.selection = element("rect", { class: "select", y: this.top, height: this.bottom - this.top, width: 0 });
    this.svg.replaceChildren(...this.axes(), this.curves(), this.cross, this.selection);
  }

  share(axis, [low, high], value) {
    return axis.kind === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  }

  px(x) {
    return MARGIN.left + this.share(this.spec.x, this.view, x) * (this.width - MARGIN.left - MARGIN.right);
  }

  py(y) {
    return this.bottom - this.share(this.spec.y, this.bounds, y) * (this.bottom - this.top);
  }

  x(px) {
    const [low, high] = this.view;
    const share = (px - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    return this.spec.x.kind === "log" ? low * (high / low) ** share : low + share * (high - low);
  }

  axes() {
    const { x, y } = this.spec;
    const [left, right, bottom] = [MARGIN.left, this.width - MARGIN.right, this.bottom];
    const parts = [];
    for (const [tick, text] of ticksOf(y, this.bounds, 5)) {
      const height = this.py(tick);
      parts.push(element("line", { class: "grid", x1: left, x2: right, y1: height, y2: height }));
      parts.push(element("text", { x: left - 6, y: height + 4, "text-anchor": "end" }, text));
    }
    for (const [tick, text] of ticksOf(x, this.view, Math.max(this.width / 90, 2))) {
      parts.push(element("text", { x: this.px(tick), y: bottom + 16, "text-anchor": "middle" }, text));
    }
    if (x.label) parts.push(element("text", { x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle" }, x.label));
    if (y.label) parts.push(element("text", { x: 0, y: 12 }, y.label));
    return parts;
  }

  /* Points that a logarithmic axis can show. */
  seen(one) {
    return one.points.filter(([x, y]) => (this.spec.y.kind !== "log" || y > 0) && (this.spec.x.kind !== "log" || x > 0));
  }

  height(one, y) {
    if (one.edge) return one.edge === "low" ? this.bottom - 8 : this.top + 8;
    return this.py(y);
  }

  line(points, index) {
    const at = (point) => `${this.px(point[0]).toFixed(1)} ${this.py(point[index]).toFixed(1)}`;
    return points.length ? `M${points.map(at).join("L")}` : "";
  }

  curves() {
    const id = `clip${Chart.count++}`;
    const clip = element("clipPath", { id }, element("rect", {
      x: MARGIN.left - 4, y: 0, width: this.width - MARGIN.left - MARGIN.right + 8, height: this.bottom + 3,
    }));
    const group = element("g", { "clip-path": `url(#${id})` });
    for (const one of this.spec.series) {
      const points = this.seen(one);
      const style = `--color: ${one.color}; --width: ${one.width ?? 1.7}; opacity: ${one.opacity ?? 1}`;
      const add = (type, d) => group.append(element("path", { class: type, d, style }));
      if (one.mark) {
        for (const [x, y, low, high] of points) {
          if (high !== undefined) add("curve", `M${this.px(x)} ${this.py(low)}V${this.py(high)}`);
        }
        add(`mark ${one.mark}${one.open ? " open" : ""}`, points.map(([x, y]) =>
          markPath(one.mark, this.px(x), this.height(one, y), one.size ?? 4)).join(""));
        continue;
      }
      if (points[0]?.length > 2) {
        add("band", `${this.line(points, 2)}${this.line([...points].reverse(), 3).replace("M", "L")}Z`);
      }
      if (one.raw) add("curve raw", this.line(this.seen({ points: one.raw }), 1));
      add(`curve ${one.style ?? ""}`, this.line(points, 1));
      if (one.dots) add("mark", points.map(([x, y]) => markPath("dot", this.px(x), this.py(y), points.length > 1 ? 2 : 3.5)).join(""));
    }
    return element("g", {}, clip, group);
  }

  places() {
    const stops = new Map(this.options.stops(this).map((stop) => [String(stop), stop]));
    return [...stops.values()].filter(([x]) => x >= this.view[0] && x <= this.view[1]).sort((a, b) => a[0] - b[0]);
  }

  point(x) {
    this.cross.setAttribute("d", `M${this.px(x)} ${this.top}V${this.bottom}`);
  }

  read(stop) {
    this.at = stop;
    this.point(stop[0]);
    this.options.point(stop[0]);
    this.tip.replaceChildren(...this.options.tell(this, stop));
    this.tip.hidden = false;
    const x = this.px(stop[0]);
    const right = x > this.width / 2;
    this.tip.style.left = right ? "auto" : `${x + 12}px`;
    this.tip.style.right = right ? `${this.width - x + 12}px` : "auto";
  }

  unpoint() {
    this.cross.setAttribute("d", "");
  }

  leave() {
    this.tip.hidden = true;
    this.unpoint();
    this.options.leave();
  }

  nearest(event) {
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = (stop) => Math.hypot(this.px(stop[0]) - x, stop[1] === undefined ? 0 : stop[1] - y);
    const places = this.places();
    const inside = Math.min(Math.max(x, MARGIN.left), this.width - MARGIN.right);
    return { x: this.x(inside), stop: places.length ? places.reduce((a, b) => (far(b) < far(a) ? b : a)) : null };
  }

  listen() {
    let from = null;
    const zoom = (a, b) => this.options.zoom([Math.min(a, b), Math.max(a, b)]);
    this.svg.addEventListener("pointermove", (event) => {
      const { x, stop } = this.nearest(event);
      if (from === null) {
        if (stop) this.read(stop);
        return;
      }
      const [a, b] = [this.px(Math.min(from, x)), this.px(Math.max(from, x))];
      this.selection.setAttribute("x", a);
      this.selection.setAttribute("width", b - a);
    });
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "touch") from = this.nearest(event).x;
    });
    window.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const [start, to] = [from, this.nearest(event).x];
      from = null;
      this.selection.setAttribute("width", 0);
      if (Math.abs(this.px(to) - this.px(start)) > 6) zoom(start, to);
    });
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("blur", () => this.leave());
    this.svg.addEventListener("dblclick", () => this.options.zoom(null));
    this.svg.addEventListener("click", (event) => {
      const { stop } = this.nearest(event);
      if (stop) this.options.pick(stop);
    });
    this.svg.addEventListener("keydown", (event) => {
      const places = this.places();
      const index = places.findIndex((stop) => String(stop) === String(this.at));
      const [left, right] = [this.px(this.view[0]), this.px(this.view[1])];
      const middle = index >= 0 ? this.px(places[index][0]) : (left + right) / 2;
      const around = (part) => zoom(this.x(middle - part * (right - left)), this.x(middle + part * (right - left)));
      if (event.key === "ArrowRight" && places.length) this.read(places[Math.min(index + 1, places.length - 1)]);
      else if (event.key === "ArrowLeft" && places.length) this.read(places[index < 0 ? places.length - 1 : Math.max(index - 1, 0)]);
      else if (event.key === "Enter" && index >= 0) this.options.pick(places[index]);
      else if (event.key === "+" || event.key === "=") around(0.25);
      else if (event.key === "-") around(1);
      else if (event.key === "0" || event.key === "Escape") this.options.zoom(null);
      else return;
      event.preventDefault();
    });
  }
}
Chart.count = 0;

/* Draws again whenever the width of a place changes. */
function onResize(place, draw) {
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    draw();
  }).observe(place);
}
