// What is said about a model and its predictions.

const COUNTS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const MOST = 12; // labels in a list
const list = new Intl.ListFormat("en-GB", { type: "disjunction" });

const counted = (number) => COUNTS[number] ?? String(number);
const capital = (text) => text[0].toUpperCase() + text.slice(1);

export function introduction(labels) {
  const names = labels.length > MOST ? `One of ${labels.length} labels` : capital(list.format(labels));
  return `${names}? The model says which.`;
}

export function percent(value) {
  if (value === 0 || value === 1) return `${100 * value}\u00a0%`;
  if (value >= 0.9995) return ">\u00a099.9\u00a0%";
  if (value < 0.0005) return "<\u00a00.1\u00a0%";
  return `${(100 * value).toFixed(1)}\u00a0%`;
}

export function ranking(prediction) {
  return Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]);
}

export const noneOf = (prediction) => `none of the ${counted(ranking(prediction).length)}`;

export function verdict(prediction) {
  const [[label, best], [second, next]] = [...ranking(prediction), ["", 0]];
  if (prediction.known === false) {
    return { label: capital(`probably ${noneOf(prediction)}`), score: "", note: `${capital(label)} comes closest.` };
  }
  const lead = best >= 0.6 ? "In the lead" : "A close race";
  const note = best >= 0.9 ? "A clear win." : second && `${lead}: ${second} is second with ${percent(next)}.`;
  return { label, score: percent(best), note };
}

export function times(prediction, took) {
  const { fetch: fetching, decode, predict } = prediction.timings_ms;
  const parts = [["fetching", fetching], ["decoding", decode], ["model", predict]];
  const known = parts.filter(([, time]) => time >= 0.5).map(([name, time]) => `${name} ${Math.round(time)}`);
  return `${Math.round(took)} ms${known.length ? ` (${known.join(", ")})` : ""}`;
}
