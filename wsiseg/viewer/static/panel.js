// The panel beside the slide: what is shown, the threshold, and the nucleus that was clicked on.

import { scaleBar } from "./marks.js";

export const element = (id) => document.getElementById(id);
const words = (number) => number.toLocaleString("en");

const ROWS = [
  ["area_um2", "Area", 1], ["perimeter_um", "Perimeter", 1], ["circularity", "Circularity", 2],
  ["major_axis_um", "Major axis", 1], ["minor_axis_um", "Minor axis", 1], ["eccentricity", "Eccentricity", 2],
  ["solidity", "Solidity", 2], ["mean_confidence", "Mean confidence", 3],
  ["haematoxylin_mean", "Haematoxylin OD", 3], ["centroid_x_um", "Centre x", 1], ["centroid_y_um", "Centre y", 1],
];
const UNITS = { "um^2": "µm²", um: "µm", 1: "" };

export function showFacts(facts) {
  document.title = `${facts.name} - wsiseg`;
  element("name").textContent = facts.name;
  const size = `${words(facts.width_l0)} × ${words(facts.height_l0)} px, ${Number(facts.mpp_l0.toPrecision(3))} µm per px`;
  element("summary").textContent = facts.nuclei ? `${words(facts.nuclei.count)} nuclei; ${size}` : size;
  for (const note of facts.notes) {
    element("notes").append(Object.assign(document.createElement("li"), { textContent: note }));
  }
  element("notes").hidden = !facts.notes.length;
  element("slide-label").textContent = facts.has_slide ? "Slide" : "Haematoxylin";
  for (const { column, name } of facts.nuclei?.measures ?? []) {
    element("measure").append(Object.assign(document.createElement("option"), { value: column, textContent: name }));
  }
  for (const id of ["show-outlines", "show-density", "measure", "next", "previous"]) {
    element(id).disabled = !facts.nuclei;
  }
  if (facts.nuclei) {
    element("density-highest").textContent = `${words(Number(facts.nuclei.density.highest.toPrecision(2)))} nuclei per mm²`;
  }
}

export function showThreshold(facts, threshold) {
  const stored = Math.round(facts.threshold * 100);
  const value = (threshold / 100).toFixed(2);
  element("threshold").value = threshold;
  element("threshold-value").textContent = value;
  const { count, counts } = facts.nuclei ?? {};
  element("threshold-count").textContent = counts ? `${words(counts[threshold])} of ${words(count)} nuclei` : "";
  element("threshold-preview").hidden = threshold === stored;
  element("threshold-says").textContent =
    threshold > stored
      ? `Preview: orange reaches ${value}. Outlines are still those found at ${facts.threshold}, without nuclei that are less certain on average. To find the nuclei anew:`
      : `Preview: orange reaches ${value}. Outlines are still those found at ${facts.threshold}. To find the nuclei anew:`;
  element("export").textContent = `${facts.export} ${value}`;
  element("reset").textContent = `Back to ${facts.threshold}`;
}

export function showNucleus(facts, nucleus, place) {
  const body = element("measures").tBodies[0];
  body.replaceChildren();
  element("measures").hidden = !nucleus;
  element("nucleus-hint").hidden = Boolean(nucleus);
  element("nucleus-title").textContent = nucleus ? `Nucleus ${words(nucleus.measures.id)}` : "Nucleus";
  element("nucleus-hint").textContent = place ?? "Click on a nucleus to see what was measured.";
  for (const [column, name, digits] of nucleus ? ROWS : []) {
    const value = nucleus.measures[column];
    if (value !== undefined) {
      const unit = UNITS[facts.nuclei.units[column]] ?? facts.nuclei.units[column];
      const row = body.insertRow();
      row.insertCell().textContent = name;
      const number = value?.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
      row.insertCell().textContent = value === null ? "none" : `${number} ${unit}`.trim();
    }
  }
}

// What depends on the zoom: scale bar, magnification, which layers have something to show, keys of colours.
export function showZoom(facts, settings, view, outlinesShown) {
  const [length, text] = scaleBar(facts.mpp_l0 / view.scale);
  element("scale-line").style.width = `${length}px`;
  element("scale-text").textContent = text;
  const magnification = (10 * view.scale) / facts.mpp_l0;
  element("magnification").textContent = `${Number(magnification.toPrecision(magnification < 1 ? 1 : 2))}×`;
  element("outlines-hint").textContent = facts.nuclei && !outlinesShown ? "when closer" : "";
  element("density-hint").textContent = facts.nuclei && outlinesShown ? "when further away" : "";
  element("density-key").hidden = !(settings.density && facts.nuclei && !outlinesShown);
  element("confidence-key").hidden = !settings.confidence;
  const measure = facts.nuclei?.measures.find(({ column }) => column === settings.measure);
  element("measure-key").hidden = !(measure && settings.outlines && outlinesShown);
  if (measure) {
    const unit = UNITS[facts.nuclei.units[measure.column]] ?? "";
    const [low, high] = measure.range.map((value) => Number(value.toPrecision(3)));
    element("measure-low").textContent = `${measure.name.toLowerCase()} ${low}`;
    element("measure-high").textContent = `${high} ${unit}`.trim();
  }
}

export function showTrouble(error) {
  const ended = error instanceof TypeError;
  element("trouble").textContent = ended
    ? "The viewer has ended. Start `wsiseg view` again and open the new address."
    : `Something could not be shown: ${error.message}`;
  element("trouble").hidden = false;
}
