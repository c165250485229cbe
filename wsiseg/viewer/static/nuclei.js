// Nuclei: their outlines where they are large enough on the screen, their density where they are not.

import { OUTLINE, densityTable, lineColour, paint } from "./colours.js";
import { drawOver, inLevel0 } from "./screen.js";
import { TileStore, fetchBytes, placesInSight } from "./tiles.js";

const KEPT_TILES = 160;
const COLOURS = 12;

// Whether this zoom shows outlines, and at which level; null where density is shown.
export function outlineLevel(facts, view) {
  if (!facts.nuclei || 1 / view.scale > facts.nuclei.outline_px_l0) {
    return null;
  }
  const level = Math.max(0, Math.round(Math.log2(1 / view.scale)));
  return Math.min(level, facts.nuclei.outline_levels);
}

function unpacked(buffer) {
  const [nuclei, rings, points] = new Uint32Array(buffer, 0, 3);
  let at = 12;
  const take = (Kind, length) => {
    const array = new Kind(buffer, at, length);
    at += 4 * length;
    return array;
  };
  return {
    nuclei,
    confidence: take(Float32Array, nuclei),
    values: take(Float32Array, nuclei),
    nucleusStart: take(Uint32Array, nuclei + 1),
    ringStart: take(Uint32Array, rings + 1),
    points: take(Float32Array, 2 * points),
  };
}

function trace(path, { points }, start, end) {
  path.moveTo(points[2 * start], points[2 * start + 1]);
  for (let i = start + 1; i < end - 1; i++) {
    path.lineTo(points[2 * i], points[2 * i + 1]);
  }
  path.closePath();
}

export class OutlineLayer {
  constructor(facts, settings, arrived, lost) {
    Object.assign(this, { facts, settings });
    this.tiles = new TileStore({ load: (...place) => this.load(...place), arrived, lost, capacity: KEPT_TILES });
  }

  async load(level, col, row, signal) {
    const measure = this.settings.measure || "mean_confidence";
    return unpacked(await fetchBytes(`nuclei/${level}/${col}/${row}?measure=${measure}`, signal));
  }

  measureChanged() {
    this.tiles.clear();
  }

  draw(context, view) {
    const level = outlineLevel(this.facts, view);
    if (!this.settings.outlines || level === null) {
      this.tiles.want([]);
      return;
    }
    const side = this.facts.tile_px * 2 ** level;
    const cols = Math.ceil(this.facts.width_l0 / side);
    const rows = Math.ceil(this.facts.height_l0 / side);
    const places = placesInSight(view, side, level, cols, rows);
    this.tiles.want(places);
    for (const [, col, row] of places) {
      const [tile, up] = this.tiles.nearest(level, col, row, this.facts.nuclei.outline_levels);
      if (tile) {
        this.drawTile(context, view, tile, side, col, row, up);
      }
    }
  }

  drawTile(context, view, tile, side, col, row, up) {
    context.save();
    if (up) {
      inLevel0(context, view);
      context.beginPath();
      context.rect(col * side, row * side, side, side);
      context.clip();
    }
    inLevel0(context, view, (col >> up) * side * 2 ** up, (row >> up) * side * 2 ** up);
    const width = Math.min(2, Math.max(1, (view.scale / this.facts.mpp_l0) * 0.6));
    context.lineWidth = width / view.scale;
    context.lineJoin = "round";
    for (const [colour, path] of this.paths(tile)) {
      context.strokeStyle = colour;
      context.stroke(path);
    }
    context.restore();
  }

  // One path a colour, kept until the threshold changes.
  paths(tile) {
    const { threshold, measure } = this.settings;
    if (tile.pathsFor !== threshold) {
      tile.pathsFor = threshold;
      const lowest = threshold / 100 > this.facts.threshold ? Math.fround(threshold / 100) : -1;
      const range = this.facts.nuclei.measures.find(({ column }) => column === measure)?.range;
      const paths = new Map();
      for (let n = 0; n < tile.nuclei; n++) {
        if (!(tile.confidence[n] < lowest)) {
          const colour = range ? this.colour(tile.values[n], range) : OUTLINE;
          const path = paths.get(colour) ?? new Path2D();
          paths.set(colour, path);
          for (let ring = tile.nucleusStart[n]; ring < tile.nucleusStart[n + 1]; ring++) {
            trace(path, tile, tile.ringStart[ring], tile.ringStart[ring + 1]);
          }
        }
      }
      tile.paths = paths;
    }
    return tile.paths;
  }

  colour(value, [low, high]) {
    const share = Math.min(Math.max((value - low) / (high - low || 1), 0), 1);
    return lineColour(Math.round((share || 0) * COLOURS) / COLOURS);
  }
}

export class DensityLayer {
  constructor(facts, settings, arrived, lost) {
    Object.assign(this, { facts, settings, arrived, lost });
    this.canvas = document.createElement("canvas");
    this.bytes = null;
    this.bytesFor = null;
  }

  isShown(view) {
    return Boolean(this.settings.density && this.facts.nuclei && outlineLevel(this.facts, view) === null);
  }

  draw(context, view) {
    if (!this.isShown(view)) {
      return;
    }
    this.fetch();
    if (!this.bytes) {
      return;
    }
    const { rows, cols, bin_l0: bin } = this.facts.nuclei.density;
    const look = `${this.bytesFor} ${this.settings.opacity}`;
    if (this.painted !== look) {
      Object.assign(this.canvas, { width: cols, height: rows });
      paint(this.canvas, this.bytes, densityTable(this.settings.opacity));
      this.painted = look;
    }
    context.imageSmoothingQuality = "high";
    drawOver(context, view, this.canvas, [0, 0, cols, rows], [0, 0, cols * bin, rows * bin]);
  }

  // The map for the threshold of now; while one is on its way the one before stays.
  async fetch() {
    const { threshold } = this.settings;
    if (this.fetching || this.bytesFor === threshold) {
      return;
    }
    this.fetching = true;
    try {
      this.bytes = new Uint8Array(await fetchBytes(`density?threshold=${threshold / 100}`));
      this.bytesFor = threshold;
      this.arrived();
    } catch (error) {
      this.lost(error);
    } finally {
      this.fetching = false;
    }
  }
}
