# SPDX-License-Identifier: MIT
# Messages of the wire protocol (plugins/PROTOCOL.md): prefix, msgpack header, payload.
extends Reference

const Msgpack := preload("msgpack.gd")

const MAJOR := 1
const MINOR := 0
const PREFIX_BYTES := 8
const MAX_HEADER_BYTES := 4096
const MAX_SIDE_PX := 8192
const MAX_VOICE_SAMPLES := 48000
const NUM_RIG := 58
const NUM_VISEMES := 15
const RATE_HZ := 48000


# Returns {topic, header, payload, error}; error is empty or one sentence.
static func decode(data: PoolByteArray) -> Dictionary:
	if len(data) < PREFIX_BYTES:
		return {"error": "shorter than its prefix"}
	var topic := data.subarray(0, 3).get_string_from_ascii()
	if data[4] != MAJOR:
		var both := [data[4], MAJOR]
		return {"error": "protocol %d, this addon speaks %d; update the older of the two" % both}
	var end := PREFIX_BYTES + data[6] + 256 * data[7]
	if end - PREFIX_BYTES > MAX_HEADER_BYTES or end > len(data) or end == PREFIX_BYTES:
		return {"error": "a header that is too long or missing"}
	var reader := Msgpack.Reader.new(data.subarray(PREFIX_BYTES, end - 1))
	var header = reader.value()
	if reader.error != "" or not reader.at_end() or typeof(header) != TYPE_DICTIONARY:
		return {"error": "a header that cannot be read: " + reader.error}
	var payload := data.subarray(end, -1) if end < len(data) else PoolByteArray()
	var wrong := _wrong(topic, header, len(payload))
	return {"topic": topic, "header": header, "payload": payload, "error": wrong}


# The msgpack map in a payload, or null.
static func unpack(payload: PoolByteArray):
	var reader := Msgpack.Reader.new(payload)
	var value = reader.value()
	if reader.error != "" or not reader.at_end() or typeof(value) != TYPE_DICTIONARY:
		return null
	return value


# `count` little-endian float32 values from `first` on.
static func floats(payload: PoolByteArray, first: int, count: int) -> PoolRealArray:
	var stream := StreamPeerBuffer.new()
	stream.data_array = payload
	stream.seek(first * 4)
	var out := PoolRealArray()
	out.resize(count)
	for index in range(count):
		out[index] = stream.get_float()
	return out


static func encode(topic: String, header: Dictionary, payload: PoolByteArray) -> PoolByteArray:
	var packed := Msgpack.pack(header)
	var out := topic.to_ascii()
	out.append_array(PoolByteArray([MAJOR, MINOR, len(packed) & 255, len(packed) >> 8]))
	out.append_array(packed)
	out.append_array(payload)
	return out


# The rows of a raw picture without their padding.
static func tight_rows(header: Dictionary, payload: PoolByteArray) -> PoolByteArray:
	var row: int = header["w"] * 4
	if header["stride"] == row:
		return payload
	var out := PoolByteArray()
	for y in range(header["h"]):
		out.append_array(payload.subarray(y * header["stride"], y * header["stride"] + row - 1))
	return out


static func _wrong(topic: String, header: Dictionary, size: int) -> String:
	match topic:
		"RGBA", "BGRA":
			if not _naturals(header, ["w", "h", "stride", "size", "index", "seq", "epoch", "pts"]):
				return "a picture without its numbers"
			if header["w"] < 1 or header["w"] > MAX_SIDE_PX or header["h"] < 1 \
					or header["h"] > MAX_SIDE_PX or header["stride"] < header["w"] * 4 \
					or header["size"] != size or header["stride"] * header["h"] != size:
				return "a picture whose size does not fit its bytes"
		"RIG_":
			if not _naturals(header, ["seq", "epoch", "pts"]) or size != 4 * (NUM_RIG + NUM_VISEMES):
				return "face values of another number"
		"VOIC":
			if not _naturals(header, ["index", "n", "epoch"]) or header["n"] > MAX_VOICE_SAMPLES \
					or size != 4 * header["n"]:
				return "a voice whose length does not fit its bytes"
		"EVNT":
			if typeof(header.get("kind")) != TYPE_STRING:
				return "an event without a kind"
		"RPLY":
			if not _naturals(header, ["id"]) or typeof(header.get("ok")) != TYPE_BOOL:
				return "a reply without its request"
	return ""


static func _naturals(header: Dictionary, keys: Array) -> bool:
	for key in keys:
		if typeof(header.get(key)) != TYPE_INT or header[key] < 0:
			return false
	return true
