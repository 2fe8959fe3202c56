"use strict";
// A canvas of 28x28 pixels that a dense network and LeNet classify; arrow keys shift the digit.

/** 8-bit weights in base64 to numbers, row by row. */
course.unpack = ({ data, scale }) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return Float32Array.from(new Int8Array(bytes.buffer), (code) => code * scale);
};

course.dense = (x, weights, name, relu) => {
  const [kernel, bias] = [weights[`${name}/kernel`], weights[`${name}/bias`]];
  const outputs = bias.length;
  const y = Float32Array.from(bias);
  x.forEach((value, i) => { if (value) for (let o = 0; o < outputs; o++) y[o] += value * kernel[i * outputs + o]; });
  return relu ? y.map((v) => Math.max(0, v)) : y;
};

/** Convolution with ReLU, then 2x2 max pooling; maps are [height, width, channels], row by row. */
course.convPool = (x, size, inputs, weights, name, padding) => {
  const [kernel, bias] = [weights[`${name}/kernel`], weights[`${name}/bias`]];
  const [k, outputs, out] = [5, bias.length, size + 2 * padding - 4];
  const y = new Float32Array(out * out * outputs);
  for (let i = 0; i < out; i++) for (let j = 0; j < out; j++) for (let o = 0; o < outputs; o++) {
    let sum = bias[o];
    for (let u = 0; u < k; u++) for (let v = 0; v < k; v++) {
      const [a, b] = [i + u - padding, j + v - padding];
      if (a < 0 || b < 0 || a >= size || b >= size) continue;
      for (let c = 0; c < inputs; c++) sum += x[(a * size + b) * inputs + c] * kernel[((u * k + v) * inputs + c) * outputs + o];
    }
    y[(i * out + j) * outputs + o] = Math.max(0, sum);
  }
  const half = out / 2, pooled = new Float32Array(half * half * outputs);
  for (let i = 0; i < half; i++) for (let j = 0; j < half; j++) for (let o = 0; o < outputs; o++) {
    const at = (a, b) => y[((2 * i + a) * out + 2 * j + b) * outputs + o];
    pooled[(i * half + j) * outputs + o] = Math.max(at(0, 0), at(0, 1), at(1, 0), at(1, 1));
  }
  return pooled;
};

course.logits = (name, weights, x) => {
  if (name === "mlp") return course.dense(course.dense(x, weights, "backbone/dense1", true), weights, "head/logits");
  x = course.convPool(x, 28, 1, weights, "backbone/conv1", 2);
  x = course.convPool(x, 14, 6, weights, "backbone/conv2", 0);
  for (const layer of ["head/dense1", "head/dense2"]) x = course.dense(x, weights, layer, true);
  return course.dense(x, weights, "head/logits");
};

course.softmax = (logits) => {
  const top = Math.max(...logits), powers = Array.from(logits, (v) => Math.exp(v - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
};

course.widgets.digits = (place) => {
  const kept = window.NETWORKS, size = 28;
  const networks = Object.entries(kept.networks).map(([name, { weights }]) => ({
    name, label: name === "mlp" ? "dense network" : "LeNet",
    weights: Object.fromEntries(Object.entries(weights).map(([key, packed]) => [key, course.unpack(packed)])),
  }));
  const example = course.unpack(kept.example);
  let pixels = Float32Array.from(example), moved = [0, 0];
  const canvas = course.element("canvas", { width: size, height: size, tabindex: 0, class: "digit", role: "img",
    "aria-label": "A digit of 28 by 28 pixels. Draw with a pointer; arrow keys shift it." });
  const answers = course.element("div", { class: "answers", "aria-live": "polite" });

  const draw = () => {
    const context = canvas.getContext("2d"), image = context.createImageData(size, size);
    pixels.forEach((value, n) => {
      const grey = Math.round(255 * Math.min(1, Math.max(0, value)));
      image.data.set([grey, grey, grey, 255], 4 * n);
    });
    context.putImageData(image, 0, 0);
    const x = pixels.map((value) => (value - kept.mean) / kept.std);
    answers.replaceChildren(...networks.map(({ name, label, weights }) => {
      const shares = course.softmax(course.logits(name, weights, x));
      const best = shares.indexOf(Math.max(...shares));
      const rows = shares.map((share, digit) => course.element("div", { class: "share" },
        course.element("span", {}, String(digit)),
        course.element("div", { class: "bar", style: `width:${Math.round(85 * share)}%` })));
      return course.element("div", { "data-network": name },
        course.element("p", {}, `${label}: `, course.element("strong", {}, String(best)),
          ` (${Math.round(100 * shares[best])} %)`), ...rows);
    }));
    shifted.textContent = `Shifted by ${moved[1]} to the right and ${moved[0]} down.`;
  };
  const shift = (down, right) => {
    const next = new Float32Array(size * size);
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) {
      const [a, b] = [i - down, j - right];
      if (a >= 0 && b >= 0 && a < size && b < size) next[i * size + j] = pixels[a * size + b];
    }
    pixels = next;
    moved = [moved[0] + down, moved[1] + right];
    draw();
  };
  const stroke = (event) => {
    if (!event.buttons) return;
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) * size / box.width, (event.clientY - box.top) * size / box.height];
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) {
      const distance = Math.hypot(j + 0.5 - x, i + 0.5 - y);
      pixels[i * size + j] = Math.max(pixels[i * size + j], Math.min(1, Math.max(0, 2.1 - distance)));
    }
    draw();
  };
  for (const name of ["pointerdown", "pointermove"]) canvas.addEventListener(name, stroke);
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (!steps[event.key]) return;
    event.preventDefault();
    shift(...steps[event.key]);
  });
  const restart = (values) => () => { pixels = Float32Array.from(values); moved = [0, 0]; draw(); };
  const arrows = [["\u2190", "left", 0, -1], ["\u2191", "up", -1, 0], ["\u2193", "down", 1, 0], ["\u2192", "right", 0, 1]];
  const buttons = arrows.map(([sign, name, down, right]) => {
    const button = course.button(sign, () => shift(down, right));
    button.setAttribute("aria-label", `shift ${name}`);
    return button;
  });
  const shifted = course.element("p", { class: "words" });
  place.append(course.element("div", { class: "tables" }, canvas, answers), shifted,
    course.element("div", { class: "controls" }, ...buttons, course.button("Clear", restart(new Float32Array(size * size))),
      course.button("Example", restart(example))));
  draw();
};
