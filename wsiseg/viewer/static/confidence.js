// Confidence, and what of it reaches the threshold: bytes of the store, coloured here, so that both act at once.

import { confidenceTable, paint } from "./colours.js";
import { drawOver } from "./screen.js";
import { TileStore, fetchBytes, placesInSight } from "./tiles.js";

const KEPT_TILES = 96;

export class ConfidenceLayer {
  constructor(facts, settings, arrived, lost) {
    Object.assign(this, { facts, settings });
    this.tilePx = facts.tile_px;
    this.sizes = facts.confidence.sizes;
    this.tiles = new TileStore({ load: (...place) => this.load(...place), arrived, lost, capacity: KEPT_TILES });
  }

  async load(level, col, row, signal) {
    const bytes = new Uint8Array(await fetchBytes(`confidence/${level}/${col}/${row}`, signal));
    const [width, height] = this.sizes[level];
    const canvas = document.createElement("canvas");
    canvas.width = Math.min(this.tilePx, width - col * this.tilePx);
    canvas.height = Math.min(this.tilePx, height - row * this.tilePx);
    return { bytes, canvas, painted: "" };
  }

  draw(context, view) {
    const { confidence, mask, threshold, opacity } = this.settings;
    if (!confidence && !mask) {
      this.tiles.want([]);
      return;
    }
    const look = { confidence, mask, lowest: this.facts.threshold_u8[threshold], opacity };
    const name = JSON.stringify(look);
    if (name !== this.tableName) {
      Object.assign(this, { tableName: name, table: confidenceTable(look) });
    }
    const pixelL0 = this.facts.confidence.scale_l0;
    const finest = Math.round(Math.log2(1 / (view.scale * view.dpr * pixelL0)));
    const level = Math.min(Math.max(finest, 0), this.sizes.length - 1);
    const side = this.tilePx * pixelL0 * 2 ** level;
    const [cols, rows] = this.sizes[level].map((pixels) => Math.ceil(pixels / this.tilePx));
    const places = placesInSight(view, side, level, cols, rows);
    this.tiles.want(places);
    // a pixel that is large on the screen is shown as what it is
    context.imageSmoothingEnabled = view.scale * view.dpr * pixelL0 < 3;
    for (const place of places) {
      this.drawTile(context, view, side, place);
    }
    context.imageSmoothingEnabled = true;
  }

  drawTile(context, view, side, [level, col, row]) {
    const [tile, up] = this.tiles.nearest(level, col, row, this.sizes.length - 1);
    if (!tile) {
      return;
    }
    if (tile.painted !== this.tableName) {
      paint(tile.canvas, tile.bytes, this.table);
      tile.painted = this.tableName;
    }
    const part = this.tilePx / 2 ** up;
    const [left, top] = [(col % 2 ** up) * part, (row % 2 ** up) * part];
    const width = Math.min(part, tile.canvas.width - left);
    const height = Math.min(part, tile.canvas.height - top);
    if (width > 0 && height > 0) {
      const [x0, y0, pixel] = [col * side, row * side, side / part];
      const rectangle = [x0, y0, x0 + width * pixel, y0 + height * pixel];
      drawOver(context, view, tile.canvas, [left, top, width, height], rectangle);
    }
  }
}
