# SPDX-License-Identifier: MIT
# godot3-server --script res://tests/golden.gd -- FOLDER: decodes every golden message as its
# index.json says, refuses every cut of each, and writes what it can read again.
extends SceneTree

const Wire := preload("res://addons/rest_bridge/wire.gd")
const Msgpack := preload("res://addons/rest_bridge/msgpack.gd")
const Zmtp := preload("res://addons/rest_bridge/zmtp.gd")

var failures := 0


func _init() -> void:
	var folder: String = OS.get_cmdline_args()[-1]
	var index: Dictionary = JSON.parse(_read(folder + "/index.json").get_string_from_utf8()).result
	for name in index:
		_check(name, index[name], _read("%s/%s.bin" % [folder, name]))
	_pack_and_read()
	_leave_out_messages_of_several_parts()
	print("golden: %d messages, %d failures" % [len(index), failures])
	OS.exit_code = 1 if failures > 0 else 0
	quit(OS.exit_code)


func _read(path: String) -> PoolByteArray:
	var file := File.new()
	if file.open(path, File.READ) != OK:
		_wrong(path, "cannot be opened")
		return PoolByteArray()
	return file.get_buffer(file.get_len())


func _check(name: String, expected: Dictionary, data: PoolByteArray) -> void:
	var message := Wire.decode(data)
	if message["error"] != "":
		_wrong(name, message["error"])
		return
	if message["topic"] != expected["topic"] or len(data) != int(expected["bytes"]):
		_wrong(name, "topic or length")
	_compare(name, message["header"], expected["header"])
	if expected.has("payload_hex") and message["payload"].hex_encode() != expected["payload_hex"]:
		_wrong(name, "payload")
	if expected.has("body"):
		_compare(name, Wire.unpack(message["payload"]), expected["body"])
	for size in range(len(data)):
		var cut := Wire.decode(data.subarray(0, size - 1) if size > 0 else PoolByteArray())
		if cut["error"] != "":
			continue
		# What is left may be a whole message with a shorter map behind it: that must be refused.
		if message["topic"] in ["EVNT", "RPLY", "RQST"] and Wire.unpack(cut["payload"]) == null:
			continue
		if message["topic"] in ["JPEG", "PNG_", "WEBP"]:
			continue  # this addon asks for RGBA only
		_wrong(name, "a cut of %d bytes was taken" % size)


# A message that is part of another one is no message, whatever it says.
func _leave_out_messages_of_several_parts() -> void:
	var connection := Zmtp.new("tcp://127.0.0.1:1", "SUB")
	var messages := []
	for flags in [0, Zmtp.MORE, Zmtp.MORE, 0, 0]:
		connection._flags = flags
		connection._have = PoolByteArray([len(messages)])
		if not connection._end_body(messages):
			_wrong("parts", "the connection was given up")
	if len(messages) != 2:
		_wrong("parts", "%d messages instead of 2" % len(messages))


func _compare(name: String, got, expected) -> void:
	if typeof(expected) == TYPE_DICTIONARY and typeof(got) == TYPE_DICTIONARY:
		if len(got) != len(expected):
			_wrong(name, "number of keys")
		for key in expected:
			_compare(name + "." + key, got.get(key), expected[key])
	elif typeof(expected) == TYPE_ARRAY and typeof(got) == TYPE_ARRAY:
		if len(got) != len(expected):
			_wrong(name, "length")
			return
		for place in range(len(expected)):
			_compare("%s[%d]" % [name, place], got[place], expected[place])
	elif typeof(expected) == TYPE_REAL:  # JSON knows no integers; Godot's parser rounds them
		var near := 0.5 if typeof(got) == TYPE_INT else 0.0
		if not (typeof(got) in [TYPE_INT, TYPE_REAL]) or abs(got - expected) > near:
			_wrong(name, "%s instead of %s" % [got, expected])
	elif typeof(got) != typeof(expected) or got != expected:
		_wrong(name, "%s instead of %s" % [got, expected])


func _pack_and_read() -> void:
	var value := {
		"a": [1, -5, 300, 0.5, true, null], "text": "grüße", "big": 1 << 40, "none": {}, "": "",
	}
	var reader := Msgpack.Reader.new(Msgpack.pack(value))
	_compare("packed", reader.value(), value)
	if reader.error != "" or not reader.at_end():
		_wrong("packed", reader.error)
	for bytes in [[0xc1], [0xd4, 1, 2], [0xdd, 0, 0, 0, 1, 1], [0x81, 1, 1], [0xcf, 255, 0, 0, 0, 0, 0, 0, 0]]:
		var other := Msgpack.Reader.new(PoolByteArray(bytes))
		other.value()
		if other.error == "":
			_wrong("refused", str(bytes))


func _wrong(name: String, text: String) -> void:
	failures += 1
	printerr("%s: %s" % [name, text])
