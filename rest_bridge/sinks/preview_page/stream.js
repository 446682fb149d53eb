// The connection to the daemon: reconnects with back-off, keeps the clocks aligned.

import { decode, unpack } from "./wire.js";

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5000;
const PING_MS = 2000;
const FIRST_PINGS = 8; // in quick succession: a page that is still loading answers late

/**
 * Calls handlers.frame(header, pixels), .voice(header, samples), .event(kind, body),
 * .connected(), .lost(reason), for as long as the page lives.
 */
export class Stream {
  constructor(token, handlers) {
    this.handlers = handlers;
    this.view = { op: "view", size: 0, voice: false };
    this.retryMs = FIRST_RETRY_MS;
    this.offset = null; // server's monotonic clock minus performance.now(), in ms
    this.quickest = Infinity;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.url = `${scheme}://${location.host}/ws?token=${encodeURIComponent(token)}`;
    this.connect();
    setInterval(() => this.ping(), PING_MS);
  }

  /** Ask for pictures of at most `size` pixels a side, with or without voice. */
  request(size, voice) {
    if (size === this.view.size && voice === this.view.voice) return;
    this.view = { op: "view", size, voice };
    this.send(this.view);
  }

  /** Milliseconds from a server time (monotonic ns) until now; null before the first ping. */
  since(serverNs) {
    if (this.offset === null) return null;
    return Math.max(0, performance.now() + this.offset - serverNs / 1e6);
  }

  connect() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.quickest = Infinity;
      this.send(this.view);
      for (let i = 0; i < FIRST_PINGS; i++) setTimeout(() => this.ping(), i * 80);
      this.handlers.connected();
    };
    socket.onmessage = (message) => this.receive(message.data);
    socket.onclose = (close) => {
      this.handlers.lost(close.code === 1013 ? close.reason : "");
      setTimeout(() => this.connect(), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
    };
  }

  receive(data) {
    if (typeof data === "string") return this.pong(JSON.parse(data));
    let message;
    try {
      message = decode(data);
    } catch (error) {
      return this.handlers.lost(error.message);
    }
    const { topic, header, payload } = message;
    if (topic === "RGBA") {
      const pixels = new Uint8ClampedArray(payload.buffer, payload.byteOffset, payload.length);
      this.handlers.frame(header, pixels);
    } else if (topic === "VOIC") {
      // A copy, because float32 must start at a multiple of four bytes.
      const start = payload.byteOffset;
      const bytes = payload.buffer.slice(start, start + payload.byteLength);
      this.handlers.voice(header, new Float32Array(bytes));
    } else if (topic === "EVNT") {
      this.handlers.event(header.kind, unpack(payload));
    }
  }

  ping() { this.send({ op: "ping", t0: performance.now() }); }

  pong({ t0, server_ns: serverNs }) {
    const now = performance.now();
    // The quickest exchange is the most exact; forget slowly, in case a clock drifts.
    this.quickest += 0.05;
    if (now - t0 <= this.quickest) {
      this.quickest = now - t0;
      this.offset = serverNs / 1e6 - (t0 + now) / 2;
    }
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
