# SPDX-License-Identifier: MIT
# The part of msgpack that the wire protocol uses: no extensions, bounded nesting.
extends Reference

const MAX_DEPTH := 32
const MAX_ENTRIES := 1024
const MAX_TEXT := 4096


# Reads one value; `error` is empty or one sentence, and the value is null then.
class Reader:
	var error := ""
	var _in := StreamPeerBuffer.new()

	func _init(bytes: PoolByteArray) -> void:
		_in.big_endian = true
		_in.data_array = bytes

	# True if all bytes were read.
	func at_end() -> bool:
		return _in.get_position() == _in.get_size()

	func value(depth := 0):
		if depth > MAX_DEPTH:
			return _fail("nested too deeply")
		if not _has(1):
			return null
		var kind := _in.get_u8()
		if kind < 0x80:
			return kind
		if kind < 0x90:
			return _map(kind & 15, depth)
		if kind < 0xa0:
			return _array(kind & 15, depth)
		if kind < 0xc0:
			return _text(kind & 31)
		if kind >= 0xe0:
			return kind - 256
		match kind:
			0xc0: return null
			0xc2: return false
			0xc3: return true
			0xc4: return _bytes(_size(1))
			0xc5: return _bytes(_size(2))
			0xca: return _in.get_float() if _has(4) else null
			0xcb: return _in.get_double() if _has(8) else null
			0xcc: return _in.get_u8() if _has(1) else null
			0xcd: return _in.get_u16() if _has(2) else null
			0xce: return _in.get_u32() if _has(4) else null
			0xcf: return _natural()
			0xd0: return _in.get_8() if _has(1) else null
			0xd1: return _in.get_16() if _has(2) else null
			0xd2: return _in.get_32() if _has(4) else null
			0xd3: return _in.get_64() if _has(8) else null
			0xd9: return _text(_size(1))
			0xda: return _text(_size(2))
			0xdc: return _array(_size(2), depth)
			0xde: return _map(_size(2), depth)
		return _fail("type 0x%02x is not part of the protocol" % kind)

	func _fail(text: String):
		if error == "":
			error = text
		return null

	func _has(count: int) -> bool:
		if error == "" and _in.get_size() - _in.get_position() >= count:
			return true
		_fail("shorter than it says")
		return false

	func _size(width: int) -> int:
		if not _has(width):
			return -1
		return _in.get_u8() if width == 1 else _in.get_u16()

	func _natural():
		if not _has(8):
			return null
		var number := _in.get_u64()
		return number if number >= 0 else _fail("an integer of more than 63 bits")

	func _bytes(length: int):
		if length < 0 or not _has(length):
			return null
		return PoolByteArray(_in.get_data(length)[1]) if length > 0 else PoolByteArray()

	func _text(length: int):
		if length > MAX_TEXT:
			return _fail("a text of more than %d bytes" % MAX_TEXT)
		if length < 0 or not _has(length):
			return null
		return _in.get_utf8_string(length) if length > 0 else ""

	func _array(count: int, depth: int):
		var out := []
		if count > MAX_ENTRIES:
			return _fail("an array of more than %d entries" % MAX_ENTRIES)
		for _index in range(count):
			out.append(value(depth + 1))
			if error != "":
				return null
		return out

	func _map(count: int, depth: int):
		var out := {}
		if count > MAX_ENTRIES:
			return _fail("a map of more than %d entries" % MAX_ENTRIES)
		for _index in range(count):
			var key = value(depth + 1)
			if error == "" and typeof(key) != TYPE_STRING:
				return _fail("a key that is no text")
			var item = value(depth + 1)
			if error != "":
				return null
			out[key] = item
		return out


# Packs null, bool, int, float, String, Array and Dictionary with text keys.
static func pack(value) -> PoolByteArray:
	var out := StreamPeerBuffer.new()
	out.big_endian = true
	_write(out, value)
	return out.data_array


static func _write(out: StreamPeerBuffer, value) -> void:
	match typeof(value):
		TYPE_NIL:
			out.put_u8(0xc0)
		TYPE_BOOL:
			out.put_u8(0xc3 if value else 0xc2)
		TYPE_INT:
			if value >= 0 and value < 128:
				out.put_u8(value)
			else:
				out.put_u8(0xd3)
				out.put_64(value)
		TYPE_REAL:
			out.put_u8(0xcb)
			out.put_double(value)
		TYPE_ARRAY, TYPE_STRING_ARRAY:
			out.put_u8(0xdc)
			out.put_u16(len(value))
			for item in value:
				_write(out, item)
		TYPE_DICTIONARY:
			out.put_u8(0xde)
			out.put_u16(len(value))
			for key in value:
				_write(out, str(key))
				_write(out, value[key])
		_:
			var bytes: PoolByteArray = str(value).to_utf8()
			out.put_u8(0xda)
			out.put_u16(len(bytes))
			if len(bytes) > 0:
				out.put_data(bytes)
