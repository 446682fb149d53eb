// The page: paints the newest picture (or the one that belongs to the sound), shows how it goes.

import { Calm } from "./calm.js";
import { Stream } from "./stream.js";
import { Voice } from "./voice.js";

const query = new URLSearchParams(location.search);
const isSource = query.get("source") === "1";
const root = document.documentElement;
root.classList.toggle("source", isSource);

const $ = (id) => document.getElementById(id);
const canvas = $("face");
const stage = $("stage");
// No colour conversion and no read-back: pixels go to the screen as they came, straight alpha.
const context = canvas.getContext("2d", { alpha: true, desynchronized: false });
const voice = new Voice();
const calm = new Calm();
const WAITING_PICTURES = 30; // 1.2 s that may wait for their sound
const STALE_MS = 1500;
const BACKDROPS = ["checker", "dark", "light", "green"];

let waiting = []; // pictures not yet shown, oldest first
let wantsVoice = query.get("voice") === "1";
let shown = 0; // pictures painted since the last tick
let shownSize = "";
let lost = 0;
let last = null; // header of the newest picture received
let lastAt = -Infinity;
let delays = [];

const stream = new Stream(query.get("token") ?? "", {
  connected() { notice(""); },
  lost(reason) {
    rest();
    setActivity("waiting", "reconnecting");
    notice(reason || "No connection to rest_bridge. It will come back by itself once it runs.");
    explain();
  },
  frame(header, pixels) {
    countLost(header);
    last = header;
    lastAt = performance.now();
    if (!voice.on) waiting.length = 0;
    waiting.push({ header, pixels });
    if (waiting.length > WAITING_PICTURES) waiting.shift();
    setActivity(header.state, header.state);
    // The ear hears loudness in decibels: -48 dB is nothing, -6 dB is full.
    const decibel = 20 * Math.log10(Math.max(header.level, 1e-6));
    const width = Math.min(1, Math.max(0, (decibel + 48) / 42));
    $("level").firstElementChild.style.transform = `scaleX(${width.toFixed(3)})`;
  },
  voice(header, samples) { voice.play(header.index, samples); },
  event() {},
});

// A daemon that was restarted with a new token refuses this page for good: say what to do.
async function explain() {
  const reply = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  if (reply?.status === 403) {
    notice("rest_bridge was restarted with a new address: open the one that it printed.");
  }
}

function countLost(header) {
  if (last && last.stream === header.stream && last.epoch === header.epoch) {
    lost += Math.max(0, header.seq - last.seq - 1);
  }
}

function choosePicture() {
  const heard = voice.on ? voice.heard() : null;
  if (heard === null) return waiting.splice(0).pop();
  let due = 0;
  while (due < waiting.length && waiting[due].header.index <= heard) due++;
  return waiting.splice(0, due).pop();
}

function paint() {
  const picture = choosePicture();
  if (picture) {
    const { w, h } = picture.header;
    if (shownSize !== `${w} × ${h}`) resize(w, h);
    const image = new ImageData(picture.pixels, w, h);
    context.putImageData(image, 0, 0);
    calm.saw(image, picture.header);
    delete canvas.dataset.calm;
    canvas.dataset.seq = picture.header.seq; // for tests and the curious
    canvas.dataset.index = picture.header.index;
    canvas.dataset.heard = voice.on ? Math.round(voice.heard() ?? -1) : "";
    shown++;
    const delay = stream.since(picture.header.cap);
    if (delay !== null && picture.header.cap > 0) delays.push(delay);
  }
  requestAnimationFrame(paint);
}

/** Without a stream the face rests: no mouth stays open for as long as the stream is away. */
function rest() {
  if (!shownSize || calm.resting) return;
  waiting.length = 0;
  calm.rest(canvas, context, () => { canvas.dataset.calm = calm.index; });
}

function resize(width, height) {
  if (!shownSize && !voice.on) stage.classList.add("silent");
  canvas.width = width;
  canvas.height = height;
  if (!isSource) canvas.style.width = `min(92vw, ${(66 * width) / height}vh, ${680 * Math.min(1, width / height)}px)`;
  shownSize = `${width} × ${height}`;
  $("size").textContent = shownSize;
  askForSize();
}

function askForSize() {
  const box = (isSource ? stage : canvas).getBoundingClientRect();
  const side = Math.ceil(Math.max(box.width, box.height) * (window.devicePixelRatio || 1));
  // Steps of 64, so that dragging a window border does not ask for a new size all the time.
  const size = Math.min(8192, Math.max(64, Math.ceil(side / 64) * 64));
  stream.request(size, wantsVoice && voice.on);
}

function setActivity(state, text) {
  const pill = $("activity");
  if (pill.dataset.state === state) return;
  pill.dataset.state = state;
  pill.lastElementChild.textContent = text;
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

let tickAt = performance.now();
function tick() {
  const now = performance.now();
  const seconds = (now - tickAt) / 1000;
  tickAt = now;
  const isStale = now - lastAt > STALE_MS;
  stage.classList.toggle("stale", isStale);
  if (isStale) rest();
  $("fps").textContent = last ? (shown / seconds).toFixed(0) : "–";
  shown = 0;
  delays.sort((a, b) => a - b);
  const median = delays[delays.length >> 1];
  $("delay").textContent = median === undefined ? "–" : `${median.toFixed(0)} ms`;
  delays = [];
  $("lost").textContent = last ? String(lost) : "–";
}

async function setSound(on) {
  wantsVoice = on;
  if (on && !(await voice.start())) {
    // The browser wants a click or key first; take the next one, wherever it is.
    for (const kind of ["pointerdown", "keydown"]) {
      addEventListener(kind, (event) => {
        const isOwnButton = event.target.closest?.("#sound, #hint") || event.key?.toLowerCase() === "m";
        if (wantsVoice && !voice.on && !isOwnButton) setSound(true);
      }, { once: true });
    }
  }
  if (!on) await voice.stop();
  $("sound").setAttribute("aria-pressed", String(on && voice.on));
  stage.classList.remove("silent"); // the hint has done its work
  askForSize();
}

function nextBackdrop() {
  const index = BACKDROPS.indexOf(stage.dataset.backdrop);
  stage.dataset.backdrop = BACKDROPS[(index + 1) % BACKDROPS.length];
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else stage.requestFullscreen?.().catch(() => {});
}

async function copyLink() {
  const link = new URL(location.href);
  link.searchParams.set("source", "1");
  const label = $("copy").querySelector("span");
  try {
    await navigator.clipboard.writeText(link.href);
    label.textContent = "Copied";
  } catch {
    prompt("Address for an OBS browser source:", link.href);
  }
  setTimeout(() => { label.textContent = "Copy OBS link"; }, 1600);
}

const ACTIONS = {
  m: ["sound", () => setSound(!voice.on)],
  b: ["backdrop", nextBackdrop],
  f: ["full", toggleFullScreen],
  c: ["copy", copyLink],
};
for (const [id, action] of Object.values(ACTIONS)) $(id).addEventListener("click", action);
$("hint").addEventListener("click", () => setSound(true));
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const action = ACTIONS[event.key.toLowerCase()];
  if (action && !isSource) action[1]();
});
addEventListener("resize", askForSize);

askForSize();
if (wantsVoice) setSound(true);
setInterval(tick, 1000);
requestAnimationFrame(paint);
