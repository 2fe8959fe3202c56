"use strict";

const systemTheme = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : systemTheme.matches;
const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();

/* Figures: what depends on the page is put in here. */

function axisStyle(axis) {
  return {
    gridcolor: color("--line"), linecolor: color("--quiet"), zeroline: false, automargin: true,
    ticks: "outside", tickcolor: color("--line"), ...axis,
  };
}

function themed(layout) {
  const styled = {
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: color("--ink") },
    hoverlabel: {
      bgcolor: color("--card"), bordercolor: color("--quiet"), font: { color: color("--ink") },
      align: "left",
    },
    margin: { l: 56, r: 12, t: 10, b: 44 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, itemwidth: 30 },
    height: 360, showlegend: true, ...layout,
  };
  for (const key of ["xaxis", "yaxis", "yaxis2"])
    if (styled[key]) styled[key] = axisStyle(styled[key]);
  if (layout.yaxis2) styled.yaxis2 = layout.yaxis2;
  return styled;
}

function draw(place) {
  const figure = PLOTS[place.dataset.plot];
  const layout = themed(figure.layout);
  if (figure.data.length === 1) layout.showlegend = false;
  if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false; // fingers scroll the page
  const data = structuredClone(figure.data);
  for (const trace of data)
    if (trace.customdata) trace.hovertext = trace.customdata.map((number) => TEXTS[number]);
  Plotly.react(place, data, layout, { responsive: true, displayModeBar: false });
}

const places = document.querySelectorAll(".plot");
for (const place of places) {
  draw(place);
  place.on("plotly_click", (event) => {
    const number = event.points[0].customdata;
    if (number !== undefined) showRow(number);
  });
}

function showRow(number) {
  document.querySelectorAll("tr.found").forEach((row) => row.classList.remove("found"));
  const row = document.getElementById("trial" + number);
  row.classList.add("found");
  row.hidden = false;
  row.scrollIntoView({ behavior: "smooth", block: "center" });
}

/* Parallel coordinates: drag along an axis to keep the lines that pass there. */

const tip = document.getElementById("tip");
const brushes = new Map();

function element(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/* Viridis at nine points, between which colours are mixed. */
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

function viridis(share) {
  // Neither end can be seen on both a light page and a dark one.
  const at = (isDark() ? 0.25 + 0.75 * share : 0.9 * share) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const mixed = VIRIDIS[low].map((x, i) => Math.round(x + (at - low) * (VIRIDIS[low + 1][i] - x)));
  return `rgb(${mixed.join(",")})`;
}

function drawRails() {
  const svg = document.getElementById("rails");
  if (!svg) return;
  svg.replaceChildren();
  const rails = RAILS.rails, top = 40, bottom = 14, left = 60, right = 70;
  svg.style.minWidth = 118 * rails.length + "px";
  const { width, height } = svg.getBoundingClientRect();
  const x = (index) => left + index * (width - left - right) / Math.max(rails.length - 1, 1);
  const y = (share) => top + (1 - share) * (height - top - bottom);
  const paths = RAILS.lines.map((line) => {
    let d = `M ${x(0)} ${y(line.heights[0])}`;
    for (let i = 1; i < rails.length; i++) {
      const middle = (x(i - 1) + x(i)) / 2;
      d += ` C ${middle} ${y(line.heights[i - 1])} ${middle} ${y(line.heights[i])}`
        + ` ${x(i)} ${y(line.heights[i])}`;
    }
    const path = element("path", { d, stroke: viridis(line.good) });
    if (line.best) path.classList.add("top");
    path.addEventListener("mousemove", (event) => {
      path.classList.add("near");
      tip.hidden = false;
      tip.innerHTML = line.text;
      tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = Math.max(event.clientY - tip.offsetHeight - 10, 8) + "px";
    });
    path.addEventListener("mouseleave", () => { path.classList.remove("near"); tip.hidden = true; });
    path.addEventListener("click", () => showRow(line.trial));
    return path;
  });
  paths.slice().reverse().forEach((path) => svg.append(path)); // the best is drawn last
  rails.forEach((rail, index) => {
    svg.append(element("line", { x1: x(index), x2: x(index), y1: y(0), y2: y(1) }));
    svg.append(element("text", { x: x(index), y: 18, class: "name" }, rail.label));
    for (const [share, text] of rail.ticks) {
      svg.append(element("line", { x1: x(index), x2: x(index) + 5, y1: y(share), y2: y(share) }));
      svg.append(element("text", { x: x(index) + 8, y: y(share) + 4 }, text));
    }
    const brush = element("rect", { x: x(index) - 9, width: 18, y: 0, height: 0, class: "brush" });
    const grip = element("rect",
      { x: x(index) - 12, width: 24, y: top - 6, height: height - top - bottom + 12, class: "grip" });
    const show = () => {
      const range = brushes.get(index);
      brush.setAttribute("y", range ? y(range[1]) : 0);
      brush.setAttribute("height", range ? y(range[0]) - y(range[1]) : 0);
    };
    let from = null;
    const share = (event) => {
      const at = event.clientY - svg.getBoundingClientRect().top;
      return 1 - (at - top) / (height - top - bottom);
    };
    grip.addEventListener("pointerdown", (event) => {
      from = share(event);
      grip.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    grip.addEventListener("pointermove", (event) => {
      if (from === null) return;
      brushes.set(index, [Math.min(from, share(event)), Math.max(from, share(event))]);
      show(); filterLines(paths);
    });
    grip.addEventListener("pointerup", (event) => {
      if (Math.abs(share(event) - from) < 0.01) brushes.delete(index); // a click clears
      from = null;
      show(); filterLines(paths);
    });
    show();
    svg.append(brush, grip);
  });
  filterLines(paths);
}

function filterLines(paths) {
  paths.forEach((path, number) => {
    const out = [...brushes].some(([index, [low, high]]) => {
      const height = RAILS.lines[number].heights[index];
      return height < low || height > high;
    });
    path.classList.toggle("out", out);
  });
}

drawRails();
let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawRails, 100); });

function redraw() {
  places.forEach(draw);
  drawRails();
}

systemTheme.addEventListener("change", redraw);
document.getElementById("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  redraw();
});

/* The table. */

const body = document.querySelector("tbody");
document.querySelectorAll("th button").forEach((button, column) => {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const up = head.getAttribute("aria-sort") !== "ascending";
    document.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.key;
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === ""); // what is missing comes last
      const numbers = !isNaN(a) && !isNaN(b);
      return (up ? 1 : -1) * (numbers ? a - b : a.localeCompare(b));
    };
    [...body.rows].sort((a, b) => compare(key(a), key(b))).forEach((row) => body.append(row));
  });
});
document.querySelectorAll(".filters input").forEach((box) => {
  box.addEventListener("change", () => {
    for (const row of body.rows) if (row.dataset.state === box.value) row.hidden = !box.checked;
  });
});

document.querySelectorAll("[data-copy]").forEach((button) => {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch { // pages that were opened as files may not write to the clipboard
      const field = document.createElement("textarea");
      field.value = button.dataset.copy;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Copied";
  });
});
