// The canvas over the slide: where a level-0 pixel is on it, and when it is drawn again.

// A drawing that took longer is moved along with the slide, and made anew so often or when the slide rests.
const SLOW_MS = 20;
const ANEW_MS = 150;

export class Screen {
  constructor(osd, canvas, draw) {
    Object.assign(this, { osd, canvas, draw });
    this.context = canvas.getContext("2d");
    this.asked = false;
    this.moving = false;
    this.kept = { canvas: document.createElement("canvas"), view: null, took: 0, at: 0 };
    osd.addHandler("animation-start", () => {
      this.moving = true;
    });
    osd.addHandler("animation-finish", () => {
      this.moving = false;
      this.refresh();
    });
    // under the small map and whatever else OpenSeadragon lays over the slide
    osd.canvas.append(canvas);
    osd.addHandler("update-viewport", () => this.redraw());
    osd.addHandler("resize", () => this.refresh());
  }

  // What is seen: level-0 corners of the view, css pixels per level-0 pixel, and device pixels per css pixel.
  view() {
    const { viewport } = this.osd;
    const at = (x, y) => viewport.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
    const origin = at(0, 0);
    const scale = (at(1000, 0).x - origin.x) / 1000;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return {
      width, height, scale, origin,
      x0: -origin.x / scale, y0: -origin.y / scale,
      x1: (width - origin.x) / scale, y1: (height - origin.y) / scale,
      dpr: window.devicePixelRatio || 1,
    };
  }

  // Draws in the next frame, once however often it is asked.
  refresh() {
    if (!this.asked) {
      this.asked = true;
      requestAnimationFrame(() => this.redraw());
    }
  }

  redraw() {
    this.asked = false;
    if (!this.osd.isOpen()) {
      return;
    }
    const view = this.view();
    const [width, height] = [Math.round(view.width * view.dpr), Math.round(view.height * view.dpr)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    const started = performance.now();
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.clearRect(0, 0, width, height);
    const { kept } = this;
    if (this.moving && kept.took > SLOW_MS && started - kept.at < ANEW_MS && kept.canvas.width === width) {
      const { x0, y0, x1, y1 } = kept.view;
      drawOver(this.context, view, kept.canvas, [0, 0, width, height], [x0, y0, x1, y1]);
      return;
    }
    this.draw(this.context, view);
    const took = performance.now() - started;
    if (took > SLOW_MS) {
      Object.assign(kept.canvas, { width, height });
      kept.canvas.getContext("2d").drawImage(this.canvas, 0, 0);
    }
    Object.assign(kept, { view, took, at: performance.now() });
  }
}

// Draws in level-0 pixels from now on.
export function inLevel0(context, view, x = 0, y = 0) {
  const scale = view.scale * view.dpr;
  context.setTransform(
    scale, 0, 0, scale, (view.origin.x + x * view.scale) * view.dpr, (view.origin.y + y * view.scale) * view.dpr,
  );
}

// Draws a picture over a level-0 rectangle; edges fall on whole device pixels, so that neighbours leave no seam.
export function drawOver(context, view, picture, source, rectangle) {
  const onX = (x) => Math.round((view.origin.x + x * view.scale) * view.dpr);
  const onY = (y) => Math.round((view.origin.y + y * view.scale) * view.dpr);
  const [x0, y0, x1, y1] = rectangle;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(picture, ...source, onX(x0), onY(y0), onX(x1) - onX(x0), onY(y1) - onY(y0));
}
