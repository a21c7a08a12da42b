// A video: followed by the service, and told as a timeline of who was there when.

import { ask, find, form, make, percent, pictureField, plural, say } from "./parts.js";

let running = null; // what stops the watch that is going on

pictureField("video", (file) => watch(file));
find("video-stop").addEventListener("click", () => running?.abort());

async function watch(file) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const out = find("video-out");
  out.replaceChildren();
  find("video-state").hidden = false;
  progress(null, null);
  find("video-said").textContent = "Sending the video …";
  try {
    const answer = await ask("/watch", { ...form({ video: file }), signal: mine.signal });
    let last = null;
    for await (const line of lines(answer.body)) {
      if (line.kind === "error") throw new Error(line.error);
      if (line.kind === "progress") progress(line.time, line.length);
      else if (line.kind === "done") last = line;
      else tell(line);
    }
    if (!last) throw new Error("The service stopped in the middle of the video.");
    out.replaceChildren(...show(last, file));
  } catch (error) {
    if (running !== mine) return; // another video was chosen meanwhile
    out.replaceChildren(mine.signal.aborted ? say("warn", "Stopped. Nothing of the video is kept.") : say("bad", error.message));
  } finally {
    if (running === mine) {
      running = null;
      find("video-state").hidden = true;
    }
  }
}

// JSON objects, one a line.
async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

function progress(time, length) {
  const bar = find("video-progress");
  if (time === null || !length) bar.removeAttribute("value");
  else bar.value = Math.min(1, time / length);
  if (time !== null) find("video-said").textContent = `Watched ${clock(time)}${length ? ` of ${clock(length)}` : ""}`;
}

function tell({ kind, time, person }) {
  if (kind === "ended") return;
  find("video-said").textContent = `${clock(time)}: ${person.name ?? "somebody unknown"} ${kind === "named" ? "recognised" : "after a better look"}`;
}

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const whole = Math.floor(tenths / 10);
  const two = (number) => String(number).padStart(2, "0");
  if (tenths < 600) return `0:${two(whole)}.${tenths % 10}`;
  return whole < 3600 ? `${Math.floor(whole / 60)}:${two(whole % 60)}` : `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function show(answer, file) {
  let unknown = 0;
  const people = answer.people.map(({ name, tracks }) => ({ title: name ?? `Unknown ${(unknown += 1)}`, known: name !== null, tracks }));
  const known = people.filter((person) => person.known).length;
  const player = make("video", { controls: true, playsinline: true, preload: "auto", class: "player", "aria-label": "The video" });
  player.muted = true;
  const jump = (time) => {
    player.currentTime = time;
    player.scrollIntoView({ block: "nearest" });
  };
  player.addEventListener("error", () => player.remove()); // a GIF, or what this browser does not play
  player.src = URL.createObjectURL(file);
  return [
    make("h2", { tabindex: "-1" }, people.length ? `${plural(people.length, "person", "people")}, ${known.toLocaleString("en")} known` : "Nobody was seen"),
    ...answer.notes.map((note) => say("warn", note)),
    player,
    ...(people.length ? [timeline(people, Math.max(answer.length, 0.1), jump), make("ol", { class: "list card who" }, ...people.map((person) => card(person, jump)))] : []),
  ];
}

const span = ({ start, end }) => `${clock(start)} to ${clock(end)}`;

function timeline(people, length, jump) {
  const row = ({ title, known, tracks }) => make("li", {},
    make("span", { class: "row-name", title }, title),
    make("div", { class: "track" }, ...tracks.map((track) => {
      const part = make("button", {
        type: "button", class: known ? "known" : "", title: span(track), "aria-label": `${title}, ${span(track)}: go there`, onclick: () => jump(track.start),
      });
      part.style.left = `${(100 * track.start) / length}%`;
      part.style.width = `${(100 * (track.end - track.start)) / length}%`;
      return part;
    })));
  const ticks = make("div", { class: "ticks", "aria-hidden": "true" }, ...[0, 0.5, 1].map((place) => make("span", {}, clock(place * length))));
  return make("section", { class: "card", "aria-label": "Timeline" },
    make("h3", {}, "When"), make("ol", { class: "timeline" }, ...people.map(row)), ticks);
}

function card({ title, known, tracks }) {
  const crops = tracks.filter(({ crop }) => crop).slice(0, 6).map(({ crop, best_time: time }) => make("img", { src: crop, alt: `${title} at ${clock(time)}` }));
  const lines = tracks.map((track) => {
    const facts = [span(track), plural(track.faces, "look", "looks"), `${track.detail.toFixed(0)} pixels of detail`];
    if (track.similarity !== null) {
      const who = known ? "" : `nearest ${track.nearest}, `;
      facts.push(`${who}similarity ${track.similarity.toFixed(3)}, threshold ${track.threshold.toFixed(3)}`);
    }
    if (track.risk !== null) facts.push(`a stranger gets this far with a risk of ${percent(track.risk)}`);
    return make("p", {}, facts.join(" · "));
  });
  return make("li", {}, make("div", { class: "looks" }, ...crops), make("div", {}, make("b", {}, title), ...lines));
}
