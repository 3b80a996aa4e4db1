// Draws where the model looked, in a colour map whose lightness rises evenly (inferno).

const COLOURS = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];

// value: 0 to 1. Returns red, green and blue.
export function colour(value) {
  const place = Math.min(Math.max(value, 0), 1) * (COLOURS.length - 1);
  const left = Math.min(Math.floor(place), COLOURS.length - 2);
  return COLOURS[left].map((part, i) => part + (place - left) * (COLOURS[left + 1][i] - part));
}

// heatmap: rows from the top, of values from 0 to 1.
export function drawHeatmap(canvas, heatmap) {
  canvas.width = heatmap[0].length;
  canvas.height = heatmap.length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  heatmap.flat().forEach((value, i) => pixels.data.set([...colour(value), 255], 4 * i));
  context.putImageData(pixels, 0, 0);
}
