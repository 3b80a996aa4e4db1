// What is said about a prediction.

export function percent(value) {
  if (value === 0 || value === 1) return `${100 * value}\u00a0%`;
  if (value >= 0.9995) return ">\u00a099.9\u00a0%";
  if (value < 0.0005) return "<\u00a00.1\u00a0%";
  return `${(100 * value).toFixed(1)}\u00a0%`;
}

export function ranking(prediction) {
  return Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]);
}

export function verdict(prediction) {
  const [[label, best], [second, next]] = [...ranking(prediction), ["", 0]];
  if (prediction.known === false) {
    return { label: "Probably none of the seven", score: "", note: `Of them, ${label} is closest.` };
  }
  const behind = second ? `${second} comes second with ${percent(next)}` : "";
  const note = best >= 0.9 ? "A clear win." : best >= 0.6 ? `Ahead: ${behind}.` : `A close race: ${behind}.`;
  return { label, score: percent(best), note };
}

export function times(prediction, took) {
  const { fetch: fetching, decode, predict } = prediction.timings_ms;
  const parts = [["fetching", fetching], ["decoding", decode], ["the model", predict]];
  const known = parts.filter(([, time]) => time >= 0.5).map(([name, time]) => `${name} ${Math.round(time)}`);
  return `${Math.round(took)} ms in all${known.length ? `: ${known.join(", ")} ms` : ""}.`;
}
