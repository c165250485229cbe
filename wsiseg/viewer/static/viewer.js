// The page: facts about the slide, the slide itself, the layers over it, and what the user does.

import { ConfidenceLayer } from "./confidence.js";
import { listenToKeys } from "./keys.js";
import { Marks } from "./marks.js";
import { DensityLayer, OutlineLayer, outlineLevel } from "./nuclei.js";
import { element, showFacts, showNucleus, showThreshold, showTrouble, showZoom } from "./panel.js";
import { Screen } from "./screen.js";
import { fetchJson } from "./tiles.js";

const LAYERS = ["outlines", "density", "mask", "confidence", "tissue", "slide"];
const CLICK_REACH_PX = 3;
const CLOSE_UP = 40;

function openSlide(facts) {
  const deepest = facts.levels - 1;
  const viewer = OpenSeadragon({
    element: element("slide"),
    drawer: "canvas",
    tileSources: {
      width: facts.width_l0,
      height: facts.height_l0,
      tileSize: facts.tile_px,
      minLevel: 0,
      maxLevel: deepest,
      getTileUrl: (level, col, row) => `slide/${deepest - level}/${col}/${row}`,
    },
    showNavigationControl: false,
    showNavigator: true,
    navigatorPosition: "BOTTOM_RIGHT",
    navigatorSizeRatio: 0.16,
    navigatorAutoFade: false,
    maxZoomPixelRatio: 8,
    minZoomImageRatio: 0.6,
    visibilityRatio: 0.4,
    animationTime: 0.5,
    springStiffness: 9,
    zoomPerScroll: 1.35,
    imageLoaderLimit: 4,
    maxImageCacheCount: 200,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
  });
  viewer.addHandler("canvas-key", (event) => {
    event.preventDefaultAction = true;
  });
  return viewer;
}

function start(facts) {
  const stored = Math.round(facts.threshold * 100);
  const settings = { threshold: stored, opacity: 0.6, measure: "" };
  for (const layer of LAYERS) {
    settings[layer] = element(`show-${layer}`).checked;
  }
  const osd = openSlide(facts);
  let bare = false;
  let rank = -1;

  const refresh = () => screen.refresh();
  const confidence = new ConfidenceLayer(facts, settings, refresh, showTrouble);
  const outlines = new OutlineLayer(facts, settings, refresh, showTrouble);
  const density = new DensityLayer(facts, settings, refresh, showTrouble);
  const marks = new Marks(facts, settings);
  const screen = new Screen(osd, element("overlay"), (context, view) => {
    showZoom(facts, settings, view, outlineLevel(facts, view) !== null);
    if (!bare) {
      for (const layer of [confidence, density, outlines, marks]) {
        layer.draw(context, view);
      }
    }
  });

  const setLayer = (layer, on) => {
    settings[layer] = on;
    element(`show-${layer}`).checked = on;
    if (layer === "slide") {
      osd.world.getItemAt(0)?.setOpacity(on ? 1 : 0);
    }
    refresh();
  };
  const setThreshold = (threshold) => {
    settings.threshold = Math.min(Math.max(threshold, 1), 99);
    showThreshold(facts, settings.threshold);
    if (settings.threshold !== stored) {
      setLayer("mask", true);
    }
    refresh();
  };
  const select = (nucleus, hint) => {
    marks.select(nucleus?.rings);
    showNucleus(facts, nucleus, hint);
    refresh();
  };
  const magnify = (magnification, point) => {
    const view = screen.view();
    if (point) {
      osd.viewport.panTo(osd.viewport.imageToViewportCoordinates(new OpenSeadragon.Point(...point)));
    }
    osd.viewport.zoomTo((osd.viewport.getZoom(true) * magnification * facts.mpp_l0) / 10 / view.scale);
    osd.viewport.applyConstraints();
  };

  const actions = {
    toggle: (layer) => element(`show-${layer}`).disabled || setLayer(layer, !settings[layer]),
    bare: (on) => {
      bare = on;
      refresh();
    },
    stepThreshold: (step) => setThreshold(settings.threshold + step),
    resetThreshold: () => setThreshold(stored),
    zoom: (factor) => osd.viewport.zoomBy(factor).applyConstraints(),
    home: () => osd.viewport.goHome(),
    magnify,
    pan: (x, y) => {
      const bounds = osd.viewport.getBounds();
      osd.viewport.panBy(new OpenSeadragon.Point(x * bounds.width, y * bounds.height)).applyConstraints();
    },
    deselect: () => select(null),
    leastCertain: async (step) => {
      if (!facts.nuclei?.count) {
        return;
      }
      rank = Math.min(Math.max(rank + step, 0), facts.nuclei.count - 1);
      const nucleus = await fetchJson(`nucleus?rank=${rank}`).catch(showTrouble);
      if (nucleus) {
        magnify(CLOSE_UP, [nucleus.measures.centroid_x_l0, nucleus.measures.centroid_y_l0]);
        select(nucleus);
      }
    },
  };

  osd.addHandler("canvas-click", async (event) => {
    if (!event.quick || !facts.nuclei) {
      return;
    }
    const { x, y } = osd.viewport.viewerElementToImageCoordinates(event.position);
    const reach = CLICK_REACH_PX / screen.view().scale;
    try {
      const nucleus = await fetchJson(`nucleus?x=${x}&y=${y}&tolerance=${reach}`);
      select(nucleus, nucleus ? undefined : "No nucleus there.");
    } catch (error) {
      showTrouble(error);
    }
  });
  osd.addHandler("open", refresh);
  for (const layer of LAYERS) {
    element(`show-${layer}`).addEventListener("change", (event) => setLayer(layer, event.target.checked));
  }
  element("threshold").addEventListener("input", (event) => setThreshold(Number(event.target.value)));
  element("opacity").addEventListener("input", (event) => {
    settings.opacity = Number(event.target.value) / 100;
    refresh();
  });
  element("measure").addEventListener("change", (event) => {
    settings.measure = event.target.value;
    outlines.measureChanged();
    refresh();
  });
  const press = {
    "zoom-in": () => actions.zoom(2), "zoom-out": () => actions.zoom(0.5), home: actions.home,
    reset: actions.resetThreshold, next: () => actions.leastCertain(1), previous: () => actions.leastCertain(-1),
    "help-button": () => element("help").showModal(), "help-close": () => element("help").close(),
    copy: () => navigator.clipboard.writeText(element("export").textContent),
  };
  for (const [id, run] of Object.entries(press)) {
    element(id).addEventListener("click", run);
  }
  listenToKeys(actions);
  showFacts(facts);
  showThreshold(facts, stored);
}

fetchJson("facts").then(start).catch(showTrouble);
