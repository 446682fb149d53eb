// Timing: how late sound really leaves this computer, and what follows for OBS and calls.

import { attempt, copyable, field, h, progressBar, select, toast } from "./dom.js";
import { t } from "./words.js";

export function show(panel, context) {
  const { link } = context;
  const bar = progressBar();
  const result = h("div", { role: "status" });
  const form = h("div");
  const obs = h("div");
  const closers = [];
  panel.append(h("h2", t("timing.title")), h("p.quiet", t("timing.text")), form, bar, result,
    h("h2", t("timing.obs")), obs);

  attempt(async () => {
    const { devices } = await link.ask("devices");
    let output = devices.output.devices.find((d) => d.default)?.name ?? devices.output.devices[0]?.name ?? "";
    let hear = "";
    const outputs = devices.output.devices.map((d) => [d.name, d.description]);
    const ears = [["", t("timing.monitor")], ...devices.input.devices.map((d) => [d.name, d.description])];
    const button = h("button.primary", { type: "button", id: "measure", disabled: !outputs.length, onclick: () => measure() }, t("timing.measure"));
    form.append(field(t("timing.output"), select(outputs.length ? outputs : [["", t("timing.noOutput")]], output, (value) => { output = value; }), outputs.length ? "" : devices.output.reason),
      field(t("timing.hear"), select(ears, hear, (value) => { hear = value; }), t("timing.hearText")), h("p.row", button));

    async function measure() {
      button.disabled = true;
      let done = 0.1;
      bar.report(done, t("timing.listening"));
      const timer = setInterval(() => bar.report((done = Math.min(0.95, done + 0.04)), t("timing.listening")), 300);
      const found = await attempt(() => link.ask("calibrate", { output, hear }));
      clearInterval(timer);
      bar.report(null);
      button.disabled = false;
      if (!found) return;
      const offset = -found.late_ms;
      result.replaceChildren(h("div.card",
        h("p.big", `${found.round_trip_ms.toFixed(0)} ms`), h("p", t("timing.found", { heard: found.num_heard, played: found.num_played, reported: found.reported_ms.toFixed(0) })),
        found.by_ear ? h("p", t("timing.byEar", { ms: Math.abs(found.late_ms) })) : h("p", t("timing.byMonitor"))));
      await attempt(() => link.ask("calibrate.set", { device: output, offset_ms: offset }));
      const undo = h("button", { type: "button", onclick: () => attempt(async () => { await link.ask("calibrate.set", { device: output, offset_ms: 0 }); toast(t("timing.undone")); undo.remove(); }) }, t("timing.undo"));
      result.firstElementChild.append(h("p.good", t("timing.set", { ms: offset })), h("p.row", undo));
    }
  });

  const delay = h("p.big", "–");
  const show = ({ detail }) => { delay.textContent = detail.latency_p50_ms ? `${detail.latency_p50_ms.toFixed(0)} ms` : "–"; };
  document.addEventListener("status", show);
  closers.push(() => document.removeEventListener("status", show));
  const password = h("input", { type: "password", autocomplete: "off" });
  const microphone = h("input", { type: "text", placeholder: "Mic/Aux" });
  const extra = h("div");
  const said = h("div");
  obs.append(h("p", t("timing.obsText")), h("div.card", delay, h("p", t("timing.obsWhere"))), extra);
  attempt(async () => {
    if (!(await link.ask("obs.status")).automation) return;
    extra.append(h("p.quiet", t("timing.obsAuto")), h("div.grid", field(t("timing.obsMicrophone"), microphone), field(t("timing.obsPassword"), password)),
      h("p.row", h("button", { type: "button", onclick: () => attempt(async () => {
        const latency = context.status?.latency_p50_ms ?? 0;
        const { done } = await link.ask("obs.setup", { microphone: microphone.value, password: password.value, latency_ms: latency });
        said.replaceChildren(...(done ?? []).map((sentence) => h("p.good", sentence)));
        toast(t("timing.obsDone"));
      }) }, t("timing.obsSet")), h("button", { type: "button", onclick: () => attempt(async () => {
        await link.ask("obs.undo", { password: password.value });
        said.replaceChildren();
        toast(t("timing.obsUndone"));
      }) }, t("timing.undo"))), said);
  });
  return () => closers.forEach((close) => close());
}
