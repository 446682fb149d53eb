// Expressions: buttons, sliders, presets of this face, hotkeys, and plain calls for stream decks.

import { attempt, copyable, field, h, icon, slider, toast } from "./dom.js";
import { t } from "./words.js";

const MODIFIERS = [["ctrlKey", "<ctrl>"], ["altKey", "<alt>"], ["shiftKey", "<shift>"], ["metaKey", "<cmd>"]];

export function show(panel, context) {
  const { link } = context;
  const isGuest = context.hello.guest;
  const buttons = h("div.chips.moods", { role: "group", "aria-label": t("moods.title") });
  const presets = h("div.chips");
  const keys = h("div");
  let wish = { expression: {}, head_motion: 1, blink_rate: 1, gaze: null };
  let chosen = "neutral";
  let strength = 0.8;

  const ask = (body) => attempt(async () => { wish = await link.ask("expression", body); mark(); });
  const percent = (value) => `${Math.round(value * 100)} %`;
  const power = slider(t("moods.strength"), { min: 0, max: 1, step: 0.05, value: strength, show: percent, oninput: (value) => {
    strength = value;
    if (chosen !== "neutral") ask({ name: chosen, strength: chosen === "brow" ? 2 * value - 1 : value });
  } });
  const head = slider(t("moods.head"), { min: 0, max: 2, step: 0.05, value: 1, show: percent, oninput: (value) => ask({ head_motion: value }) });
  const blink = slider(t("moods.blink"), { min: 0, max: 3, step: 0.1, value: 1, show: percent, oninput: (value) => ask({ blink_rate: value }) });
  const gaze = gazePad(ask);

  function mark() {
    const entries = Object.entries(wish.expression);
    chosen = entries.length === 1 ? entries[0][0] : entries.length ? "" : "neutral";
    if (entries.length === 1) power.set(chosen === "brow" ? (entries[0][1] + 1) / 2 : entries[0][1]);
    for (const chip of buttons.children) chip.setAttribute("aria-pressed", String(chip.dataset.name === chosen));
    head.set(wish.head_motion);
    blink.set(wish.blink_rate);
    gaze.set(wish.gaze);
  }

  function build(names) {
    buttons.replaceChildren(...names.map((name) => h("button.chip", { type: "button", dataset: { name }, "aria-pressed": "false",
      onclick: () => ask(name === "neutral" ? { expression: {} } : { name, strength: name === "brow" ? 2 * strength - 1 : strength }) }, t(`mood.${name}`))));
    mark();
  }

  async function refreshPresets(answer) {
    answer ??= await attempt(() => link.ask("presets.list"));
    if (!answer) return;
    presets.replaceChildren(...answer.presets.map((preset) => h("span.chipgroup",
      h("button.chip", { type: "button", onclick: () => attempt(async () => { wish = await link.ask("presets.use", { name: preset.name }); mark(); }) }, preset.name),
      isGuest ? null : h("button.icon", { type: "button", "aria-label": t("presets.delete", { name: preset.name }), title: t("presets.delete", { name: preset.name }),
        onclick: () => attempt(async () => refreshPresets(await link.ask("presets.delete", { name: preset.name }))) }, icon("trash")))));
    if (!answer.presets.length) presets.append(h("p.quiet", t("presets.none")));
    if (!isGuest) refreshHotkeys(answer.presets);
  }

  const name = h("input", { type: "text", maxLength: 40, placeholder: t("presets.name"), "aria-label": t("presets.name") });
  const save = h("form.row", { onsubmit: (event) => {
    event.preventDefault();
    if (!name.value.trim()) return;
    attempt(async () => {
      await refreshPresets(await link.ask("presets.save", { name: name.value.trim() }));
      toast(t("presets.saved"));
      name.value = "";
    });
  } }, name, h("button", t("presets.save")));

  panel.append(h("h2", t("moods.title")), buttons, power, h("div.grid", head, blink), gaze,
    h("p.row", h("button", { type: "button", onclick: () => ask({ reset: true }) }, t("moods.reset"))),
    h("h2", t("presets.title")), h("p.quiet", t("presets.text")), presets);
  if (!isGuest) panel.append(save, h("h2", t("hotkeys.title")), keys, h("h2", t("deck.title")), deck(context));

  async function refreshHotkeys(saved) {
    const facts = await attempt(() => link.ask("hotkeys.list"));
    if (!facts) return;
    const choices = [...names.map((mood) => ["expression", mood === "neutral" ? { expression: {} } : { name: mood, strength: 0.8 }, t(`mood.${mood}`)]),
      ...saved.map((preset) => ["presets.use", { name: preset.name }, preset.name]),
      ["mute", {}, t("stage.mute")], ["pause", {}, t("hotkeys.pause")]];
    const set = (list) => attempt(async () => { await link.ask("hotkeys.set", { hotkeys: list }); refreshHotkeys(saved); });
    const what = h("select", { "aria-label": t("hotkeys.what") }, choices.map(([, , label], i) => h("option", { value: i }, label)));
    const press = h("button", { type: "button" }, t("hotkeys.add"));
    press.onclick = () => {
      press.textContent = t("hotkeys.press");
      const take = (event) => {
        event.preventDefault();
        event.stopPropagation();
        if (["Control", "Alt", "Shift", "Meta"].includes(event.key)) return;
        removeEventListener("keydown", take, true);
        press.textContent = t("hotkeys.add");
        if (event.key === "Escape") return;
        const key = /^F\d+$/.test(event.key) ? `<${event.key.toLowerCase()}>` : event.code.replace(/^(Key|Digit)/, "").toLowerCase();
        const combination = [...MODIFIERS.filter(([flag]) => event[flag]).map(([, text]) => text), key].join("+");
        const [op, body, label] = choices[Number(what.value)];
        set([...facts.hotkeys.filter((hotkey) => hotkey.keys !== combination), { keys: combination, op, body, label }]);
      };
      addEventListener("keydown", take, true);
    };
    keys.replaceChildren(
      facts.problem ? h("p.problem", facts.problem) : h("p.quiet", t("hotkeys.text")),
      h("ul.hotkeys", facts.hotkeys.map((hotkey) => h("li", h("kbd", hotkey.keys.replace(/[<>]/g, "")), h("span", hotkey.label),
        h("button.icon", { type: "button", "aria-label": t("hotkeys.remove", { keys: hotkey.keys }), onclick: () => set(facts.hotkeys.filter((other) => other !== hotkey)) }, icon("trash"))))),
      h("p.row", what, press));
  }

  let names = ["neutral"];
  attempt(async () => {
    wish = (await link.ask("status")).steering;
    names = wish.names;
    build(names);
    await refreshPresets();
  });
}

/** A field in which the eyes follow the pointer; arrow keys work, too. */
function gazePad(ask) {
  const dot = h("i");
  const pad = h("div.pad", { tabIndex: 0, role: "slider", "aria-label": t("moods.gaze"), "aria-valuetext": t("moods.gazeFree") }, dot);
  const free = h("button", { type: "button", onclick: () => { node.set(null); ask({ gaze: null }); } }, t("moods.gazeFree"));
  const node = h("div.field.gaze", h("label", t("moods.gaze")), pad, free);
  let at = [0, 0], isDown = false, timer = 0;
  const look = (x, y) => {
    at = [Math.max(-1, Math.min(1, x)), Math.max(-1, Math.min(1, y))];
    node.set(at);
    if (!timer) timer = setTimeout(() => { timer = 0; ask({ gaze: at }); }, 80);
  };
  const from = (event) => {
    const box = pad.getBoundingClientRect();
    look((event.clientX - box.left) / box.width * 2 - 1, 1 - (event.clientY - box.top) / box.height * 2);
  };
  pad.addEventListener("pointerdown", (event) => { isDown = true; pad.setPointerCapture(event.pointerId); from(event); });
  pad.addEventListener("pointermove", (event) => isDown && from(event));
  pad.addEventListener("pointerup", () => { isDown = false; });
  pad.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!step) return;
    event.preventDefault();
    look(at[0] + step[0], at[1] + step[1]);
  });
  node.set = (gaze) => {
    if (isDown && gaze !== at) return;
    pad.classList.toggle("free", gaze === null);
    const [x, y] = gaze ?? [0, 0];
    dot.style.left = `${(x + 1) * 50}%`;
    dot.style.top = `${(1 - y) * 50}%`;
    pad.setAttribute("aria-valuetext", gaze ? `${x.toFixed(1)}, ${y.toFixed(1)}` : t("moods.gazeFree"));
    pad.setAttribute("aria-valuenow", x.toFixed(1));
  };
  node.set(null);
  return node;
}

function deck({ token }) {
  const call = (path) => copyable(`${location.origin}/do/${path}${path.includes("?") ? "&" : "?"}token=${token}`);
  return h("div", h("p.quiet", t("deck.text")), h("ul.calls",
    h("li", h("span", t("mood.happy")), call("expression?name=happy&strength=0.8")),
    h("li", h("span", t("moods.reset")), call("expression?reset=true")),
    h("li", h("span", t("stage.mute")), call("mute?on=true"))));
}
