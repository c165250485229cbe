// Colours of everything that is drawn, and tables from a byte to a colour.

export const OUTLINE = "#00d85a";
export const TISSUE = "#1443a0";
export const FAILED = "#d02020";
const MASK = [255, 157, 0];
const parsed = (ramp) => ramp.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const AREAS = parsed(["440154", "414487", "2a788e", "22a884", "7ad151", "fde725"]);
// Lines are thin: none of these is as dark as a nucleus.
const LINES = parsed(["2b5cff", "00b4ff", "00e0a4", "b4f000", "fff200"]);

// Colour (r, g, b) of a share of a ramp, 0 to 1.
function onRamp(ramp, share) {
  const place = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const before = Math.min(Math.floor(place), ramp.length - 2);
  return ramp[before].map((value, i) => Math.round(value + (ramp[before + 1][i] - value) * (place - before)));
}

export const lineColour = (share) => `rgb(${onRamp(LINES, share).join(" ")})`;

const packed = ([r, g, b], alpha) => ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;

// 256 pixels: what a byte of density looks like; nothing where there are no nuclei.
export function densityTable(opacity) {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    const share = byte / 255;
    return packed(onRamp(AREAS, share), opacity * Math.min(1, share * 6) * (0.6 + 0.4 * share));
  });
}

// 256 pixels: what a byte of confidence looks like, with the mask of what reaches `lowest` on top.
export function confidenceTable({ confidence, mask, lowest, opacity }) {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    if (mask && byte >= lowest) {
      return packed(MASK, opacity);
    }
    const share = byte / 255;
    return confidence ? packed(onRamp(AREAS, share), opacity * Math.min(1, share * 4)) : 0;
  });
}

// Pixels of a canvas from bytes through such a table.
export function paint(canvas, bytes, table) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = table[bytes[i]];
  }
  context.putImageData(image, 0, 0);
}
