// A picture with every face named, in boxes and as a list.

import { ask, during, find, form, make, percent, pictureField, plural, say } from "./parts.js";

pictureField("group", (file) => during(find("group-out"), null, async () => {
  const answer = await (await ask("/search", form({ image: file }))).json();
  const image = make("img", { alt: "The picture that was searched" });
  const loaded = new Promise((done) => { image.onload = done; image.onerror = done; });
  image.src = URL.createObjectURL(file);
  await loaded;
  return show(answer.faces, image);
}));

function show(faces, image) {
  const known = faces.filter((face) => face.answer.name !== null);
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const share = (pixels, side) => `${(100 * pixels) / side}%`;
  const boxes = width === 0 ? [] : faces.map(({ box: [left, top, right, bottom], answer }, place) => {
    const box = make("div", { class: `box ${answer.name ? "known" : ""}`, "aria-hidden": "true" }, make("span", {}, answer.name ? `${place + 1} ${answer.name}` : place + 1));
    box.style.left = share(left, width);
    box.style.top = share(top, height);
    box.style.width = share(right - left, width);
    box.style.height = share(bottom - top, height);
    return box;
  });
  const nobody = faces[0]?.answer.people === 0;
  return [
    make("h2", {}, `${plural(faces.length, "face", "faces")}, ${known.length.toLocaleString("en")} known`),
    nobody ? say("warn", "The gallery is empty: add people first.") : null,
    width === 0 ? null : make("div", { class: "photo" }, image, ...boxes),
    make("ol", { class: "list card" }, ...faces.map(line)),
  ].filter((part) => part !== null);
}

function line({ answer, detail, notes }, place) {
  const best = answer.matches[0];
  const facts = [`${detail.toFixed(0)} pixels of detail`];
  if (best) {
    facts.push(`${answer.name ? "" : `nearest ${best.name}, `}similarity ${best.similarity.toFixed(3)}, threshold ${best.threshold.toFixed(3)}`);
    if (best.risk !== null) facts.push(`a stranger gets this far with a risk of ${best.risk_bound && best.risk >= 0.001 ? `${best.risk_bound} ` : ""}${percent(best.risk)}`);
  }
  const warnings = [...new Set([...answer.warnings, ...answer.notes, ...notes])];
  return make("li", {}, make("b", {}, `${place + 1} ${answer.name ?? "Unknown"}`), make("p", {}, facts.join(" · ")), ...warnings.map((text) => say("warn", text)));
}
