// Two pictures: what the model saw, where the similarity lies, and the verdict in words.

import { ask, clear, during, find, form, make, percent, pictureField, say } from "./parts.js";
import { plot } from "./plot.js";

const out = find("compare-out");
const fields = ["a", "b"].map((which) => pictureField(which, () => clear(out)));

find("far").addEventListener("change", () => clear(out));

find("compare-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (fields.some((field) => !field.file)) {
    out.replaceChildren(say("warn", "Two pictures are needed."));
    return;
  }
  during(out, event.submitter, async () => {
    const [a, b] = fields.map((field) => field.file);
    const answer = await ask("/verify", form({ a, b, far: find("far").value, crops: "true" }));
    return show(await answer.json());
  });
});

// The threshold is for the rate that was asked for: below it the two may still be one person.
function verdictOf({ same, probability }) {
  if (same) return "The same person, probably";
  if (probability === null) return "Two different people, or not enough to tell";
  return probability < 0.1 ? "Two different people, probably" : "Not enough to tell";
}

function words(answer) {
  const margin = answer.similarity - answer.threshold;
  const near = Math.abs(margin) < 0.05 ? " It was close." : "";
  const place = margin > 0 ? "above" : "not above";
  return `Similarity ${answer.similarity.toFixed(3)}, ${place} the threshold ${answer.threshold.toFixed(3)} for faces of this detail.${near}`;
}

function show(answer) {
  const verdict = make(
    "div", { class: `card verdict ${answer.same ? "same" : ""}` },
    make("h2", {}, verdictOf(answer)),
    make("p", {}, words(answer)),
    answer.far === null ? null : make("p", { class: "hint" }, `Of pairs of strangers of this detail, about ${percent(answer.far)} would be taken for one person.`),
    answer.probability === null ? null
      : make("p", { class: "hint" }, `Probability of one person, if it was even before: ${percent(answer.probability)}.`),
    ...[...answer.warnings, ...answer.notes].map((text) => say("warn", text)),
  );
  const seen = make("div", { class: "two" }, ...answer.faces.map(face));
  const parts = [verdict, seen];
  if (answer.distributions) parts.push(plot(answer));
  return parts;
}

function face(found, index) {
  const crops = Object.entries(found.crops).map(([side, url]) => make(
    "figure", {}, make("img", { src: url, alt: `The face at ${side} pixels` }), make("figcaption", {}, `${side} px`),
  ));
  return make(
    "div", { class: "card" },
    make("h3", {}, `What was seen in picture ${"AB"[index]}`),
    make("div", { class: "crops" }, ...crops),
    make("dl", {},
      make("dt", {}, "Detail"), make("dd", {}, `${found.detail.toFixed(0)} pixels`),
      make("dt", {}, "Face in the picture"), make("dd", {}, `${found.quality.pixels.toFixed(0)} pixels wide`)),
  );
}
