"use strict";
// Receptive fields of a chain of layers: r <- r + (k - 1) d j, j <- j s.

/** Field, jump and map size after each of the layers {name, kernel, stride, padding, dilation}. */
course.receptiveFields = (layers, size) => {
  let field = 1, jump = 1;
  return layers.map((layer) => {
    field += (layer.kernel - 1) * (layer.dilation || 1) * jump;
    jump *= layer.stride;
    size = course.outputSize(size, layer.kernel, layer.stride, layer.padding, layer.dilation || 1);
    return { name: layer.name, field, jump, size };
  });
};

/** "conv 3x3 stride 2 padding 1 dilation 1", one a line; kernel 1, stride 1, padding 0 if not given. */
course.parseLayers = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean).map((line, n) => {
  const value = (word, missing) => Number((line.match(new RegExp(`${word}\\s*=?\\s*(\\d+)`)) || [0, missing])[1]);
  const kernel = Number((line.match(/^\S+\s+(\d+)/) || [0, NaN])[1]);
  const layer = { name: line.split(/\s/)[0], kernel, stride: value("stride", 1), padding: value("padding", 0),
                  dilation: value("dilation", 1) };
  if (!(layer.kernel >= 1 && layer.stride >= 1 && layer.dilation >= 1)) {
    throw new Error(`Line ${n + 1}, "${line}": expected a name and a kernel, as in "conv 3x3 stride 2 padding 1".`);
  }
  return layer;
});

course.widgets.receptive_field = (place) => {
  const lenet = "conv1 5x5 padding 2\npool1 2x2 stride 2\nconv2 5x5\npool2 2x2 stride 2";
  const presets = {
    LeNet: [28, lenet],
    "VGG-11": [224, ["1", "2", "3 3", "4 4", "5 5"].map((b) =>
      b.split(" ").map((n) => `conv${n} 3x3 padding 1`).join("\n") + `\npool${b[0]} 2x2 stride 2`).join("\n")],
    "three 3x3": [9, "conv1 3x3\nconv2 3x3\nconv3 3x3"],
    dilated: [64, "conv1 3x3 padding 1\nconv2 3x3 padding 2 dilation 2\nconv3 3x3 padding 4 dilation 4"],
  };
  const area = course.element("textarea", { rows: 7, "aria-label": "layers, one a line", spellcheck: "false" });
  let size = 28;
  const result = course.element("div", { class: "scroll", "aria-live": "polite" });
  const draw = () => {
    try {
      const rows = course.receptiveFields(course.parseLayers(area.value), size);
      const widest = Math.max(size, ...rows.map((row) => row.field));
      const table = course.element("table", { class: "plain" }, course.element("tr", {},
        ...["layer", "map", "jump", "field", ""].map((text) => course.element("th", {}, text))));
      for (const row of rows) {
        const share = (100 * row.field) / widest;
        table.append(course.element("tr", {},
          course.element("td", {}, row.name),
          course.element("td", {}, row.size > 0 ? `${row.size}\u00d7${row.size}` : "empty"),
          course.element("td", {}, String(row.jump)),
          course.element("td", {}, `${row.field}\u00d7${row.field}`),
          course.element("td", { class: "bars" }, course.element("div", { class: "bar", style: `width:${share}%` }))));
      }
      result.replaceChildren(table);
    } catch (error) {
      result.replaceChildren(course.element("p", { class: "words" }, error.message));
    }
  };
  area.addEventListener("input", draw);
  const field = course.number("image", size, 1, 4096, (value) => { size = value; draw(); });
  const choose = course.select("example", Object.keys(presets), (name) => {
    [size, area.value] = presets[name];
    field.querySelector("input").value = size;
    draw();
  });
  area.value = lenet;
  place.append(course.element("div", { class: "controls" }, choose, field), area, result);
  draw();
};
