"use strict";
const all = (what, within = document) => [...within.querySelectorAll(what)];

/* What is under the pointer says what it is. */
const tip = document.getElementById("tip");
function say(text, event) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 4)) + "px";
  const below = event.clientY + 18;
  tip.style.top = (below + box.height > innerHeight ? event.clientY - box.height - 10 : below) + "px";
}
document.addEventListener("pointermove", event => {
  const told = event.target.closest("[data-tip], [data-density], [data-curves]");
  const shown = document.querySelector("dialog[open]") || document.body;
  if (tip.parentNode !== shown) shown.append(tip);
  if (!told) return say("", event);
  if (told.dataset.tip) return say(told.dataset.tip, event);
  return say(told.dataset.density ? density(told, event) : curves(told, event), event);
});
document.addEventListener("pointerleave", event => say("", event));

/* The map of density: the number of the square under the pointer. */
const grids = new WeakMap();
function density(map, event) {
  if (!grids.has(map)) {
    const bytes = Uint8Array.from(atob(map.dataset.density), c => c.charCodeAt(0));
    grids.set(map, new DataView(bytes.buffer));
  }
  const box = map.getBoundingClientRect(), {rows, cols, width, height} = map.dataset;
  const col = Math.floor((event.clientX - box.left) / (box.width * width) * cols);
  const row = Math.floor((event.clientY - box.top) / (box.height * height) * rows);
  if (row < 0 || col < 0 || row >= rows || col >= cols) return "";
  const value = grids.get(map).getUint16(2 * (row * cols + col), true);
  return value === 65535 ? "no tissue" : value.toLocaleString("en") + " nuclei per mm²";
}

/* Curves: the values of the epoch under the pointer. */
const series = new WeakMap();
function curves(figure, event) {
  const svg = figure.querySelector("svg"), data = figure.querySelector("script");
  if (!svg || !event.target.closest("svg")) return "";
  if (!series.has(figure)) series.set(figure, JSON.parse(data.textContent));
  const {x, epoch, lines} = series.get(figure), box = svg.getBoundingClientRect();
  const at = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
  let near = 0;
  x.forEach((place, i) => { if (Math.abs(place - at) < Math.abs(x[near] - at)) near = i; });
  const cross = svg.querySelector(".cross");
  cross.setAttribute("x1", x[near]);
  cross.setAttribute("x2", x[near]);
  const values = lines.map(line => `${line.name}: ${line.values[near] ?? "–"}`);
  return [`epoch ${epoch[near]}`, ...values.slice(0, 14)].join("\n");
}

/* Tables that sort. */
const text = new Intl.Collator("en", {numeric: true, sensitivity: "base"});
const held = cell => cell.dataset.value ?? cell.textContent.trim();
for (const table of all("table[data-sortable]")) {
  const heads = all("thead th", table), body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const numeric = head.classList.contains("num");
    const before = head.getAttribute("aria-sort");
    const rising = before === "none" ? !numeric : before === "descending";
    heads.forEach(other => { if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none"); });
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = [...body.rows].map(row => ({row, value: held(row.cells[column])}));
    const compare = numeric ? (a, b) => Number(a.value) - Number(b.value) : (a, b) => text.compare(a.value, b.value);
    const known = rows.filter(one => one.value !== ""), rest = rows.filter(one => one.value === "");
    known.sort((a, b) => rising ? compare(a, b) : compare(b, a));
    body.append(...[...known, ...rest].map(one => one.row));
  }));
}

/* Tables that are searched, by words and by state. */
for (const input of all("input[data-search]")) {
  const table = document.getElementById(input.dataset.search), chips = all(".chips [data-state]");
  const count = document.querySelector(`[data-count="${input.dataset.search}"]`);
  const wordsOf = row => all("td:not(.num), th", row).map(cell => cell.textContent).join(" ").toLowerCase();
  const rows = [...table.tBodies[0].rows].map(row => ({row, words: wordsOf(row)}));
  const filter = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = chips.find(chip => chip.ariaPressed === "true")?.dataset.state ?? "";
    let shown = 0;
    for (const {row, words} of rows) {
      const fits = (!state || row.dataset.state === state) && wanted.every(word => words.includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} shown`;
    document.querySelector(".nothing").hidden = shown > 0;
  };
  input.addEventListener("input", filter);
  chips.forEach(chip => chip.addEventListener("click", () => {
    chips.forEach(other => { other.ariaPressed = String(other === chip); });
    filter();
  }));
  if (input.value) filter();
}

/* Pictures that enlarge. */
const dialog = document.getElementById("large"), pictures = all("[data-enlarge]");
let current = 0;
function enlarge(place) {
  current = (place + pictures.length) % pictures.length;
  const button = pictures[current], figure = button.closest("[data-picture]");
  const shown = button.firstElementChild.cloneNode(true), body = document.getElementById("large-body");
  document.getElementById("large-text").textContent = figure.dataset.picture;
  const beside = document.getElementById(button.dataset.beside);
  body.replaceChildren(...(beside ? [beside.cloneNode(true), shown] : [shown]));
  if (!dialog.open) dialog.showModal();
  const [across, down] = (shown.style.aspectRatio || "").split("/").map(Number);
  if (!down) return;
  const width = body.clientWidth - 32, height = body.clientHeight - 16;
  const scale = Math.min(width / across, height / down);
  shown.style.width = across * scale + "px";
  shown.style.height = down * scale + "px";
  shown.style.maxHeight = "none";
}
pictures.forEach((button, place) => button.addEventListener("click", () => enlarge(place)));
dialog.addEventListener("click", event => {
  const step = event.target.dataset.step;
  if (step) enlarge(current + Number(step));
  else if (event.target === dialog || "close" in event.target.dataset) dialog.close();
});
dialog.addEventListener("keydown", event => {
  if (event.key === "ArrowRight") enlarge(current + 1);
  if (event.key === "ArrowLeft") enlarge(current - 1);
});
dialog.addEventListener("close", () => { document.body.append(tip); tip.hidden = true; pictures[current].focus(); });

/* Commands that are copied. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
all("[data-copy]").forEach(button => button.addEventListener("click", async () => {
  const before = button.textContent;
  await copy(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}));

/* Outlines on and off. */
all("input[data-outlines]").forEach(box => box.addEventListener("change", () => {
  document.body.classList.toggle("plain", !box.checked);
}));
