// The page: tabs by pointer and keyboard, and the token where the service wants one.

import "./compare.js";
import "./group.js";
import { ask, find } from "./parts.js";
import { load } from "./people.js";
import "./video.js";

const health = await (await ask("/health")).json();
find("tab-video").hidden = !health.video;
const tabs = [...document.querySelectorAll("[role=tab]:not([hidden])")];

function choose(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    find(each.getAttribute("aria-controls")).hidden = !chosen;
  }
  history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
  if (tab.id === "tab-people") load();
}

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const goal = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[key];
    if (goal === undefined) return;
    const next = tabs[(goal + tabs.length) % tabs.length];
    next.focus();
    choose(next);
  });
}

const named = tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
if (named) choose(named);

document.addEventListener("token", ({ detail: wrong }) => {
  find("token-form").hidden = false;
  find("token-message").className = "message bad";
  find("token-message").textContent = wrong ? "This token is not the right one." : "";
  find("token").focus();
});

find("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", find("token").value.trim());
  find("token-message").textContent = "";
  try {
    await ask("/people");
    find("token-form").hidden = true;
    find("token").value = "";
    tabs.find((tab) => tab.tabIndex === 0).focus();
    if (!find("people").hidden) load();
  } catch { /* the event above has said it */ }
});

if (health.token && !sessionStorage.getItem("token")) {
  find("token-form").hidden = false;
  find("token").focus();
}
