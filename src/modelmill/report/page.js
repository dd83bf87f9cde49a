"use strict";

// --- the table: sorted by the column whose name is pressed ----------------------------------
const table = document.getElementById("table");
for (const button of table.querySelectorAll("thead button")) {
  const header = button.parentElement;
  button.addEventListener("click", () => {
    const ascending = header.getAttribute("aria-sort") !== "ascending";
    const sign = ascending ? 1 : -1;
    const key = (row) => row.cells[header.cellIndex].dataset.key;
    const compare = header.classList.contains("number")
      ? (a, b) => a - b
      : (a, b) => a.localeCompare(b);
    const rows = [...table.tBodies[0].rows].sort((first, second) => {
      const [a, b] = [key(first), key(second)];
      // What is not known comes last, whichever way the others go.
      return a === "" || b === "" ? (a === "") - (b === "") : sign * compare(a, b);
    });
    table.tBodies[0].append(...rows);
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const order = ascending ? "ascending" : "descending";
    document.getElementById("sorted").textContent = `Sorted by ${button.textContent}, ${order}`;
  });
}

// --- the charts: drawn when they come near, for dozens at once would take seconds -----------
const views = new Map();

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [text, quiet, line] = ["--text", "--quiet", "--line"].map(colour);
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent",
    font,
    axis: { labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11, titleFontWeight: "normal", tickCount: 6 },
    legend: { labelColor: text, labelFontSize: 12, symbolStrokeWidth: 2.5, symbolSize: 300 },
    range: { category: [colour("--first"), colour("--second")] },
    rule: { color: quiet },
    view: { stroke: null },
  };
}

async function draw(figure) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const options = { actions: false, renderer: "svg", config: theme() };
  const { view } = await vegaEmbed(figure.querySelector(".plot"), spec, options);
  views.set(figure, view);
}

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "400px" },
);
const figures = [...document.querySelectorAll(".chart")];
figures.forEach((figure) => near.observe(figure));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", async () => {
  for (const [figure, view] of views) {
    view.finalize();
    await draw(figure);
  }
});
addEventListener("beforeprint", () => figures.filter((f) => !views.has(f)).forEach(draw));

// In halves or doubles what is seen of the epochs, the end kept, and fits the values to it.
function zoom(figure, how) {
  const view = views.get(figure);
  if (!view) return;
  const rows = JSON.parse(figure.querySelector("script").textContent).datasets.laps;
  const epochs = rows.map((row) => row.epoch);
  const [first, last] = [Math.min(...epochs), Math.max(...epochs)];
  const [low, high] = how === "all" ? [first, last] : view.scale("x").domain();
  const width = (high - low) * { in: 0.5, out: 2, all: 1 }[how];
  const end = Math.min(high, last);
  const start = Math.max(end - width, first);
  const seen = rows.filter((row) => start <= row.epoch && row.epoch <= end);
  const values = seen.flatMap(({ epoch, ...curves }) => Object.values(curves).filter((v) => v !== null));
  if (seen.length < 2) return;
  view.signal("zoom_epoch", [start, end]);
  view.signal("zoom_value", [Math.min(...values), Math.max(...values)]);
  view.runAsync();
}
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => zoom(button.closest(".chart"), button.dataset.zoom));
}

// --- the pictures: enlarged when pressed ----------------------------------------------------
const dialog = document.getElementById("enlarged");
for (const button of document.querySelectorAll(".picture")) {
  button.addEventListener("click", () => {
    const { src, alt } = button.querySelector("img");
    Object.assign(dialog.querySelector("img"), { src, alt });
    dialog.setAttribute("aria-label", alt);
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
