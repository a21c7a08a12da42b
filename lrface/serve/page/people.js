// The gallery: cards with search, enrolment, and erasing somebody once that is confirmed.

import { ask, clear, during, find, form, make, percent, pictureField, plural, say } from "./parts.js";

const MOST = 500; // cards at once; a search finds the others
let people = [];
let risk = null;

const out = find("enrol-out");
const picture = pictureField("enrol", () => clear(out));

export async function load() {
  try {
    ({ people, ...risk } = await (await ask("/people")).json());
    if (people.length === 0) find("enrol").open = true;
    show();
  } catch (error) {
    people = [];
    find("cards").replaceChildren();
    tell(error.message, "message bad");
  }
}

function tell(text, kind = "hint") {
  find("people-count").className = kind;
  find("people-count").textContent = text;
}

function show() {
  const wanted = find("filter").value.trim().toLocaleLowerCase();
  const found = people.filter(({ name }) => name.toLocaleLowerCase().includes(wanted));
  find("cards").replaceChildren(...found.slice(0, MOST).map(card));
  const all = plural(people.length, "person", "people");
  const counted = wanted === "" ? all : `${found.length ? found.length.toLocaleString("en") : "None"} of ${all}`;
  const shown = found.length > MOST ? `; the first ${MOST} are shown` : "";
  find("filter").hidden = people.length === 0;
  tell(people.length === 0 ? "Nobody is enrolled yet." : `${counted}${shown}. A stranger is given some name with a risk of up to ${percent(risk.risk)}.`);
}

function card({ name, faces, crop }) {
  const initials = name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toLocaleUpperCase();
  const face = make("span", { class: "face", "aria-hidden": "true" }, initials);
  if (crop) portrait(name, face);
  const erase = make("button", { type: "button", class: "danger", "aria-label": `Erase ${name}`, onclick: () => remove(name) }, "Erase");
  return make("li", {}, face, make("div", {}, make("b", { title: name }, name), make("small", {}, plural(faces, "face", "faces"))), erase);
}

// With fetch, as an image's own request carries no token.
async function portrait(name, place) {
  try {
    const data = await (await ask(`/people/${encodeURIComponent(name)}/crop`)).blob();
    place.replaceWith(make("img", { class: "face", alt: "", src: URL.createObjectURL(data) }));
  } catch { /* the initials stay */ }
}

async function remove(name) {
  const dialog = find("confirm");
  find("confirm-title").textContent = `Erase ${name}?`;
  find("confirm-text").textContent = "All faces of this person go, from every file of the gallery. This cannot be undone.";
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  if (dialog.returnValue !== "yes") return;
  tell(`Erasing ${name} …`);
  try {
    await ask(`/people/${encodeURIComponent(name)}`, { method: "DELETE" });
    await load();
    tell(`${name} was erased. ${find("people-count").textContent}`);
  } catch (error) {
    tell(error.message, "message bad");
  }
  (people.length ? find("filter") : document.querySelector("#enrol summary")).focus();
}

find("filter").addEventListener("input", show);

find("enrol-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!picture.file) {
    out.replaceChildren(say("warn", "A picture is needed."));
    return;
  }
  during(out, event.submitter, async () => {
    const fields = { name: find("name").value, image: picture.file, force: String(find("force").checked) };
    const answer = await (await ask("/people", form(fields))).json();
    await load();
    const notes = answer.notes.map((note) => say("warn", note));
    if (answer.left_out.length) return [...answer.left_out.map((reason) => say("bad", `Not enrolled: ${reason}.`)), ...notes];
    if (!answer.added) return [say("warn", `${answer.name} has this picture already.`)];
    picture.clear();
    event.target.reset();
    return [say("good", `${answer.name} is enrolled.`), ...notes];
  });
});
