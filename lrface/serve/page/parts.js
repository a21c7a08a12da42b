// What the views share: elements, requests, and a place to put a picture. Text is only ever set as text, never as HTML.

export const find = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const sentence = (text) => text.charAt(0).toLocaleUpperCase("en") + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");

export const say = (kind, text) => make("p", { class: `message ${kind}`, role: kind === "bad" ? "alert" : null }, sentence(text));

export const percent = (share) => {
  const value = 100 * share;
  if (value > 99.9 && value < 100) return "over 99.9\u00a0%";
  return `${value > 0 && value < 0.1 ? "under 0.1" : value.toLocaleString("en", { maximumSignificantDigits: 2 })}\u00a0%`;
};

export const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// Asks the service; where it is busy, asks again a few times. Throws an Error whose message is for people.
export async function ask(path, options = {}) {
  for (let tries = 0; ; tries += 1) {
    const token = sessionStorage.getItem("token");
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The service does not answer. Is it still running?");
    }
    if (answer.ok) return answer;
    const pause = Number(answer.headers.get("retry-after") ?? 1);
    if (answer.status === 503 && tries < 3 && pause < 5) {
      await new Promise((done) => setTimeout(done, 1000 * pause));
      continue;
    }
    const body = await answer.json().catch(() => ({}));
    if (answer.status === 401) document.dispatchEvent(new CustomEvent("token", { detail: Boolean(token) }));
    throw new Error(sentence(body.error ?? `The service answered ${answer.status}`));
  }
}

export function form(fields) {
  const data = new FormData();
  for (const [key, value] of Object.entries(fields)) data.append(key, value);
  return { method: "POST", body: data };
}

const latest = new WeakMap(); // place for an answer -> what it waits for

// Runs one thing for a form: its button waits, and a failure is said where the answer would be. An answer that nobody waits for
// any more, as other pictures were chosen meanwhile, is not shown.
export async function during(out, button, work) {
  latest.set(out, work);
  out.replaceChildren(make("p", { class: "hint waiting" }, "Looking …"));
  const focused = button !== null && document.activeElement === button;
  if (button) button.disabled = true;
  const parts = await work().catch((error) => [say("bad", error.message)]);
  if (latest.get(out) === work) out.replaceChildren(...parts);
  if (button) button.disabled = false;
  if (focused && document.activeElement === document.body) button.focus(); // a button that is disabled loses it
}

// Takes an answer away that does not belong to what is chosen now.
export function clear(out) {
  latest.delete(out);
  out.replaceChildren();
}

// A file that misses its field must not replace the page.
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());

// A field for a picture: chosen, dropped, or pasted while the pointer or the focus is on it.
export function pictureField(which, changed = () => {}) {
  const label = find(`drop-${which}`);
  const input = find(`file-${which}`);
  const title = label.querySelector("b");
  const wanted = title.textContent;
  const field = { file: null };
  const put = (file) => {
    field.file = file;
    label.querySelector("img")?.remove();
    label.classList.toggle("full", file !== null);
    title.textContent = file === null ? wanted : file.name || "pasted picture";
    title.title = file?.name ?? "";
  };
  const take = (file) => {
    if (!file) return;
    put(file);
    const image = make("img", { alt: "", src: URL.createObjectURL(file) });
    image.addEventListener("error", () => image.remove()); // a video, or what this browser does not show
    label.prepend(image);
    changed(file);
  };
  field.clear = () => put(null);
  input.addEventListener("click", () => { input.value = ""; }); // the same file may be chosen again
  input.addEventListener("change", () => take(input.files[0]));
  label.addEventListener("dragover", (event) => { event.preventDefault(); label.classList.add("over"); });
  label.addEventListener("dragleave", () => label.classList.remove("over"));
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    label.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (label.matches(":hover, :focus-within")) take(event.clipboardData.files[0]);
  });
  return field;
}
