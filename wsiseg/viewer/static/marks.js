// Lines over everything: tissue, places that could not be read, the nucleus that was clicked on; and the scale bar.

import { FAILED, TISSUE } from "./colours.js";
import { inLevel0 } from "./screen.js";

function closedPath(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    ring.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  return path;
}

export class Marks {
  constructor(facts, settings) {
    Object.assign(this, { facts, settings });
    this.tissue = closedPath(facts.tissue);
    this.selected = null;
  }

  select(rings) {
    this.selected = rings && closedPath(rings);
  }

  draw(context, view) {
    inLevel0(context, view);
    const stroke = (path, colour, width) => {
      context.strokeStyle = colour;
      context.lineWidth = width / view.scale;
      context.stroke(path);
    };
    if (this.settings.tissue) {
      stroke(this.tissue, TISSUE, 2);
    }
    for (const { box_l0: [x0, y0, x1, y1] } of this.facts.failures) {
      const frame = new Path2D();
      frame.rect(x0, y0, x1 - x0, y1 - y0);
      stroke(frame, FAILED, 2);
    }
    if (this.selected) {
      stroke(this.selected, "#10131a", 5);
      stroke(this.selected, "#ffffff", 2.5);
    }
  }
}

// The longest round length that fits `most` css pixels: [css pixels, words].
export function scaleBar(micrometresPerPixel, most = 150) {
  const longest = most * micrometresPerPixel;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = [5, 2, 1].map((step) => step * power).find((um) => um <= longest * (1 + 1e-9));
  const words = length < 1000 ? `${Number(length.toPrecision(1))} µm` : `${length / 1000} mm`;
  return [length / micrometresPerPixel, words];
}
