// The live picture: newest frame, or the one that belongs to the sound; level, sound, backdrop.

import { Calm } from "/calm.js";
import { Stream } from "/stream.js";
import { Voice } from "/voice.js";
import { h, icon } from "./dom.js";
import { t } from "./words.js";

const WAITING_PICTURES = 30;
const STALE_MS = 1500;
const BACKDROPS = ["checker", "dark", "light", "green"];
const $ = (id) => document.getElementById(id);

export class Stage extends EventTarget {
  constructor(token) {
    super();
    this.canvas = $("face");
    this.context = this.canvas.getContext("2d");
    this.box = $("stage");
    this.voice = new Voice();
    this.calm = new Calm();
    this.waiting = [];
    this.size = "";
    this.shown = 0;
    this.delays = [];
    this.delay = null;
    this.fps = null;
    this.decibel = -90;
    this.lastAt = -Infinity;
    this.tickAt = performance.now();
    this.stream = new Stream(token, {
      connected: () => this.say(""),
      lost: (reason) => this.lose(reason, token),
      frame: (header, pixels) => this.take(header, pixels),
      voice: (header, samples) => this.voice.play(header.index, samples),
      event() {},
    });
    this.buttons();
    setInterval(() => this.tick(), 1000);
    addEventListener("resize", () => this.askForSize());
    document.addEventListener("visibilitychange", () => this.askForSize());
    requestAnimationFrame(() => this.paint());
    this.askForSize();
  }

  take(header, pixels) {
    this.lastAt = performance.now();
    if (!this.voice.on) this.waiting.length = 0;
    this.waiting.push({ header, pixels });
    if (this.waiting.length > WAITING_PICTURES) this.waiting.shift();
    this.activity(header.state);
    this.decibel = 20 * Math.log10(Math.max(header.level, 1e-6));
    const width = Math.min(1, Math.max(0, (this.decibel + 60) / 54));
    $("level").firstElementChild.style.transform = `scaleX(${width.toFixed(3)})`;
    this.dispatchEvent(new Event("level"));
  }

  activity(state) {
    const pill = $("activity");
    if (pill.dataset.state === state && pill.dataset.said) return;
    pill.dataset.state = state;
    pill.dataset.said = "1";
    pill.lastElementChild.textContent = t(`state.${state}`);
  }

  say(text) {
    $("notice").textContent = text;
    $("notice").hidden = !text;
  }

  async lose(reason, token) {
    this.activity("waiting");
    this.say(reason || t("link.gone"));
    this.rest();
    const reply = await fetch(`/?token=${encodeURIComponent(token)}`, { cache: "no-store" }).catch(() => null);
    if (reply?.status === 403) this.say(t("link.token"));
  }

  rest() {
    if (!this.size || this.calm.resting) return;
    this.waiting.length = 0;
    this.calm.rest(this.canvas, this.context, () => { this.canvas.dataset.calm = this.calm.index; });
  }

  choose() {
    const heard = this.voice.on ? this.voice.heard() : null;
    if (heard === null) return this.waiting.splice(0).pop();
    let due = 0;
    while (due < this.waiting.length && this.waiting[due].header.index <= heard) due++;
    return this.waiting.splice(0, due).pop();
  }

  paint() {
    const picture = this.choose();
    if (picture) {
      const { w, h: height, seq, cap } = picture.header;
      if (this.size !== `${w}x${height}`) this.resize(w, height);
      const image = new ImageData(picture.pixels, w, height);
      this.context.putImageData(image, 0, 0);
      this.calm.saw(image, picture.header);
      delete this.canvas.dataset.calm;
      this.canvas.dataset.seq = seq;
      this.canvas.dataset.avatar = picture.header.avatar ?? "";
      this.shown++;
      const delay = this.stream.since(cap);
      if (delay !== null && cap > 0) this.delays.push(delay);
    }
    requestAnimationFrame(() => this.paint());
  }

  resize(width, height) {
    if (!this.size && !this.voice.on) this.box.classList.add("silent");
    this.canvas.width = width;
    this.canvas.height = height;
    this.size = `${width}x${height}`;
    this.askForSize();
  }

  askForSize() {
    const side = this.box.getBoundingClientRect().width * (devicePixelRatio || 1);
    // Nobody looks: the smallest picture keeps the state, and costs next to nothing.
    const size = document.hidden ? 64 : Math.min(8192, Math.max(64, Math.ceil(side / 64) * 64));
    this.stream.request(size, this.voice.on);
  }

  tick() {
    const now = performance.now();
    const isStale = now - this.lastAt > STALE_MS;
    this.box.classList.toggle("stale", isStale);
    if (isStale) this.rest();
    this.fps = isStale ? null : this.shown / ((now - this.tickAt) / 1000);
    this.tickAt = now;
    this.shown = 0;
    this.delays.sort((a, b) => a - b);
    this.delay = this.delays[this.delays.length >> 1] ?? null;
    this.delays = [];
    $("fact-fps").textContent = this.fps === null ? "" : t("stage.fps", { count: this.fps.toFixed(0) });
    $("fact-delay").textContent = this.delay === null ? "" : t("stage.delay", { ms: this.delay.toFixed(0) });
  }

  async setSound(on) {
    if (on) await this.voice.start();
    else await this.voice.stop();
    this.box.classList.remove("silent");
    this.soundButton.setAttribute("aria-pressed", String(this.voice.on));
    this.askForSize();
  }

  buttons() {
    const make = (name, key, action, pressed) => h("button.tool", {
      type: "button", onclick: action, "aria-keyshortcuts": key, title: `${t(`stage.${name}`)} (${key.toUpperCase()})`,
      "aria-pressed": pressed,
    }, icon(name), h("span", t(`stage.${name}`)));
    const backdrop = () => {
      const index = BACKDROPS.indexOf(this.box.dataset.backdrop);
      this.box.dataset.backdrop = BACKDROPS[(index + 1) % BACKDROPS.length];
    };
    const full = () => (document.fullscreenElement ? document.exitFullscreen() : this.box.requestFullscreen?.());
    const mute = () => this.dispatchEvent(new Event("mute"));
    this.muteButton = make("mute", "m", mute, "false");
    this.soundButton = make("sound", "s", () => this.setSound(!this.voice.on), "false");
    $("actions").replaceChildren(this.muteButton, this.soundButton, make("backdrop", "b", backdrop), make("full", "f", full));
    $("hint").replaceChildren(icon("sound"), h("span", t("stage.hear")));
    $("hint").onclick = () => this.setSound(true);
    const keys = { m: mute, s: () => this.setSound(!this.voice.on), b: backdrop, f: full };
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
      keys[event.key.toLowerCase()]?.();
    });
  }

  setMuted(on) {
    this.muteButton.setAttribute("aria-pressed", String(on));
    this.muteButton.lastElementChild.textContent = t(on ? "stage.unmute" : "stage.mute");
  }
}
