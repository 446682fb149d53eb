// Portraits: the gallery, and for one's own portrait its points, parts, background, file.

import { attempt, field, h, icon, progressBar, select, toast } from "./dom.js";
import { dropZone, faceGrid } from "./drop.js";
import { editor } from "./editor.js";
import { t } from "./words.js";

const COLOURS = ["#20242c", "#f4f5f8", "#33527a", "#00b140"];

export function show(panel, context) {
  const { link } = context;
  const isGuest = context.hello.guest;
  const grid = h("div");
  const details = h("div.details");
  const bar = progressBar();
  let portraits = [];
  panel.append(h("h2", t("tab.faces")), isGuest ? null : dropZone(context, () => refresh()), grid, bar, details);
  const report = (done, what) => bar.report(done, what ? t(`import.${what}`) : "");

  async function refresh() {
    const answer = await attempt(() => link.ask("portraits.list"));
    if (!answer) return;
    portraits = answer.portraits;
    const focused = document.activeElement?.dataset?.name;
    grid.replaceChildren(faceGrid(context, portraits, wear));
    grid.querySelector(`[data-name="${focused}"]`)?.focus();
    const active = portraits.find((portrait) => portrait.active);
    details.replaceChildren(...(active?.own && !isGuest ? own(active) : active ? [h("p.quiet", active.description)] : []));
  }

  async function wear(portrait) {
    await attempt(() => link.ask("portraits.wear", { name: portrait.name }, report));
    bar.report(null);
    refresh();
  }

  async function change(op, body) {
    const answer = await attempt(() => link.ask(op, body, report));
    bar.report(null);
    if (answer) refresh();
    return answer;
  }

  function own(portrait) {
    const { name } = portrait;
    const title = h("input", { type: "text", value: portrait.title, maxLength: 60, onchange: () => change("portraits.change", { name, title: title.value }) });
    const style = select(["auto", "photo", "painting", "drawn"].map((key) => [key, t(`style.${key}`)]), portrait.style,
      (value) => change("portraits.change", { name, style: value }));
    const points = h("details.part", { ontoggle: () => points.open && !points.dataset.made && (points.dataset.made = "1", points.append(editor(context, portrait, refreshThumb))) },
      h("summary", t("points.title")));
    return [
      h("h3", portrait.title),
      background(portrait),
      points,
      h("details.part", h("summary", t("parts.title")), h("p.quiet", t("parts.text")), part(portrait, "mouth_open"), part(portrait, "eyes_closed")),
      h("details.part", h("summary", t("faces.file")), h("div.grid", field(t("faces.name"), title), field(t("faces.style"), style)),
        h("p.row", h("a.button", { href: context.url(`/export/${name}`), download: `${name}.restface` }, icon("export"), t("faces.export")),
          removal(portrait))),
    ];
  }

  async function refreshThumb() {
    const answer = await attempt(() => link.ask("portraits.list"));
    if (answer) grid.replaceChildren(faceGrid(context, answer.portraits, wear));
  }

  function background(portrait) {
    const { name } = portrait;
    const set = (value, more = {}) => change("portraits.change", { name, background: value, ...more });
    const picker = h("input", { type: "file", accept: "image/*", hidden: true, onchange: async () => {
      const [file] = picker.files;
      picker.value = "";
      if (file) await attempt(async () => set("picture", { upload: await link.upload(file) }));
    } });
    const choice = (value, label, content) => h("button.chip", { type: "button", "aria-pressed": String(portrait.background === value), onclick: () => set(value) }, content, label);
    const colour = h("input", { type: "color", value: portrait.background.startsWith("#") ? portrait.background : "#335577", "aria-label": t("background.colour"), onchange: () => set(colour.value) });
    return h("fieldset", h("legend", t("background.title")), h("div.chips",
      choice("own", t("background.own")), choice("transparent", t("background.transparent"), h("i.swatch.checker")),
      choice("blur", t("background.blur")),
      h("button.chip", { type: "button", "aria-pressed": String(portrait.background === "picture"), onclick: () => picker.click() }, t("background.picture")),
      COLOURS.map((value) => h("button.chip.colour", { type: "button", "aria-label": value, "aria-pressed": String(portrait.background === value), onclick: () => set(value) }, h("i.swatch", { style: { background: value } }))),
      colour), picker);
  }

  function part(portrait, key) {
    const { name } = portrait;
    const has = portrait.parts.includes(key);
    const picker = h("input", { type: "file", accept: "image/*", hidden: true, onchange: async () => {
      const [file] = picker.files;
      picker.value = "";
      if (file) await attempt(async () => change("portraits.supply", { name, part: key, upload: await link.upload(file) }));
    } });
    return h("div.partrow",
      has ? h("img", { src: context.url(`/part/${name}/${key}`, portrait.version), alt: "", width: 64, height: 64 }) : h("span.none", { "aria-hidden": "true" }),
      h("div", h("strong", t(`parts.${key}`)), h("small", t(has ? "parts.own" : "parts.painted"))),
      h("button", { type: "button", onclick: () => picker.click() }, t(has ? "parts.replace" : "parts.choose")),
      has && h("button.icon", { type: "button", "aria-label": t("parts.remove"), title: t("parts.remove"), onclick: () => change("portraits.supply", { name, part: key }) }, icon("trash")),
      picker);
  }

  function removal(portrait) {
    const button = h("button.danger", { type: "button", onclick: async () => {
      if (button.dataset.sure !== "1") {
        button.dataset.sure = "1";
        button.lastChild.textContent = t("faces.sure");
        setTimeout(() => { button.dataset.sure = ""; button.lastChild.textContent = t("faces.delete"); }, 4000);
        return;
      }
      if (await change("portraits.delete", { name: portrait.name })) toast(t("faces.deleted"));
    } }, icon("trash"), h("span", t("faces.delete")));
    return button;
  }

  refresh();
}
