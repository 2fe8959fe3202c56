"use strict";
// Batch and layer norm of a table: a row for each example, a column for each feature.

course.normalise = (rows, over, epsilon = 0) => {
  const scaled = (values) => {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    const deviation = Math.sqrt(variance + epsilon);
    return { mean, deviation, values: values.map((v) => (deviation ? (v - mean) / deviation : 0)) };
  };
  if (over === "layer") {
    const groups = rows.map(scaled);
    return { groups, values: groups.map((group) => group.values) };
  }
  const groups = rows[0].map((_, j) => scaled(rows.map((row) => row[j])));
  return { groups, values: rows.map((_, i) => groups.map((group) => group.values[i])) };
};

course.normWidget = (place, first) => {
  const rows = [[1, 2, 3, 6], [2, 4, 6, 8], [3, 0, 9, 4]];
  let kind = first;
  const tables = course.element("div", { class: "tables" });
  const words = course.element("p", { class: "words", "aria-live": "polite" });
  const draw = () => {
    const { groups, values } = course.normalise(rows, kind);
    const group = (i, j) => `group${(kind === "layer" ? i : j) % 4}`;
    tables.replaceChildren(
      course.table("input: a row for each example", rows, {
        classes: group, edit: (i, j, value) => { rows[i][j] = value; draw(); },
      }),
      course.table("normalised", values, { classes: group }));
    const each = kind === "layer" ? "example" : "feature";
    words.textContent = `A mean and a deviation for each ${each}: ` +
      groups.map((g) => `${course.show(g.mean)} and ${course.show(g.deviation)}`).join("; ") + ".";
  };
  const choices = first === "layer" ? ["layer", "batch"] : ["batch", "layer"];
  place.append(course.element("div", { class: "controls" },
    course.select("norm", choices, (value) => { kind = value; draw(); })), tables, words);
  draw();
};

course.widgets.batch_norm = (place) => course.normWidget(place, "batch");
course.widgets.layer_norm = (place) => course.normWidget(place, "layer");
