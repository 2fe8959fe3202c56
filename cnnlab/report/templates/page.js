"use strict";

/* What every page has: elements, tables that sort, buttons that copy, light and dark. */

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "path", "line", "rect", "text", "g", "clipPath"]);

function element(name, attributes = {}, ...children) {
  const node = DRAWN.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const swatch = (color) => element("i", { class: "swatch", style: `--color: ${color}` });

function startSorting(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = element("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    button.addEventListener("click", () => {
      // Numbers begin with the largest, words with A.
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      body.append(...[...body.rows].sort((a, b) => {
        const [left, right] = [key(a), key(b)];
        if (left === "" || right === "") return (left === "") - (right === ""); // always last
        const numbers = !Number.isNaN(Number(left)) && !Number.isNaN(Number(right));
        const result = numbers ? left - right : left.localeCompare(right);
        return order === "ascending" ? result : -result;
      }));
    });
  });
}

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // pages that were opened as files may not write to the clipboard
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
  const { dataset } = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  dataset.theme = (dataset.theme ?? system) === "dark" ? "light" : "dark";
});
document.querySelectorAll("table.sortable").forEach(startSorting);
document.querySelectorAll("[data-copy]").forEach((button) => {
  button.addEventListener("click", () => copy(button));
});
// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details.printed").forEach((one) => { one.open = true; });
});
