// Small helpers: elements, icons, short messages. No framework: the page has a few hundred elements.

import { t } from "./words.js";

/** Make an element: h("button.primary", { onclick, "aria-label": "x" }, "text", child, [more]). */
export function h(spec, ...rest) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  const first = rest[0];
  const hasProps = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  for (const [key, value] of Object.entries(hasProps ? rest.shift() : {})) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key in node && key !== "list" && key !== "form") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...rest.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const PATHS = {
  mute: "M12 3.5a2.8 2.8 0 0 0-2.8 2.8v5a2.8 2.8 0 0 0 5.6 0v-5A2.8 2.8 0 0 0 12 3.5zM6 11a6 6 0 0 0 12 0M12 17v3.5",
  sound: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15 9a4.2 4.2 0 0 1 0 6M17.6 6.4a7.9 7.9 0 0 1 0 11.2",
  backdrop: "M7 4h10a3 3 0 0 1 3 3v10a3 3 0 0 1-3 3H7a3 3 0 0 1-3-3V7a3 3 0 0 1 3-3zM12 4v16M4 12h16",
  full: "M4 9V6a2 2 0 0 1 2-2h3m6 0h3a2 2 0 0 1 2 2v3m0 6v3a2 2 0 0 1-2 2h-3m-6 0H6a2 2 0 0 1-2-2v-3",
  copy: "M11 9h7a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2zM5.5 15H5a1 1 0 0 1-1-1V5.5A1.5 1.5 0 0 1 5.5 4H14a1 1 0 0 1 1 1v.5",
  plus: "M12 5v14M5 12h14",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  export: "M12 4v11m0 0 4-4m-4 4-4-4M5 19h14",
  import: "M12 15V4m0 0 4 4m-4-4-4 4M5 19h14",
  check: "m5 12.5 4.5 4.5L19 7.5",
  warn: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17.2v.1",
  back: "M14.5 5.5 8 12l6.5 6.5",
  record: "M12 6.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A short message that a screen reader reads, too; `kind` is "good" or "bad". */
export function toast(text, kind = "good") {
  const node = h(`p.toast.${kind}`, text);
  document.getElementById("toasts").append(node);
  setTimeout(() => node.classList.add("leaving"), kind === "bad" ? 8000 : 2600);
  setTimeout(() => node.remove(), kind === "bad" ? 8400 : 3000);
}

/** Run something that may fail; say so in one sentence. Returns what it returns, or undefined. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    toast(error.message, "bad");
    return undefined;
  }
}

export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("copied"));
  } catch {
    const field = button?.closest(".copyable")?.querySelector("code");
    if (field) getSelection().selectAllChildren(field); // the person presses Ctrl+C
    toast(t("copy.byHand"), "bad");
  }
}

/** A text with a button that copies it. */
export function copyable(text, label = t("copy")) {
  const button = h("button.icon", { type: "button", title: label, "aria-label": label, onclick: () => copy(text, button) }, icon("copy"));
  return h("span.copyable", h("code", text), button);
}

let fields = 0;

/** A labelled control; a screen reader reads label and hint. */
export function field(label, control, hint) {
  const id = (control.id ||= `field-${++fields}`);
  const note = hint ? h("small", { id: `${id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div.field", h("label", { htmlFor: id }, label), control, note);
}

export function select(options, value, onchange) {
  const node = h("select", { onchange: () => onchange(node.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return node;
}

/** A slider with its value beside it; calls `oninput` at most every 120 ms, and at the end. */
export function slider(label, { min, max, step, value, show, oninput }) {
  const out = h("output", show(value));
  let last = 0, timer = 0;
  const send = () => { last = performance.now(); timer = 0; oninput(Number(node.value)); };
  const node = h("input", { type: "range", min, max, step, value, oninput: () => {
    out.textContent = show(Number(node.value));
    node.setAttribute("aria-valuetext", out.textContent);
    if (!timer) timer = setTimeout(send, Math.max(0, 120 - (performance.now() - last)));
  } });
  node.setAttribute("aria-valuetext", out.textContent);
  const made = field(label, node);
  made.classList.add("slider");
  made.append(out);
  made.set = (next) => {
    if (document.activeElement === node) return;
    node.value = next;
    out.textContent = show(Number(next));
    node.setAttribute("aria-valuetext", out.textContent);
  };
  return made;
}

/** An on/off switch. */
export function toggle(label, on, onchange) {
  const node = h("button.switch", { type: "button", role: "switch", "aria-checked": String(on), "aria-label": label,
    onclick: () => onchange(node.getAttribute("aria-checked") !== "true", node) }, h("i"));
  node.set = (value) => node.setAttribute("aria-checked", String(value));
  return node;
}

export function progressBar() {
  const bar = h("progress", { max: 1, value: 0, "aria-label": t("progress") });
  const text = h("small");
  const node = h("div.progress", { hidden: true }, bar, text);
  node.report = (done, what) => {
    node.hidden = done === null;
    bar.value = done ?? 0;
    text.textContent = what ?? "";
  };
  return node;
}
