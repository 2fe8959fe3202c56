"use strict";
// What all widgets share: elements, number fields, tables of numbers, and their start.

const course = { widgets: {} };

course.element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

/** A labelled number field; `change` receives whole numbers within the limits only. */
course.number = (label, value, low, high, change) => {
  const field = course.element("input", { type: "number", min: low, max: high, value, step: 1 });
  field.addEventListener("input", () => {
    const given = Number(field.value);
    const valid = field.value !== "" && Number.isInteger(given) && given >= low && given <= high;
    field.setAttribute("aria-invalid", String(!valid));
    if (valid) change(given);
  });
  return course.element("label", {}, `${label} `, field);
};

course.select = (label, options, change) => {
  const field = course.element("select", { onchange: () => change(field.value) });
  for (const option of options) field.append(course.element("option", { value: option }, option));
  return course.element("label", {}, `${label} `, field);
};

course.button = (label, press) => course.element("button", { type: "button", onclick: press }, label);

course.zeros = (rows, columns) => Array.from({ length: rows }, () => Array(columns).fill(0));

course.show = (value) => String(Math.round(value * 100) / 100).replace("-", "\u2212");

/**
 * A table of numbers. `classes(i, j)` names the look of a cell, and `edit(i, j, value)` makes the
 * cells for which `editable(i, j)` holds into fields.
 */
course.table = (caption, values, { classes = () => "", edit = null, editable = () => true } = {}) => {
  const table = course.element("table", { class: "grid" }, course.element("caption", {}, caption));
  values.forEach((row, i) => {
    const line = course.element("tr");
    row.forEach((value, j) => {
      const cell = course.element("td", { class: classes(i, j) });
      if (edit && editable(i, j)) {
        const label = `${caption}, row ${i + 1}, column ${j + 1}`;
        const field = course.element("input", { type: "number", value, "aria-label": label });
        field.addEventListener("change", () => {
          if (field.value !== "" && Number.isFinite(Number(field.value))) edit(i, j, Number(field.value));
        });
        cell.append(field);
      } else cell.append(course.show(value));
      line.append(cell);
    });
    table.append(line);
  });
  return table;
};

addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("[data-widget]")) {
    course.widgets[place.dataset.widget](place);
  }
});
