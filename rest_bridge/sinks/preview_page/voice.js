// Plays the voice and says which sample is being heard, so that pictures can follow the sound.

const RATE_HZ = 48000;
const LEAD_S = 0.12; // how far ahead of the speaker the first piece is placed
const LONGEST_LEAD_S = 0.6; // more has piled up (a suspended tab): start again
const DRIFT_S = 0.03; // the sound card's clock has run off by so much: read a little faster or slower
const DRIFT_RATE = 0.0008; // inaudible, and four times what crystals differ by

export class Voice {
  constructor() {
    this.context = null;
    this.anchor = null; // { time, index }: sample `index` sounds at context time `time`
    this.next = 0;
    this.sources = new Set(); // pieces that wait or sound
    this.lead = LEAD_S; // how far ahead pieces come, slow mean
  }

  get on() { return this.context !== null && this.context.state === "running"; }

  /** Start playing; a browser allows it after a click or key. Returns whether it did. */
  async start() {
    this.context ??= new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
    this.anchor = null;
    // resume() stays pending for ever while the browser forbids sound.
    await Promise.race([this.context.resume(), new Promise((done) => setTimeout(done, 500))]);
    return this.on;
  }

  async stop() {
    this.anchor = null;
    this.sources.clear();
    await this.context?.close();
    this.context = null;
  }

  /** Queue samples whose first has the given index on the media clock. */
  play(index, samples) {
    if (!this.on || samples.length === 0) return;
    const now = this.context.currentTime;
    let time = this.timeOf(index);
    const isLate = time !== null && time < now;
    const isFar = time !== null && time > now + LONGEST_LEAD_S;
    if (time === null || isLate || isFar || index < this.next) {
      for (const source of this.sources) source.stop();
      // Whole samples, so that pieces join without a click.
      this.anchor = { time: Math.ceil((now + LEAD_S) * RATE_HZ) / RATE_HZ, index };
      time = this.anchor.time;
      this.lead = LEAD_S;
    }
    this.lead += 0.01 * (time - now - this.lead);
    const off = this.lead - LEAD_S;
    const rate = Math.abs(off) < DRIFT_S ? 1 : 1 + Math.sign(off) * DRIFT_RATE;
    const buffer = this.context.createBuffer(1, samples.length, RATE_HZ);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.playbackRate.value = rate;
    source.connect(this.context.destination);
    source.onended = () => this.sources.delete(source);
    this.sources.add(source);
    source.start(time);
    this.next = index + samples.length;
    if (rate !== 1) {
      this.anchor = { time: time + samples.length / RATE_HZ / rate, index: this.next };
    }
  }

  /** Index of the sample at the ear now; null while nothing plays. */
  heard() {
    if (!this.on || this.anchor === null) return null;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    const time = this.context.currentTime - latency;
    return this.anchor.index + (time - this.anchor.time) * RATE_HZ;
  }

  timeOf(index) {
    if (this.anchor === null) return null;
    return this.anchor.time + (index - this.anchor.index) / RATE_HZ;
  }
}
