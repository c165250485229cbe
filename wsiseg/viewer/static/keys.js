// The keyboard: each key, what it does in words, and the help that lists them.

import { element } from "./panel.js";

const PAN = 0.25;

export function keyTable(actions) {
  return [
    { keys: ["O"], says: "outlines", run: () => actions.toggle("outlines") },
    { keys: ["D"], says: "density", run: () => actions.toggle("density") },
    { keys: ["M"], says: "what is above the threshold", run: () => actions.toggle("mask") },
    { keys: ["C"], says: "confidence", run: () => actions.toggle("confidence") },
    { keys: ["T"], says: "tissue", run: () => actions.toggle("tissue") },
    { keys: ["S"], says: "slide", run: () => actions.toggle("slide") },
    { keys: [" "], shown: "Space", says: "hold: the slide alone", run: () => actions.bare(true) },
    { keys: ["["], says: "threshold down by 0.01 ({: 0.05)", run: () => actions.stepThreshold(-1) },
    { keys: ["]"], says: "threshold up by 0.01 (}: 0.05)", run: () => actions.stepThreshold(1) },
    { keys: ["{"], run: () => actions.stepThreshold(-5) },
    { keys: ["}"], run: () => actions.stepThreshold(5) },
    { keys: ["Backspace"], says: "the store's threshold again", run: () => actions.resetThreshold() },
    { keys: ["N"], says: "next least certain nucleus", run: () => actions.leastCertain(1) },
    { keys: ["P"], says: "the one before", run: () => actions.leastCertain(-1) },
    { keys: ["+", "="], shown: "+", says: "closer", run: () => actions.zoom(2) },
    { keys: ["-", "_"], shown: "-", says: "further away", run: () => actions.zoom(0.5) },
    { keys: ["0", "Home"], shown: "0", says: "whole slide", run: () => actions.home() },
    { keys: ["1"], says: "5×", run: () => actions.magnify(5) },
    { keys: ["2"], says: "10×", run: () => actions.magnify(10) },
    { keys: ["3"], says: "20×", run: () => actions.magnify(20) },
    { keys: ["4"], says: "40×", run: () => actions.magnify(40) },
    { keys: ["ArrowLeft"], shown: "← ↑ → ↓", says: "move", run: () => actions.pan(-PAN, 0) },
    { keys: ["ArrowRight"], run: () => actions.pan(PAN, 0) },
    { keys: ["ArrowUp"], run: () => actions.pan(0, -PAN) },
    { keys: ["ArrowDown"], run: () => actions.pan(0, PAN) },
    { keys: ["?"], says: "this help", run: () => element("help").showModal() },
    { keys: ["Escape"], shown: "Esc", says: "let go of the nucleus", run: () => actions.deselect() },
  ];
}

export function listenToKeys(actions) {
  const table = keyTable(actions);
  for (const { keys, shown, says } of table.filter((entry) => entry.says)) {
    const row = element("help-rows").insertRow();
    row.insertCell().append(Object.assign(document.createElement("kbd"), { textContent: shown ?? keys[0] }));
    row.insertCell().textContent = says;
  }
  const runs = new Map(table.flatMap(({ keys, run }) => keys.map((key) => [key, run])));
  document.addEventListener("keydown", (event) => {
    const busy = element("help").open || event.target.closest("select");
    const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    const ownUse = event.target.closest("button, input, a") && [" ", "Enter"].includes(event.key);
    const slides = event.target.closest("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key);
    if (busy || ownUse || slides || event.ctrlKey || event.metaKey || event.altKey || !runs.has(key)) {
      return;
    }
    event.preventDefault();
    runs.get(key)();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") {
      actions.bare(false);
    }
  });
}
