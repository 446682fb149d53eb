// Live: the voice in, the voice out, everything that shows the face elsewhere, and how it goes.

import { attempt, copyable, field, h, icon, select, slider, toggle } from "./dom.js";
import { latencyPlot } from "./plot.js";
import { t } from "./words.js";

/** The address of the bare, transparent face for OBS's browser source. */
export function sourceLink({ token }, voice = false) {
  return `${location.origin}/?token=${token}&source=1${voice ? "&voice=1" : ""}`;
}

export function show(panel, context) {
  const { link } = context;
  const closers = [];
  panel.append(h("h2", t("live.voice")), voiceIn(context, closers), h("h2", t("live.voiceOut")), voiceOut(context),
    h("h2", t("live.outputs")), outputs(context, closers), h("h2", t("live.health")), health(context, closers));
  link.ask("status").then((status) => document.dispatchEvent(new CustomEvent("status", { detail: (context.status = status) })), () => {});
  return () => closers.forEach((close) => close());
}

const on = (closers, target, kind, listener) => {
  target.addEventListener(kind, listener);
  closers.push(() => target.removeEventListener(kind, listener));
};

function voiceIn(context, closers) {
  const { link, stage } = context;
  const kinds = h("div.chips", { role: "group", "aria-label": t("live.voice") });
  const device = h("div");
  const drop = h("input", { type: "file", accept: "audio/*,video/mp4,.flac,.opus", hidden: true, onchange: () => play() });
  const loop = h("input", { type: "checkbox", id: "loop", checked: true });
  const settings = { gain_db: 0, gate_db: -90 };
  let source = "mic";
  let listing = null;

  const mark = h("b", { hidden: true });
  const meter = h("div.meter", { role: "meter", "aria-label": t("start.level"), "aria-valuemin": -60, "aria-valuemax": 0 }, h("i"), mark);
  on(closers, stage, "level", () => {
    const decibel = Math.max(-60, Math.min(0, stage.decibel));
    meter.firstElementChild.style.transform = `scaleX(${((decibel + 60) / 60).toFixed(3)})`;
    meter.setAttribute("aria-valuenow", decibel.toFixed(0));
  });

  const set = (name) => attempt(async () => {
    source = name;
    await link.ask("source.set", { source: name, options: { ...settings, ...(isFile(name) ? { loop: loop.checked } : {}) } });
    mark.hidden = settings.gate_db <= -60;
    mark.style.left = `${(settings.gate_db + 60) / 60 * 100}%`;
    context.refresh();
  });
  const isFile = (name) => /[\\/]/.test(name) && /\.\w{2,5}$/.test(name);
  async function play() {
    const [file] = drop.files;
    drop.value = "";
    if (!file) return;
    const kind = file.name.split(".").pop().toLowerCase();
    await attempt(async () => {
      const upload = await link.upload(file);
      await link.ask("voice.play", { upload, kind, loop: loop.checked });
    });
    context.refresh();
  }
  const actions = {
    mic: () => choose("mic"), system: () => choose("system"), file: () => drop.click(), push: () => set("push"),
    built: () => attempt(() => link.ask("voice.built_in").then(() => context.refresh())),
  };
  kinds.append(...Object.entries(actions).map(([key, action]) => h("button.chip", { type: "button", dataset: { kind: key }, onclick: action }, t(`voice.${key}`))));

  async function choose(kind) {
    listing ??= await attempt(() => link.ask("devices"));
    const found = listing?.devices[kind === "mic" ? "input" : "monitor"];
    if (!found) return;
    if (!found.devices.length) {
      device.replaceChildren(h("p.problem", t(kind === "mic" ? "voice.noMic" : "voice.noSystem", { reason: found.reason })));
      return;
    }
    const first = (found.devices.find((entry) => entry.default) ?? found.devices[0]).name;
    device.replaceChildren(field(t(kind === "mic" ? "start.microphone" : "voice.systemDevice"),
      select(found.devices.map((entry) => [entry.name, entry.description]), first, set)));
    await set(first);
  }

  const gain = slider(t("voice.gain"), { min: -20, max: 20, step: 1, value: 0, show: (v) => `${v > 0 ? "+" : ""}${v} dB`, oninput: (value) => { settings.gain_db = value; later(); } });
  const gate = slider(t("voice.gate"), { min: -61, max: -20, step: 1, value: -61, show: (v) => (v <= -61 ? t("off") : `${v} dB`), oninput: (value) => { settings.gate_db = value <= -61 ? -90 : value; later(); } });
  let timer = 0;
  const later = () => { clearTimeout(timer); timer = setTimeout(() => set(context.status?.source_spec || source), 500); };

  const hold = h("button", { type: "button", hidden: true }, t("voice.hold"));
  let holding = 0;
  const held = (isHeld) => {
    clearInterval(holding);
    link.ask("push_to_talk", { held: isHeld }).catch(() => {});
    if (isHeld) holding = setInterval(() => link.ask("push_to_talk", { held: true }).catch(() => {}), 1000);
  };
  for (const [kind, isHeld] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false], ["blur", false]]) hold.addEventListener(kind, () => held(isHeld));
  hold.addEventListener("keydown", (event) => { if (event.key === " " && !event.repeat) held(true); });
  hold.addEventListener("keyup", (event) => { if (event.key === " ") held(false); });
  closers.push(() => clearInterval(holding));
  const talk = toggle(t("voice.pushToTalk"), false, async (isOn, node) => {
    if (await attempt(() => link.ask("push_to_talk", { on: isOn }))) node.set(isOn);
    hold.hidden = !isOn;
  });
  const now = h("p.quiet.now");
  on(closers, document, "status", ({ detail }) => {
    const name = detail.source.split(/[\\/]/).pop();
    now.textContent = detail.source ? t("voice.now", { name }) : "";
    talk.set(detail.push_to_talk);
    hold.hidden = !detail.push_to_talk;
    const spec = detail.source_spec ?? "";
    const kind = spec === "push" ? "push" : spec === "system" ? "system" : /voice\.flac$/.test(spec) ? "built" : isFile(spec) ? "file" : "mic";
    for (const chip of kinds.children) chip.setAttribute("aria-pressed", String(chip.dataset.kind === kind));
  });
  return h("div", kinds, device, now, meter, h("div.grid", gain, gate),
    h("label.check", loop, h("span", t("voice.loop"))), drop, h("p.row", talk, h("span", t("voice.pushToTalk")), hold));
}

function voiceOut(context) {
  const { link } = context;
  const node = h("div", h("p.quiet", t("live.voiceOutText")));
  attempt(async () => {
    const [{ devices }, status] = [await link.ask("devices"), await link.ask("status")];
    const running = status.outputs.find((output) => output.output === "voice_out" && output.state === "running");
    const options = [["", t("live.noVoiceOut")], ["default", t("live.defaultOut")], ...devices.output.devices.map((d) => [d.name, d.description])];
    const settings = { offset_ms: running?.settings.offset_ms ?? 0, gain_db: running?.settings.gain_db ?? 0 };
    let device = running?.settings.device ?? "";
    const apply = () => attempt(() => (device ? link.ask("output.start", { output: "voice_out", options: { device, ...settings } }) : link.ask("output.stop", { output: "voice_out" })));
    const delay = slider(t("live.offset"), { min: -200, max: 500, step: 5, value: settings.offset_ms, show: (v) => `${v > 0 ? "+" : ""}${v} ms`, oninput: (value) => { settings.offset_ms = value; if (device) apply(); } });
    node.append(field(t("live.device"), select(options, device, (value) => { device = value; apply(); }), devices.output.devices.length ? "" : devices.output.reason), delay);
  });
  return node;
}

function outputs(context, closers) {
  const { link } = context;
  const list = h("ul.outputs");
  const rows = {};
  const time = h("span");
  const endpoints = context.hello.endpoints ?? {};
  const row = (key, address, { options = () => ({}), fixed = false, extra = null } = {}) => {
    const problem = h("small.problem");
    const note = h("small");
    const button = fixed ? h("span.always", t("live.always")) : toggle(t(`output.${key}`), false, async (isOn, node) => {
      node.disabled = true;
      problem.textContent = "";
      try {
        const op = key === "recording" ? `recording.${isOn ? "start" : "stop"}` : `output.${isOn ? "start" : "stop"}`;
        const reply = await link.ask(op, key === "recording" ? {} : { output: key, ...(isOn ? { options: options() } : {}) });
        if (reply.path) note.textContent = reply.path;
        node.set(isOn);
      } catch (error) { problem.textContent = error.message; node.set(false); }
      node.disabled = false;
      context.refresh();
    });
    rows[key] = { button, note, problem };
    return h("li", h("div", h("strong", t(`output.${key}`)), h("small", t(`output.${key}Text`)), address, extra, note, problem), button);
  };
  const background = select([["#202428", t("background.dark")], ["blur", t("background.blur")], ["#00b140", t("background.green")], ["#ffffff", t("background.white")]], "#202428", () => {});
  background.setAttribute("aria-label", t("background.title"));
  list.append(...[
    row("camera", null, { options: () => ({ background: background.value }), extra: h("span.inline", t("live.behind"), " ", background) }),
    row("obs", copyable(sourceLink(context), t("where.copyObs")), { fixed: true, extra: h("span.inline", t("live.withVoice"), " ", copyable(sourceLink(context, true), t("where.copyObs"))) }),
    row("recording", null, { extra: time }),
    row("zeromq", copyable(endpoints.frames ?? "")),
    row("vmc", copyable("127.0.0.1:39539")),
    row("live_link", copyable("127.0.0.1:11111")),
    row("vtube_studio", null)].filter(Boolean));
  on(closers, document, "status", ({ detail }) => {
    for (const output of detail.outputs) {
      const known = rows[output.output];
      if (!known) continue;
      known.button.set?.(output.state === "running" || output.state === "new");
      if (output.error) known.problem.textContent = output.error;
      const { path, host, port } = output.settings;
      if (output.state === "running" && path && output.output === "recording") known.note.textContent = path;
      if (host && port && output.state === "running") known.note.textContent = `${host}:${port}`;
    }
    const running = new Set(detail.outputs.map((output) => output.output));
    for (const [key, { button }] of Object.entries(rows)) if (!running.has(key)) button.set?.(false);
  });
  return list;
}

function health(context, closers) {
  const plot = latencyPlot();
  const cells = Object.fromEntries(["fps", "latency", "repeated", "dropped", "tier", "provider"].map((key) => [key, h("dd", "–")]));
  on(closers, document, "status", ({ detail: status }) => {
    plot.add(status.stages);
    const says = {
      fps: status.fps.toFixed(1), latency: !status.latency_p50_ms ? "–" : t("live.ms", { p50: status.latency_p50_ms.toFixed(0), p95: status.latency_p95_ms.toFixed(0) }),
      repeated: `${status.repeated} / ${status.presented}`, dropped: `${(status.dropped_samples / 48000).toFixed(1)} s`,
      tier: t(`tier.${status.tier}`), provider: context.hello.provider || "–",
    };
    for (const [key, text] of Object.entries(says)) if (cells[key].textContent !== text) cells[key].textContent = text;
  });
  return h("div", h("dl.facts", Object.entries(cells).map(([key, cell]) => h("div", { title: t(`fact.${key}Text`) }, h("dt", t(`fact.${key}`)), cell))), plot);
}
