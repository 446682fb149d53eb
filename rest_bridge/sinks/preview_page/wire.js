// Reads messages of the wire protocol (plugins/PROTOCOL.md): prefix, msgpack header, payload.

const MAJOR = 1;

/** Return {topic, header, payload} of one message; throws an Error that says what is wrong. */
export function decode(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8) throw new Error("message shorter than its prefix");
  const topic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (view.getUint8(4) !== MAJOR) {
    throw new Error(`protocol ${view.getUint8(4)}, this page speaks ${MAJOR}; reload it`);
  }
  const end = 8 + view.getUint16(6, true);
  if (end > buffer.byteLength) throw new Error("header longer than the message");
  const header = new Reader(buffer, 8, end).value();
  return { topic, header, payload: new Uint8Array(buffer, end) };
}

/** Return the msgpack map in a payload. */
export function unpack(payload) {
  const start = payload.byteOffset;
  return new Reader(payload.buffer, start, start + payload.byteLength).value();
}

const TEXT = new TextDecoder();

/** The part of msgpack that the protocol uses: no extensions. Integers become Numbers. */
class Reader {
  constructor(buffer, start, end) {
    this.bytes = new Uint8Array(buffer, 0, end);
    this.view = new DataView(buffer, 0, end);
    this.at = start;
  }

  value(depth = 0) {
    if (depth > 16) throw new Error("nested too deeply");
    const kind = this.number("getUint8", 1);
    if (kind < 0x80) return kind;
    if (kind < 0x90) return this.map(kind & 15, depth);
    if (kind < 0xa0) return this.array(kind & 15, depth);
    if (kind < 0xc0) return this.text(kind & 31);
    if (kind >= 0xe0) return kind - 256;
    switch (kind) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.slice(this.number("getUint8", 1));
      case 0xc5: return this.slice(this.number("getUint16", 2));
      case 0xca: return this.number("getFloat32", 4);
      case 0xcb: return this.number("getFloat64", 8);
      case 0xcc: return this.number("getUint8", 1);
      case 0xcd: return this.number("getUint16", 2);
      case 0xce: return this.number("getUint32", 4);
      case 0xcf: return Number(this.number("getBigUint64", 8));
      case 0xd0: return this.number("getInt8", 1);
      case 0xd1: return this.number("getInt16", 2);
      case 0xd2: return this.number("getInt32", 4);
      case 0xd3: return Number(this.number("getBigInt64", 8));
      case 0xd9: return this.text(this.number("getUint8", 1));
      case 0xda: return this.text(this.number("getUint16", 2));
      case 0xdc: return this.array(this.number("getUint16", 2), depth);
      case 0xde: return this.map(this.number("getUint16", 2), depth);
      default: throw new Error(`msgpack type 0x${kind.toString(16)} is not part of the protocol`);
    }
  }

  number(method, size) {
    const value = this.view[method](this.at); // throws RangeError beyond the end
    this.at += size;
    return value;
  }

  slice(length) {
    if (this.at + length > this.bytes.length) throw new Error("text longer than the message");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text(length) { return TEXT.decode(this.slice(length)); }

  array(length, depth) { return Array.from({ length }, () => this.value(depth + 1)); }

  map(length, depth) {
    const out = {};
    for (let i = 0; i < length; i++) {
      const key = this.value(depth + 1);
      out[key] = this.value(depth + 1);
    }
    return out;
  }
}
