// The conversation with the daemon: requests, answers, progress, files. Comes back by itself.

import { t } from "./words.js";

const FIRST_RETRY_MS = 300;
const LONGEST_RETRY_MS = 5000;
const PIECE = 128 * 1024 - 4;
const WAITING_BYTES = 1 << 20;

export class Refused extends Error {
  constructor(reply) {
    super(reply.error);
    this.code = reply.code;
    this.reply = reply;
  }
}

export class Link extends EventTarget {
  constructor(token) {
    super();
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/control?token=${encodeURIComponent(token)}`;
    this.next = 1;
    this.waiting = new Map();
    this.retryMs = FIRST_RETRY_MS;
    this.connect();
  }

  get open() { return this.socket.readyState === WebSocket.OPEN; }

  connect() {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    socket.onclose = () => {
      for (const { reject } of this.waiting.values()) reject(new Error(t("link.lost")));
      this.waiting.clear();
      this.dispatchEvent(new Event("lost"));
      setTimeout(() => this.connect(), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
    };
  }

  receive(reply) {
    const request = this.waiting.get(reply.id);
    if (!request) return;
    if (reply.progress !== undefined) return request.onprogress?.(reply.progress, reply.text);
    this.waiting.delete(reply.id);
    if (reply.ok) request.resolve(reply.body);
    else request.reject(new Refused(reply));
  }

  /** Ask for an operation; rejects with one sentence. */
  ask(op, body = {}, onprogress = undefined) {
    if (!this.open) return Promise.reject(new Error(t("link.lost")));
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, onprogress });
      this.socket.send(JSON.stringify({ id, op, body }));
    });
  }

  /** Send a file; returns its number, for use in a request. */
  async upload(file, onprogress = () => {}) {
    const { upload } = await this.ask("upload.begin", { bytes: file.size });
    for (let at = 0; at < file.size; at += PIECE) {
      const data = await file.slice(at, at + PIECE).arrayBuffer();
      const piece = new Uint8Array(4 + data.byteLength);
      new DataView(piece.buffer).setUint32(0, upload);
      piece.set(new Uint8Array(data), 4);
      while (this.open && this.socket.bufferedAmount > WAITING_BYTES) await new Promise((done) => setTimeout(done, 20));
      if (!this.open) throw new Error(t("link.lost"));
      this.socket.send(piece);
      onprogress((at + data.byteLength) / file.size);
    }
    return upload;
  }
}
