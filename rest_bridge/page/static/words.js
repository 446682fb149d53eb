// The page's language: one file each in lang/, chosen by the person, else by the browser.

const LANGUAGES = { en: "English", de: "Deutsch", ja: "日本語" };
let words = {};
let english = {};

export const languages = Object.entries(LANGUAGES);

export function language() {
  const chosen = localStorage.getItem("language");
  if (chosen in LANGUAGES) return chosen;
  const wanted = navigator.languages?.map((name) => name.slice(0, 2)) ?? [];
  return wanted.find((name) => name in LANGUAGES) ?? "en";
}

export async function loadWords() {
  const load = async (name) => (await fetch(`/app/lang/${name}.json`)).json();
  const name = language();
  [english, words] = await Promise.all([load("en"), name === "en" ? {} : load(name)]);
  document.documentElement.lang = name;
}

/** Return a text; {name} in it is replaced; with {count} of one, key + ".one". A missing one is shown in English. */
export function t(key, values = {}) {
  const isOne = "count" in values && new Intl.PluralRules(document.documentElement.lang).select(Number(values.count)) === "one";
  const text = (isOne && words[`${key}.one`]) || (words[key] ?? ((isOne && english[`${key}.one`]) || english[key])) || key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Fill in elements that name their text: data-t, and data-t-label for a label. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
}
