// What is shown while there is no stream: the last picture in which the face was silent.

const FADE_MS = 240;
const EVERY = 5; // a silent face hardly changes: remember every fifth picture of it

export class Calm {
  constructor() {
    this.image = null; // ImageData of a silent face
    this.index = -1;
    this.count = 0;
    this.resting = false;
  }

  /** Take note of a picture that is being shown. */
  saw(image, header) {
    this.resting = false;
    const fits = this.image && this.image.width === image.width && this.image.height === image.height;
    if (!fits || this.avatar !== header.avatar) this.image = null; // another size or face: it would jump
    this.avatar = header.avatar;
    if (header.state === "speaking") return;
    if (this.count++ % EVERY && this.image) return;
    this.image = image;
    this.index = header.seq;
  }

  /** Fade from what a canvas shows to the silent face; calls `done` when it is there. */
  rest(canvas, context, done) {
    this.resting = true;
    if (!this.image) return done(); // it has spoken all the time: the last picture stays
    const from = copy(canvas, (layer) => layer.drawImage(canvas, 0, 0));
    const to = copy(canvas, (layer) => layer.putImageData(this.image, 0, 0));
    const began = performance.now();
    const step = () => {
      if (!this.resting) return; // the stream is back
      const share = Math.min(1, (performance.now() - began) / FADE_MS);
      if (share === 1) {
        context.putImageData(this.image, 0, 0); // exactly, alpha and all
        return done();
      }
      context.save();
      context.globalCompositeOperation = "copy";
      context.globalAlpha = 1 - share;
      context.drawImage(from, 0, 0);
      context.globalCompositeOperation = "lighter"; // adds what is premultiplied: a true cross-fade
      context.globalAlpha = share;
      context.drawImage(to, 0, 0);
      context.restore();
      requestAnimationFrame(step);
    };
    step();
  }
}

function copy({ width, height }, draw) {
  const layer = Object.assign(document.createElement("canvas"), { width, height });
  draw(layer.getContext("2d"));
  return layer;
}
