"use strict";
// Layers on small tables of numbers, as in cnnlab.analysis, and a widget that steps through them.

/** Output size with `padding` on each side; 0 or less where no window fits. */
course.outputSize = (size, kernel, stride, padding, dilation) =>
  Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

course.pad = (x, padding) => {
  const padded = course.zeros(x.length + 2 * padding, x[0].length + 2 * padding);
  x.forEach((row, i) => row.forEach((value, j) => (padded[i + padding][j + padding] = value)));
  return padded;
};

/** The cells [i, j] of the padded input that output (row, column) reads. */
course.window = (row, column, kernel, stride, dilation) => {
  const cells = [];
  for (let u = 0; u < kernel; u++) {
    for (let v = 0; v < kernel; v++) cells.push([row * stride + u * dilation, column * stride + v * dilation]);
  }
  return cells;
};

course.convolve = (x, kernel, { padding = 0, stride = 1, dilation = 1 } = {}) => {
  const padded = course.pad(x, padding);
  const size = (n) => Math.max(0, course.outputSize(n, kernel.length, stride, padding, dilation));
  const out = course.zeros(size(x.length), size(x[0].length));
  const weights = kernel.flat();
  return out.map((row, i) => row.map((_, j) =>
    course.window(i, j, kernel.length, stride, dilation)
      .reduce((sum, [a, b], n) => sum + padded[a][b] * weights[n], 0)));
};

/** Padding is never the largest value, and counts as zeros in a mean. */
course.pool = (x, kernel, { padding = 0, stride = 1, kind = "max" } = {}) => {
  const size = (n) => Math.max(0, course.outputSize(n, kernel, stride, padding, 1));
  return course.zeros(size(x.length), size(x[0].length)).map((row, i) => row.map((_, j) => {
    const cells = course.window(i, j, kernel, stride, 1);
    const inside = cells.map(([a, b]) => (x[a - padding] || [])[b - padding]).filter((v) => v !== undefined);
    return kind === "max" ? Math.max(...inside) : inside.reduce((a, b) => a + b, 0) / cells.length;
  }));
};

/** The output before padding removes its border; `count` is how many inputs have laid down. */
course.transposedFull = (x, kernel, stride, count = Infinity) => {
  const size = (n) => (n - 1) * stride + kernel.length;
  const out = course.zeros(size(x.length), size(x[0].length));
  let laid = 0;
  x.forEach((row, i) => row.forEach((value, j) => {
    if (laid++ >= count) return;
    kernel.forEach((line, u) => line.forEach((weight, v) => (out[i * stride + u][j * stride + v] += value * weight)));
  }));
  return out;
};

course.transposed = (x, kernel, { padding = 0, stride = 1 } = {}) => {
  const full = course.transposedFull(x, kernel, stride);
  return full.slice(padding, full.length - padding).map((row) => row.slice(padding, row.length - padding));
};

course.layerWidget = (place, kind, padding = 0) => {
  const state = { size: kind === "transposed" ? 2 : 4, kernel: 2, padding, stride: kind === "convolution" ? 1 : 2,
                  dilation: 1, pool: "max", step: 0, timer: null };
  const counting = (n) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => i * n + j));
  let x = counting(state.size), weights = counting(state.kernel);
  const tables = course.element("div", { class: "tables" });
  const words = course.element("p", { class: "words", "aria-live": "polite" });

  const output = () => {
    if (kind === "pooling") return course.pool(x, state.kernel, { ...state, kind: state.pool });
    return course[kind === "transposed" ? "transposed" : "convolve"](x, weights, state);
  };

  const drawGather = () => {
    const out = output();
    tables.replaceChildren();
    if (!out.length || (kind === "pooling" && 2 * state.padding > state.kernel)) {
      words.textContent = out.length
        ? "Padding of more than half a window: some windows would see only padding."
        : "No window fits into the padded input. Use a smaller kernel or more padding.";
      return;
    }
    const steps = out.length * out[0].length;
    state.step = (state.step + steps) % steps;
    const [row, column] = [Math.floor(state.step / out[0].length), state.step % out[0].length];
    const dilation = kind === "pooling" ? 1 : state.dilation;
    const cells = course.window(row, column, state.kernel, state.stride, dilation);
    const read = new Set(cells.map(String));
    const padded = course.pad(x, state.padding);
    const inside = (i, j) => i >= state.padding && j >= state.padding &&
      i < padded.length - state.padding && j < padded[0].length - state.padding;
    tables.append(course.table("input", padded, {
      classes: (i, j) => (read.has(String([i, j])) ? "read" : "") + (inside(i, j) ? "" : " padding"),
      editable: inside,
      edit: (i, j, value) => { x[i - state.padding][j - state.padding] = value; draw(); },
    }));
    if (kind === "convolution") {
      tables.append(course.table("kernel", weights, {
        classes: () => "weight", edit: (i, j, value) => { weights[i][j] = value; draw(); },
      }));
    }
    tables.append(course.table("output", out, { classes: (i, j) => (i === row && j === column ? "read" : "") }));
    const values = cells.map(([i, j]) => padded[i][j]);
    const real = cells.filter(([i, j]) => inside(i, j)).map(([i, j]) => padded[i][j]);
    const terms = kind === "convolution"
      ? values.map((value, n) => `${course.show(value)}\u00b7${course.show(weights.flat()[n])}`).join(" + ")
      : state.pool === "max" ? `max(${real.map(course.show).join(", ")})`
      : `(${values.map(course.show).join(" + ")}) / ${values.length}`;
    words.textContent = `Row ${row + 1}, column ${column + 1} of ${out.length}\u00d7${out[0].length}: ` +
      `${terms} = ${course.show(out[row][column])}`;
  };

  const drawScatter = () => {
    const steps = x.length * x[0].length;
    state.step = (state.step + steps) % steps;
    const [row, column] = [Math.floor(state.step / x[0].length), state.step % x[0].length];
    const full = course.transposedFull(x, weights, state.stride, state.step + 1);
    const result = output();
    tables.replaceChildren();
    if (full.length <= 2 * state.padding) {
      words.textContent = "The padding removes the whole output. Use less of it.";
      return;
    }
    const now = new Set(course.window(row, column, 1, state.stride, 1).flatMap(([i, j]) =>
      course.window(0, 0, state.kernel, 1, 1).map(([u, v]) => String([i + u, j + v]))));
    const kept = (i, j) => Math.min(i, j, full.length - 1 - i, full[0].length - 1 - j) >= state.padding;
    tables.append(
      course.table("input", x, {
        classes: (i, j) => (i === row && j === column ? "read" : ""),
        edit: (i, j, value) => { x[i][j] = value; draw(); },
      }),
      course.table("kernel", weights, {
        classes: () => "weight", edit: (i, j, value) => { weights[i][j] = value; draw(); },
      }),
      course.table("output so far", full, {
        classes: (i, j) => (now.has(String([i, j])) ? "read" : "") + (kept(i, j) ? "" : " removed"),
      }),
      course.table("output", result),
    );
    words.textContent = `Input ${course.show(x[row][column])} at row ${row + 1}, column ${column + 1} lays ` +
      `${course.show(x[row][column])} \u00b7 kernel down at row ${row * state.stride + 1}, column ` +
      `${column * state.stride + 1}. Output: ${result.length}\u00d7${result[0].length}.`;
  };

  const draw = () => (kind === "transposed" ? drawScatter() : drawGather());
  const set = (name) => (value) => {
    state[name] = value;
    state.step = 0;
    if (name === "size") x = counting(value);
    if (name === "kernel") weights = counting(value);
    draw();
  };
  const move = (steps) => { state.step += steps; draw(); };
  const play = course.button("Play", () => {
    if (state.timer) { clearInterval(state.timer); state.timer = null; } else state.timer = setInterval(() => move(1), 900);
    play.textContent = state.timer ? "Pause" : "Play";
  });
  const controls = course.element("div", { class: "controls" },
    course.number("input", state.size, 1, 7, set("size")),
    course.number(kind === "pooling" ? "window" : "kernel", state.kernel, 1, 4, set("kernel")),
    course.number("padding", state.padding, 0, 3, set("padding")),
    course.number("stride", state.stride, 1, 4, set("stride")));
  if (kind === "convolution") controls.append(course.number("dilation", 1, 1, 3, set("dilation")));
  if (kind === "pooling") controls.append(course.select("keeps the", ["max", "mean"], set("pool")));
  place.append(controls, tables, words, course.element("div", { class: "controls" },
    course.button("Back", () => move(-1)), course.button("Step", () => move(1)), play));
  draw();
};

for (const kind of ["convolution", "pooling", "transposed"]) {
  course.widgets[kind] = (place) => course.layerWidget(place, kind);
}
course.widgets.padding = (place) => course.layerWidget(place, "convolution", 1);

course.widgets.output_size = (place) => {
  const values = { input: 224, kernel: 7, stride: 2, padding: 3, dilation: 1 };
  const words = course.element("p", { class: "words", "aria-live": "polite" });
  const draw = () => {
    const { input, kernel, stride, padding, dilation } = values;
    const reach = dilation * (kernel - 1) + 1;
    const out = course.outputSize(input, kernel, stride, padding, dilation);
    const rest = (input + 2 * padding - reach) % stride;
    words.textContent = out > 0
      ? `\u230a(${input} + 2\u00b7${padding} \u2212 ${reach}) / ${stride}\u230b + 1 = ${out}` +
        (rest ? `; ${rest} pixel${rest > 1 ? "s" : ""} of the padded input at the end not read` : "")
      : `The kernel covers ${reach} pixels and the padded input has only ${input + 2 * padding}.`;
  };
  const field = (name, low, high) => course.number(name, values[name], low, high, (v) => { values[name] = v; draw(); });
  place.append(course.element("div", { class: "controls" },
    field("input", 1, 4096), field("kernel", 1, 31), field("padding", 0, 64), field("stride", 1, 32),
    field("dilation", 1, 16)), words);
  draw();
};
