// Pictures that a person drops or picks become portraits: one picture, or a set with other mouths.

import { attempt, h, progressBar, toast } from "./dom.js";
import { t } from "./words.js";

const PICTURES = "image/png,image/jpeg,image/webp,image/bmp,image/gif,image/tiff";
const EYES = /blink|(eyes?|auge\w*)[-_ ]*(closed?|shut|zu)|(closed?|shut)[-_ ]*eyes?/i;
const MOUTH = /mouth[-_ ]*open|open[-_ ]*mouth|talk|speak|open/i;

/** Which file of a set is what, by their names, as PNG-tuber sets have them. */
export function roles(files) {
  const found = {};
  const rest = [];
  for (const file of files) {
    if (files.length > 1 && !found.eyes_closed && EYES.test(file.name)) found.eyes_closed = file;
    else if (files.length > 1 && !found.mouth_open && MOUTH.test(file.name)) found.mouth_open = file;
    else rest.push(file);
  }
  return { ...found, portrait: rest[0] };
}

const titleOf = (file) => file.name.replace(/\.[^.]*$/, "").replace(/[_-]+/g, " ").trim() || "Portrait";

/** A place to drop pictures; calls `done(portrait)` once the new face is live. */
export function dropZone(context, done, { large = false } = {}) {
  const bar = progressBar();
  const picker = h("input", { type: "file", accept: `${PICTURES},.restface`, multiple: true, hidden: true, onchange: () => take([...picker.files]) });
  const choice = h("div.choices", { hidden: true });
  const zone = h(`button.drop${large ? ".large" : ""}`, { type: "button", id: "drop", onclick: () => picker.click() },
    h("strong", t("faces.drop")), h("span", t("faces.dropHint")));
  const node = h("div.dropping", zone, picker, bar, choice);
  const over = (event, on) => { event.preventDefault(); zone.classList.toggle("over", on); };
  zone.addEventListener("dragover", (event) => over(event, true));
  zone.addEventListener("dragleave", (event) => over(event, false));
  zone.addEventListener("drop", (event) => { over(event, false); take([...event.dataTransfer.files]); });

  async function take(files) {
    picker.value = "";
    if (!files.length) return;
    zone.disabled = true;
    choice.hidden = true;
    const portrait = await attempt(() => send(files));
    bar.report(null);
    zone.disabled = false;
    if (portrait) {
      toast(t("faces.live", { title: portrait.title }));
      done(portrait);
    }
  }

  async function send(files, face = 0) {
    const { link } = context;
    const report = (done, what) => bar.report(0.1 + 0.9 * done, what ? t(`import.${what}`) : "");
    bar.report(0, t("import.sending"));
    const bundle = files.find((file) => file.name.endsWith(".restface"));
    if (bundle) return link.ask("portraits.unpack", { upload: await link.upload(bundle, (d) => bar.report(0.1 * d)) }, report);
    const { portrait, ...parts } = roles(files);
    if (!portrait) throw new Error(t("faces.noPortrait"));
    const body = { title: titleOf(portrait), face, upload: await link.upload(portrait, (d) => bar.report(0.1 * d)) };
    for (const [part, file] of Object.entries(parts)) body[part] = await link.upload(file);
    try {
      return await link.ask("portraits.add", body, report);
    } catch (error) {
      if (error.code !== "several_faces") throw error;
      choose(files, error.reply.num_faces);
      return undefined;
    }
  }

  function choose(files, count) {
    choice.hidden = false;
    choice.replaceChildren(h("p", t("faces.several", { count })), ...Array.from({ length: Math.min(count, 6) }, (_, i) => h("button", { type: "button", onclick: async () => {
      choice.hidden = true;
      const portrait = await attempt(() => send(files, i + 1));
      bar.report(null);
      if (portrait) done(portrait);
    } }, i ? t("faces.nth", { n: i + 1 }) : t("faces.largest"))));
    choice.querySelector("button").focus();
  }
  return node;
}

/** Small pictures of faces, as radio buttons. */
export function faceGrid(context, portraits, onpick) {
  return h("div.faces", { role: "group", "aria-label": t("tab.faces") }, portraits.map((portrait) => h("button.face", {
    type: "button", "aria-pressed": String(portrait.active), dataset: { name: portrait.name },
    onclick: () => onpick(portrait),
  }, h("span.thumb", h("img", { src: context.url(`/thumbnail/${portrait.name}`, portrait.version), alt: "", width: 96, height: 96, loading: "lazy" })),
    h("span.name", portrait.title))));
}
