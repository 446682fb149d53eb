// The control page: tabs beside the live picture. Each tab is a module with show(context).

import { h, toast } from "./dom.js";
import { Link } from "./link.js";
import { Stage } from "./stage.js";
import { language, loadWords, t, translate } from "./words.js";
import * as faces from "./faces.js";
import * as live from "./live.js";
import * as more from "./more.js";
import * as moods from "./moods.js";
import * as start from "./start.js";
import * as timing from "./timing.js";

const TABS = { start, faces, live, moods, timing, more };
const GUEST_TABS = ["faces", "moods"];
const token = new URLSearchParams(location.search).get("token") ?? "";

await loadWords();
translate(document);
const link = new Link(token);
const stage = new Stage(token);

/** What the tabs share. */
const context = {
  link, stage, token,
  status: null, // newest answer to "status"
  hello: {},
  open: (name) => openTab(name),
  refresh: () => poll(),
  url: (path, version) => `${path}?token=${encodeURIComponent(token)}${version ? `&v=${version}` : ""}`,
};

let current = null;
let close = null;

function openTab(name, focus = false) {
  if (!context.tabs.includes(name)) name = context.tabs[0];
  close?.();
  current = name;
  const panel = document.getElementById("panel");
  panel.replaceChildren();
  panel.setAttribute("aria-labelledby", `tab-${name}`);
  panel.dataset.tab = name;
  panel.scrollTop = 0;
  close = TABS[name].show(panel, context) ?? null;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isThis = tab.dataset.tab === name;
    tab.setAttribute("aria-selected", String(isThis));
    tab.tabIndex = isThis ? 0 : -1;
    if (isThis && focus) tab.focus();
  }
  history.replaceState(null, "", `${location.pathname}${location.search}#${name}`);
}

function buildTabs() {
  const bar = document.getElementById("tabs");
  bar.replaceChildren(...context.tabs.map((name) => h("button", {
    id: `tab-${name}`, type: "button", role: "tab", "aria-controls": "panel", dataset: { tab: name },
    onclick: () => openTab(name),
  }, t(`tab.${name}`))));
  bar.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = context.tabs.indexOf(current);
    openTab(context.tabs[(at + step + context.tabs.length) % context.tabs.length], true);
  };
}

async function poll() {
  if (!link.open || document.hidden) return;
  try {
    context.status = await link.ask("status");
  } catch { return; }
  stage.setMuted(context.status.muted);
  document.dispatchEvent(new CustomEvent("status", { detail: context.status }));
}

stage.addEventListener("mute", async () => {
  try {
    const on = stage.muteButton.getAttribute("aria-pressed") !== "true";
    const { muted } = await link.ask("mute", { on });
    stage.setMuted(muted);
    toast(t(muted ? "muted.on" : "muted.off"));
  } catch (error) { toast(error.message, "bad"); }
});

link.addEventListener("open", async () => {
  try {
    context.hello = await link.ask("page.hello");
  } catch (error) { return toast(error.message, "bad"); }
  context.tabs = context.hello.guest ? GUEST_TABS : Object.keys(TABS);
  document.documentElement.classList.toggle("guest", Boolean(context.hello.guest));
  buildTabs();
  await poll();
  const isNew = !localStorage.getItem("seen");
  localStorage.setItem("seen", "1");
  openTab(current ?? (location.hash.slice(1) || (isNew ? "start" : "faces")));
  document.documentElement.dataset.ready = language();
});
setInterval(poll, 1000);
document.addEventListener("visibilitychange", poll);
