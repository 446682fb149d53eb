// The guide: face, voice, where to, and what this computer lacks. Everything on one page, in order.

import { attempt, copyable, field, h, icon, select } from "./dom.js";
import { dropZone, faceGrid } from "./drop.js";
import { sourceLink } from "./live.js";
import { t } from "./words.js";

export function show(panel, context) {
  const grid = h("div");
  const voice = h("div");
  const meter = h("div.meter", { role: "meter", "aria-label": t("start.level"), "aria-valuemin": -60, "aria-valuemax": 0 }, h("i"));
  const checks = h("div", h("p.quiet", t("start.looking")));
  const step = (number, title, text, ...content) => h("section.step", h("h2", h("b", number), title), text && h("p.quiet", text), ...content);
  panel.append(
    h("p.lead", t("start.lead")),
    step("1", t("start.face"), t("start.faceText"), dropZone(context, () => refresh(), { large: true }), grid),
    step("2", t("start.voice"), t("start.voiceText"), voice, meter),
    step("3", t("start.where"), "", destinations(context)),
    step("4", t("start.computer"), "", checks),
  );

  async function refresh() {
    const answer = await attempt(() => context.link.ask("portraits.list"));
    if (!answer) return;
    grid.replaceChildren(faceGrid(context, answer.portraits, async (portrait) => {
      await attempt(() => context.link.ask("portraits.wear", { name: portrait.name }));
      refresh();
    }));
  }

  async function microphones() {
    const answer = await attempt(() => context.link.ask("devices"));
    if (!answer) return;
    const inputs = answer.devices.input;
    const built = [["", t("start.builtIn")]];
    const options = inputs.devices.map((d) => [d.name, d.description + (d.default ? ` (${t("default")})` : "")]);
    const source = context.status?.source ?? "";
    const chosen = inputs.devices.find((d) => d.name === source)?.name ?? "";
    voice.replaceChildren(field(t("start.microphone"), select([...built, ...options], chosen, async (name) => {
      await attempt(() => (name ? context.link.ask("source.set", { source: name }) : context.link.ask("voice.built_in")));
    }), options.length ? t("start.speak") : t("start.noMicrophone", { reason: inputs.reason })));
  }

  async function examine() {
    const answer = await attempt(() => context.link.ask("doctor"));
    if (answer) checks.replaceChildren(findings(answer.checks));
  }

  const level = () => {
    const decibel = Math.max(-60, Math.min(0, context.stage.decibel));
    meter.firstElementChild.style.transform = `scaleX(${((decibel + 60) / 60).toFixed(3)})`;
    meter.setAttribute("aria-valuenow", decibel.toFixed(0));
  };
  context.stage.addEventListener("level", level);
  refresh();
  microphones();
  examine();
  return () => context.stage.removeEventListener("level", level);
}

/** What the doctor found, in plain words: first what is missing, with what to do. */
export function findings(checks) {
  const bad = checks.filter((check) => check.status !== "ok");
  const good = checks.filter((check) => check.status === "ok");
  const name = (check) => t(`check.${check.name.replaceAll(" ", "_")}`);
  const row = (check) => h(`li.finding.${check.status}`, icon(check.status === "ok" ? "check" : "warn"),
    h("div", h("strong", name(check)), h("p", check.status === "ok" ? check.detail : t(`missing.${check.name.replaceAll(" ", "_")}`)),
      check.status === "ok" ? null : h("details", h("summary", t("start.details")), h("p", check.detail)),
      check.remedy ? h("p.remedy", t("start.todo"), " ", copyable(check.remedy)) : null));
  return h("div",
    h("p", { className: bad.length ? "quiet" : "good" }, bad.length ? t("start.missing", { count: bad.length }) : t("start.allWell")),
    h("ul.findings", bad.map(row)),
    h("details", h("summary", t("start.inOrder", { count: good.length })), h("ul.findings", good.map(row))));
}

function destinations(context) {
  const card = (key, ...content) => h("details.where", { name: "where" }, h("summary", t(`where.${key}`)), h("div", h("p", t(`where.${key}Text`)), ...content));
  const to = (tab) => h("button", { type: "button", onclick: () => context.open(tab) }, t(`tab.${tab}`));
  return h("div.wheres",
    card("obs", copyable(sourceLink(context), t("where.copyObs"))),
    card("call", to("live")),
    card("game", copyable(context.hello.endpoints?.frames ?? "tcp://127.0.0.1:5570")),
    card("avatar", to("live")));
}
