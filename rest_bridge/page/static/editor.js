// Drag the eyes, the corners of the mouth, the chin and the crop; the face speaks with them at once.

import { attempt, h, progressBar } from "./dom.js";
import { t } from "./words.js";

const NS = "http://www.w3.org/2000/svg";
const PAIRS = [["left_eye_outer", "left_eye_inner"], ["right_eye_inner", "right_eye_outer"], ["mouth_left", "mouth_right"]];
const STEP_SHARE = 0.004; // of the picture's width for one press of an arrow key

export function editor(context, portrait, changed) {
  const { link } = context;
  const { name } = portrait;
  const bar = progressBar();
  const svg = document.createElementNS(NS, "svg");
  svg.classList.add("points");
  const picture = h("div.pointing", h("img", { src: context.url(`/picture/${name}`, portrait.version), alt: t("points.picture") }), svg);
  let facts = null;
  let cropping = false;
  const cropButton = h("button", { type: "button", "aria-pressed": "false", onclick: () => toggleCrop() }, t("points.crop"));
  const resetButton = h("button", { type: "button", onclick: () => send("portraits.drag", { name, handles: {} }) }, t("points.reset"));
  const wholeButton = h("button", { type: "button", hidden: true, onclick: () => crop(null) }, t("points.whole"));
  const node = h("div", h("p.quiet", t("points.text")), picture, bar, h("p.row", cropButton, wholeButton, resetButton));

  const report = (done, what) => bar.report(done, what ? t(`import.${what}`) : "");
  async function send(op, body) {
    node.classList.add("busy");
    const answer = await attempt(() => link.ask(op, body, report));
    bar.report(null);
    await load();
    node.classList.remove("busy");
    if (answer) changed();
  }
  async function load() {
    facts = await attempt(() => link.ask("portraits.points", { name }));
    if (facts) draw();
  }
  const crop = async (box) => {
    cropping = false;
    cropButton.setAttribute("aria-pressed", "false");
    await send("portraits.change", { name, crop: box });
  };
  function toggleCrop() {
    if (cropping && facts.wish) return crop(facts.wish);
    cropping = !cropping;
    cropButton.setAttribute("aria-pressed", String(cropping));
    cropButton.textContent = t(cropping ? "points.cropDone" : "points.crop");
    draw();
  }

  const make = (tag, attributes) => {
    const made = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    svg.append(made);
    return made;
  };
  const place = (event) => {
    const box = svg.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * facts.width, (event.clientY - box.top) / box.height * facts.height];
  };
  const inside = ([x, y]) => [Math.min(facts.width, Math.max(0, x)), Math.min(facts.height, Math.max(0, y))];

  function draw() {
    const focused = svg.contains(document.activeElement) ? document.activeElement.dataset.handle : undefined;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${facts.width} ${facts.height}`);
    wholeButton.hidden = !facts.crop;
    if (cropping) return drawCrop();
    cropButton.textContent = t("points.crop");
    const unit = Math.max(facts.width, facts.height) / 100;
    for (const [x, y] of facts.points) make("circle", { cx: x, cy: y, r: unit * 0.35, class: "dot" });
    for (const [a, b] of PAIRS) {
      const [p, q] = [facts.handles[a], facts.handles[b]];
      const line = make("line", { x1: p[0], y1: p[1], x2: q[0], y2: q[1], class: "bridge" });
      grip(line, [a, b]); // the line moves the whole part
    }
    for (const [key, [x, y]] of Object.entries(facts.handles)) {
      const circle = make("circle", { cx: x, cy: y, r: unit * 1.3, class: "handle", tabindex: 0, role: "button", "aria-label": t(`points.${key}`) });
      circle.dataset.handle = key;
      grip(circle, [key]);
    }
    if (focused) svg.querySelector(`[data-handle="${focused}"]`)?.focus(); // arrow keys go on
  }

  /** Let an element move some handles, by pointer or arrow keys. */
  function grip(element, keys) {
    let from = null;
    let starts = null;
    const move = (dx, dy) => {
      keys.forEach((key, i) => { facts.handles[key] = inside([starts[i][0] + dx, starts[i][1] + dy]); });
      follow();
    };
    const done = () => send("portraits.drag", { name, handles: Object.fromEntries(keys.map((key) => [key, facts.handles[key]])) });
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      from = place(event);
      starts = keys.map((key) => [...facts.handles[key]]);
      event.preventDefault();
      element.focus?.();
    });
    element.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [x, y] = place(event);
      move(x - from[0], y - from[1]);
    });
    element.addEventListener("pointerup", (event) => {
      if (!from) return;
      const [x, y] = place(event);
      const moved = Math.hypot(x - from[0], y - from[1]) > facts.width / 500;
      from = null;
      if (moved) done();
    });
    let timer = 0;
    element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const size = facts.width * STEP_SHARE * (event.shiftKey ? 5 : 1);
      starts = keys.map((key) => [...facts.handles[key]]);
      move(step[0] * size, step[1] * size);
      clearTimeout(timer);
      timer = setTimeout(done, 600);
    });
  }

  function follow() {
    for (const circle of svg.querySelectorAll(".handle")) {
      const [x, y] = facts.handles[circle.dataset.handle];
      circle.setAttribute("cx", x);
      circle.setAttribute("cy", y);
    }
    [...svg.querySelectorAll(".bridge")].forEach((line, i) => {
      const [p, q] = PAIRS[i].map((key) => facts.handles[key]);
      Object.entries({ x1: p[0], y1: p[1], x2: q[0], y2: q[1] }).forEach(([key, value]) => line.setAttribute(key, value));
    });
  }

  function drawCrop() {
    const whole = Math.min(facts.width, facts.height);
    facts.wish ??= facts.crop ?? [(facts.width - whole) / 2, (facts.height - whole) / 2, whole];
    const shade = make("path", { class: "shade", "fill-rule": "evenodd" });
    const frame = make("rect", { class: "frame", tabindex: 0, role: "button", "aria-label": t("points.cropFrame") });
    const corner = make("rect", { class: "handle", tabindex: 0, role: "button", "aria-label": t("points.cropSize") });
    const unit = Math.max(facts.width, facts.height) / 100;
    const lay = () => {
      const [x, y, side] = facts.wish;
      shade.setAttribute("d", `M0 0h${facts.width}v${facts.height}H0zM${x} ${y}h${side}v${side}h${-side}z`);
      for (const [key, value] of Object.entries({ x, y, width: side, height: side })) frame.setAttribute(key, value);
      for (const [key, value] of Object.entries({ x: x + side - 6 * unit, y: y + side - 6 * unit, width: 5 * unit, height: 5 * unit })) corner.setAttribute(key, value);
    };
    const drag = (element, apply) => {
      let from = null, before = null;
      element.addEventListener("pointerdown", (event) => { element.setPointerCapture(event.pointerId); from = place(event); before = [...facts.wish]; event.preventDefault(); });
      element.addEventListener("pointermove", (event) => {
        if (!from) return;
        const [x, y] = place(event);
        apply(before, x - from[0], y - from[1]);
        lay();
      });
      element.addEventListener("pointerup", () => { from = null; });
      element.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!step) return;
        event.preventDefault();
        const size = facts.width * STEP_SHARE * (event.shiftKey ? 5 : 1);
        apply([...facts.wish], step[0] * size, step[1] * size);
        lay();
      });
    };
    drag(frame, ([x, y, side], dx, dy) => {
      facts.wish = [Math.min(facts.width - side, Math.max(0, x + dx)), Math.min(facts.height - side, Math.max(0, y + dy)), side];
    });
    drag(corner, ([x, y, side], dx, dy) => {
      const most = Math.min(facts.width - x, facts.height - y);
      facts.wish = [x, y, Math.min(most, Math.max(64, side + Math.max(dx, dy)))];
    });
    lay();
  }

  load();
  return node;
}
