// More: this computer, phones in the same network, language, version.

import { attempt, copyable, field, h, select, toggle } from "./dom.js";
import { findings } from "./start.js";
import { language, languages, t } from "./words.js";

export function show(panel, context) {
  const { link } = context;
  const checks = h("div", h("p.quiet", t("start.looking")));
  const addresses = h("div");
  const share = toggle(t("share.title"), false, async (isOn) => {
    const facts = await attempt(() => link.ask(isOn ? "share.start" : "share.stop"));
    if (facts) shared(facts);
  });
  const shared = (facts) => {
    share.set(facts.on);
    addresses.replaceChildren(...(facts.on ? [h("p", t("share.open")), ...facts.addresses.map((address) => h("p", copyable(address)))] : []));
  };
  const again = h("button", { type: "button", onclick: () => examine() }, t("more.again"));
  async function examine() {
    again.disabled = true;
    const answer = await attempt(() => link.ask("doctor"));
    again.disabled = false;
    if (answer) checks.replaceChildren(findings(answer.checks));
  }
  panel.append(
    h("h2", t("share.title")), h("p", t("share.text")), h("p.problem", t("share.warning")), h("p.row", share, h("span", t("share.switch"))), addresses,
    h("h2", t("more.language")), field(t("more.language"), select(languages, language(), (value) => { localStorage.setItem("language", value); location.reload(); })),
    h("h2", t("start.computer")), checks, h("p.row", again),
    h("h2", t("more.about")), h("p.quiet", t("more.version", { version: context.hello.version ?? "" })), h("p.quiet", t("more.privacy")),
  );
  attempt(async () => shared(await link.ask("share.status")));
  examine();
}
