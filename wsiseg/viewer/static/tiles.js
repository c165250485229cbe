// Tiles that are loaded as they come into sight, and forgotten when there are too many.

const AT_ONCE = 4;

export class TileStore {
  // load(level, col, row, signal) gives a promise of a tile; arrived() is told of each, lost(error) of failures.
  constructor({ load, arrived, lost, capacity }) {
    Object.assign(this, { load, arrived, lost, capacity });
    this.tiles = new Map();
    this.loading = new Map();
    this.wanted = [];
  }

  get(level, col, row) {
    const key = `${level}/${col}/${row}`;
    const tile = this.tiles.get(key);
    if (tile) {
      this.tiles.delete(key);
      this.tiles.set(key, tile);
    }
    return tile;
  }

  // The tile itself, or the part of a coarser one that stands in for it: [tile, how many levels coarser].
  nearest(level, col, row, coarsest) {
    for (let up = 0; level + up <= coarsest; up++) {
      const tile = this.get(level + up, col >> up, row >> up);
      if (tile) {
        return [tile, up];
      }
    }
    return [null, 0];
  }

  // Loads these tiles, the first ones first, and drops requests for others.
  want(places) {
    this.wanted = places.filter((place) => !this.tiles.has(place.join("/")));
    const keys = new Set(this.wanted.map((place) => place.join("/")));
    for (const [key, control] of this.loading) {
      if (!keys.has(key)) {
        control.abort();
        this.loading.delete(key);
      }
    }
    this.startNext();
  }

  clear() {
    this.want([]);
    this.tiles.clear();
  }

  startNext() {
    for (const place of this.wanted) {
      if (this.loading.size >= AT_ONCE) {
        return;
      }
      const key = place.join("/");
      if (!this.loading.has(key) && !this.tiles.has(key)) {
        this.start(key, place);
      }
    }
  }

  async start(key, place) {
    const control = new AbortController();
    this.loading.set(key, control);
    try {
      const tile = await this.load(...place, control.signal);
      if (control.signal.aborted) {
        return;
      }
      this.tiles.set(key, tile);
      while (this.tiles.size > this.capacity) {
        this.tiles.delete(this.tiles.keys().next().value);
      }
      this.arrived();
    } catch (error) {
      if (control.signal.aborted) {
        return;
      }
      this.wanted = this.wanted.filter((other) => other.join("/") !== key);
      this.lost(error);
    } finally {
      if (this.loading.get(key) === control) {
        this.loading.delete(key);
      }
    }
    this.startNext();
  }
}

export async function fetchBytes(address, signal) {
  const answer = await fetch(address, { signal });
  if (!answer.ok) {
    throw new Error(`${answer.status} ${await answer.text()}`);
  }
  return answer.arrayBuffer();
}

export async function fetchJson(address) {
  const answer = await fetch(address);
  if (!answer.ok) {
    throw new Error(`${answer.status} ${await answer.text()}`);
  }
  return answer.json();
}

// Tiles of `side` (level-0 px) that a view shows, clipped to cols x rows, those in the middle first.
export function placesInSight(view, side, level, cols, rows) {
  const first = (v, count) => Math.min(Math.max(Math.floor(v / side), 0), count - 1);
  const places = [];
  for (let row = first(view.y0, rows); row <= first(view.y1, rows); row++) {
    for (let col = first(view.x0, cols); col <= first(view.x1, cols); col++) {
      places.push([level, col, row]);
    }
  }
  const [midX, midY] = [(view.x0 + view.x1) / 2 / side - 0.5, (view.y0 + view.y1) / 2 / side - 0.5];
  const far = ([, col, row]) => (col - midX) ** 2 + (row - midY) ** 2;
  return places.sort((a, b) => far(a) - far(b));
}
