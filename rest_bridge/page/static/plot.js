// Where the latency goes, over the last two minutes: one band a stage, drawn on a small canvas.

import { h } from "./dom.js";
import { t } from "./words.js";

export const STAGES = ["look_ahead", "assembly", "capture", "encode", "motion", "decode", "pacer"];
const GROUPS = { model: ["look_ahead", "assembly"], device: ["capture"], compute: ["encode", "motion", "decode"], pacing: ["pacer"] };
const SECONDS = 120;

export function latencyPlot() {
  const canvas = h("canvas.plot", { width: 480, height: 120, role: "img" });
  const legend = h("ul.legend", Object.keys(GROUPS).map((name, i) => h("li", h("i", { className: `band${i}` }), h("span", t(`latency.${name}`)), h("b", "–"))));
  const rows = [];
  const node = h("figure", canvas, legend);
  const colours = () => [0, 1, 2, 3].map((i) => getComputedStyle(canvas).getPropertyValue(`--band${i}`).trim());

  node.add = (stages) => {
    const row = Object.values(GROUPS).map((names) => names.reduce((sum, name) => sum + (stages[name]?.p50_ms ?? 0), 0));
    if (!row.some(Boolean)) return;
    rows.push(row);
    if (rows.length > SECONDS) rows.shift();
    row.forEach((value, i) => { legend.children[i].lastChild.textContent = `${value.toFixed(0)} ms`; });
    draw();
  };

  function draw() {
    const ratio = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio) || 480;
    const height = Math.round(canvas.clientHeight * ratio) || 120;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    const totals = rows.map((row) => row.reduce((a, b) => a + b, 0));
    const top = Math.max(100, ...totals) * 1.15;
    const step = width / SECONDS;
    const fill = colours();
    rows.forEach((row, at) => {
      let base = height;
      row.forEach((value, i) => {
        const tall = value / top * height;
        pen.fillStyle = fill[i];
        pen.fillRect(width - (rows.length - at) * step, base - tall, Math.max(1, step - ratio * 0.4), tall);
        base -= tall;
      });
    });
    pen.fillStyle = getComputedStyle(canvas).color;
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    const newest = totals.at(-1).toFixed(0);
    canvas.setAttribute("aria-label", t("latency.label", { ms: newest }));
  }
  return node;
}
