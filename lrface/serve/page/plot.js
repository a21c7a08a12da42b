// Where a similarity lies among pairs of one person and of two, from their quantiles: between 5 and 95 % and the median.

import { make } from "./parts.js";

const [WIDTH, HEIGHT, LEFT, RIGHT] = [640, 132, 110, 14];

function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The similarity below which a share of pairs lies; outside what is known, the nearest that is.
function quantile({ shares, similarities }, share) {
  const after = shares.findIndex((each) => each >= share);
  if (after === 0) return similarities[0];
  if (after < 0) return similarities.at(-1);
  const part = (share - shares[after - 1]) / (shares[after] - shares[after - 1]);
  return similarities[after - 1] + part * (similarities[after] - similarities[after - 1]);
}

export function plot(answer) {
  const { same, different } = answer.distributions;
  const all = [...same.similarities, ...different.similarities, answer.similarity, answer.threshold];
  const low = Math.max(-1, Math.min(...all) - 0.05);
  const high = Math.min(1, Math.max(...all) + 0.05);
  const x = (value) => LEFT + ((value - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
  const svg = draw("svg", { viewBox: `0 -8 ${WIDTH} ${HEIGHT + 8}`, class: "plot", role: "img" });
  const spans = [["one person", same, "--same", 32], ["two people", different, "--different", 72]];
  const told = [];
  for (const [label, curve, colour, y] of spans) {
    const ends = [curve.similarities[0], curve.similarities.at(-1)];
    svg.append(draw("text", { x: 0, y: y + 15 }, label));
    const fill = `fill: var(${colour})`;
    const whole = draw("rect", { x: x(ends[0]), y: y + 8, width: Math.max(1, x(ends[1]) - x(ends[0])), height: 6, rx: 3, opacity: 0.35 });
    const inner = [quantile(curve, 0.25), quantile(curve, 0.75)];
    const half = draw("rect", { x: x(inner[0]), y, width: Math.max(2, x(inner[1]) - x(inner[0])), height: 22, rx: 4, opacity: 0.85 });
    for (const part of [whole, half]) { part.style.cssText = fill; svg.append(part); }
    told.push(`half of the pairs of ${label} between ${inner[0].toFixed(2)} and ${inner[1].toFixed(2)}`);
  }
  for (const [label, value, dash, y] of [["threshold", answer.threshold, "4 4", 122], ["here", answer.similarity, "", 14]]) {
    const line = draw("line", { x1: x(value), x2: x(value), y1: 20, y2: 108, "stroke-dasharray": dash, "stroke-width": dash ? 1.5 : 3 });
    line.style.stroke = dash ? "var(--soft)" : "var(--main)";
    const anchor = x(value) > WIDTH - 90 ? "end" : "middle";
    svg.append(line, draw("text", { x: x(value), y, "text-anchor": anchor }, `${label} ${value.toFixed(2)}`));
  }
  svg.setAttribute("aria-label", `Similarity ${answer.similarity.toFixed(2)}, threshold ${answer.threshold.toFixed(2)}; ${told.join("; ")}`);
  const [first, second] = answer.resolutions.map((side) => side.toFixed(0));
  return make(
    "div", { class: "card" },
    make("h3", {}, `Among pairs of ${first} and ${second} pixels of detail`), svg,
    make("p", { class: "hint" }, "Thick: the middle half of the pairs on which the model was calibrated. Thin: the range that is known."),
  );
}
