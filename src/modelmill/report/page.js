"use strict";

// --- the table: each data set's models sorted by the column whose name is pressed -----------
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
    for (const body of table.tBodies) {
      const [group, ...rows] = body.rows;
      rows.sort((first, second) => {
        const [a, b] = [key(first), key(second)];
        // What is not known comes last, whichever way the others go.
        return a === "" || b === "" ? (a === "") - (b === "") : sign * compare(a, b);
      });
      body.append(group, ...rows);
    }
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const order = ascending ? "ascending" : "descending";
    document.getElementById("sorted").textContent = `Sorted by ${button.textContent}, ${order}`;
  });
}

// --- and only those that have all of the words that are asked for ---------------------------
document.getElementById("filter").addEventListener("input", ({ target }) => {
  const words = target.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  let shown = 0;
  for (const body of table.tBodies) {
    const [group, ...rows] = body.rows;
    for (const row of rows) {
      const text = `${group.textContent} ${row.textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    group.hidden = rows.every((row) => row.hidden);
  }
  document.getElementById("sorted").textContent = `${shown} models shown`;
});

// --- two models side by side: what differs first --------------------------------------------
const pair = document.querySelector("article[aria-labelledby=pair]");
function showPair() {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const names = [...pair.querySelectorAll("select")].map((select) => select.value);
  const [one, other] = names.map((name) => settings[name]);
  const differs = (key) => one[key] !== other[key];
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  keys.sort((a, b) => differs(b) - differs(a));
  const cell = (kind, text) => Object.assign(document.createElement(kind), { textContent: text ?? "–" });
  const rows = keys.map((key) => {
    const row = document.createElement("tr");
    row.className = differs(key) ? "" : "missing";
    const header = Object.assign(cell("th", key), { scope: "row" });
    row.append(header, cell("td", one[key]), cell("td", other[key]));
    return row;
  });
  const head = pair.querySelector("thead").rows[0];
  names.forEach((name, index) => (head.cells[index + 1].textContent = name));
  pair.querySelector("tbody").replaceChildren(...rows);
  pair.querySelectorAll(".gallery").forEach((gallery, index) => {
    const pictures = document.getElementById(`model-${names[index]}`).closest("article").querySelectorAll(".gallery > li");
    gallery.replaceChildren(...[...pictures].map((picture) => picture.cloneNode(true)));
  });
}
if (pair) {
  for (const select of pair.querySelectorAll("select")) select.addEventListener("change", showPair);
  showPair();
}

// --- the charts: drawn when they come near, for dozens at once would take seconds -----------
const views = new Map();

function theme(width) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [text, quiet, line] = ["--text", "--quiet", "--line"].map(colour);
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent",
    font,
    axis: { labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11, titleFontWeight: "normal", tickCount: 6 },
    legend: { labelColor: text, labelFontSize: 12, symbolStrokeWidth: 2.5, symbolSize: 300, columns: Math.max(1, Math.floor(width / 180)), labelLimit: 140 },
    range: { category: [colour("--first"), colour("--second")] },
    rule: { color: quiet },
    text: { color: quiet },
    view: { stroke: null },
  };
}

async function draw(figure) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const plot = figure.querySelector(".plot");
  const options = { actions: false, renderer: "svg", config: theme(plot.clientWidth) };
  const { view } = await vegaEmbed(plot, spec, options);
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

// --- the pictures: enlarged when pressed, and then one after another ------------------------
const dialog = document.getElementById("enlarged");
let shown = [];
let place = 0;
function enlarge(step) {
  place = (place + step + shown.length) % shown.length;
  const { src, alt } = shown[place].querySelector("img");
  Object.assign(dialog.querySelector("img"), { src, alt });
  dialog.querySelector("p").textContent = `${alt} (${place + 1} of ${shown.length})`;
  dialog.setAttribute("aria-label", alt);
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest(".picture");
  if (!button) return;
  shown = [...button.closest(".gallery").querySelectorAll(".picture")];
  place = shown.indexOf(button);
  enlarge(0);
  dialog.showModal();
});
for (const button of dialog.querySelectorAll("[data-turn]")) {
  button.addEventListener("click", () => enlarge(Number(button.dataset.turn)));
}
dialog.addEventListener("keydown", ({ key }) => {
  if (key === "ArrowLeft" || key === "ArrowRight") enlarge(key === "ArrowLeft" ? -1 : 1);
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
