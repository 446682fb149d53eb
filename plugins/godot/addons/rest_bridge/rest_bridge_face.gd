# SPDX-License-Identifier: MIT
# A face that speaks, from a running rest_bridge daemon. Add it to a scene, point `target` at
# anything with a `texture` (Sprite, TextureRect, Sprite3D, ...), and call say() or say_sample().
extends Node

signal connected()
signal lost()  # the last picture stays; it comes back by itself
signal picture_changed(header)
signal speech_started(line)
signal speech_mark(line, mark, position_s)
signal speech_finished(line, interrupted, position_s)
signal replied(id, ok, error, result)
signal event(kind, body)

const Client := preload("client.gd")
const VoiceClock := preload("voice_clock.gd")

export(NodePath) var target
export(NodePath) var voice_player  # an AudioStreamPlayer, 2D or 3D; empty makes a plain one
export(bool) var play_voice := true
export(bool) var autostart := true
export(String) var frames_endpoint := "tcp://127.0.0.1:5570"
export(String) var events_endpoint := "tcp://127.0.0.1:5571"
export(String) var control_endpoint := "tcp://127.0.0.1:5572"
export(String) var speech_endpoint := "tcp://127.0.0.1:5573"

var texture := ImageTexture.new()
var is_live := false  # the daemon is heard of
var header := {}  # of the picture on show
var rig := {}  # name: value of the picture on show, once the daemon has told the names
var voice := VoiceClock.new()
var choice := {}  # sample heard when the picture was chosen, first and last one to choose from

var _client: Client
var _player
var _rig_names := []
var _stream := ""
var _epoch := -1
var _lines := {}  # lines that have no end yet: true
var _next_line := 1


func _ready() -> void:
	if autostart:
		start()


func _exit_tree() -> void:
	stop()


# Connects; the daemon may come later.
func start() -> void:
	stop()
	_client = Client.new()
	_client.open(frames_endpoint, events_endpoint, control_endpoint, speech_endpoint, play_voice)
	if play_voice:
		_player = get_node(voice_player) if not voice_player.is_empty() else null
		if _player == null:
			_player = AudioStreamPlayer.new()
			add_child(_player)
		voice.start(_player)


func stop() -> void:
	if _client != null:
		_client.close()
		_client = null
	is_live = false


# Speaks 16-bit little-endian PCM. `marks` are [seconds, name]. Returns the line's name, which the
# signals carry. Lines wait for one another in the order in which they were said.
func say(pcm: PoolByteArray, rate_hz: int, channels := 1, marks := []) -> String:
	var line := begin_line()
	var places := []
	for mark in marks:
		places.append([int(mark[0] * rate_hz), mark[1]])
	_client.push_speech(line, pcm, rate_hz, channels, true, true, places)
	return line


# Speaks an imported 16-bit .wav.
func say_sample(sample: AudioStreamSample, marks := []) -> String:
	if sample.format != AudioStreamSample.FORMAT_16_BITS:
		push_error("Import the sound with 16 bits: it is %d." % sample.format)
		return ""
	return say(sample.data, sample.mix_rate, 2 if sample.stereo else 1, marks)


# Speaks a 16-bit .wav file, as text-to-speech programs write it.
func say_file(path: String, marks := []) -> String:
	var wav := read_wav(path)
	if wav["error"] != "":
		push_error("%s: %s" % [path, wav["error"]])
		return ""
	return say(wav["pcm"], wav["rate_hz"], wav["channels"], marks)


# For speech that is still being made: begin_line, push_line as it comes, end_line.
func begin_line() -> String:
	var line := "godot-%d-%d" % [OS.get_process_id(), _next_line]
	_next_line += 1
	_lines[line] = true
	return line


func push_line(line: String, pcm: PoolByteArray, rate_hz: int, first: bool, marks := []) -> void:
	_client.push_speech(line, pcm, rate_hz, 1, first, false, marks)


func end_line(line: String, rate_hz: int) -> void:
	_client.push_speech(line, PoolByteArray(), rate_hz, 1, false, true)


# Interrupts: the named lines, or all that were said here. The face shows it within two pictures.
func flush(lines := []) -> void:
	request("flush", {"utterances": lines if len(lines) > 0 else _lines.keys()})


func set_expression(name: String, strength := 1.0) -> int:
	return request("expression", {"name": name, "strength": strength})


func set_avatar(avatar: String) -> int:
	return request("avatar.set", {"avatar": avatar})


# Any operation of PROTOCOL.md; `replied` brings its result.
func request(operation: String, arguments := {}) -> int:
	return _client.request(operation, arguments)


func _process(_delta: float) -> void:
	if _client == null:
		return
	var news: Dictionary = _client.take()
	_note_connection(news)
	for piece in news["voice"]:
		if play_voice:
			voice.put(piece["index"], piece["samples"])
	var heard := -1
	if play_voice:
		voice.feed()
		heard = voice.heard_index()
	_show(news["pictures"], news["rigs"], heard)
	for item in news["events"]:
		_tell(item["kind"], item["body"])


func _note_connection(news: Dictionary) -> void:
	if news["stream"] != _stream or news["epoch"] != _epoch:
		var other: bool = news["stream"] != _stream and _stream != ""
		_stream = news["stream"]
		_epoch = news["epoch"]
		if play_voice:
			voice.clear()
		if other:  # another daemon: it knows nothing of our lines
			for line in _lines.keys():
				_finish(line, true, 0.0)
	if news["connected"] != is_live:
		is_live = news["connected"]
		emit_signal("connected" if is_live else "lost")


# The picture of the sample that is heard; without sound the newest one.
func _show(pictures: Array, rigs: Array, heard: int) -> void:
	if len(pictures) == 0:
		return
	var chosen: Dictionary = pictures[0]
	for picture in pictures:
		if heard < 0 or picture["header"]["index"] <= heard:
			chosen = picture
	var seq: int = chosen["header"]["seq"]
	if header.get("seq", -1) == seq and header.get("stream", "") == chosen["stream"]:
		return
	header = chosen["header"]
	choice = {
		"heard": heard, "first": pictures[0]["header"]["index"],
		"last": pictures[-1]["header"]["index"],
	}
	var image := Image.new()
	image.create_from_data(
		header["w"], header["h"], false, Image.FORMAT_RGBA8, chosen["rgba"])
	if texture.get_width() == header["w"] and texture.get_height() == header["h"]:
		texture.set_data(image)
	else:
		texture.create_from_image(image, Texture.FLAG_FILTER)
		_dress_target()
	_note_rig(rigs, seq)
	emit_signal("picture_changed", header)


# The values of the picture on show; they may come a moment after it.
func _note_rig(rigs: Array, seq: int) -> void:
	var values := PoolRealArray()
	for item in rigs:
		if item["seq"] <= seq:
			values = item["values"]
	if len(values) == len(_rig_names):
		for index in range(len(values)):
			rig[_rig_names[index]] = values[index]


func _dress_target() -> void:
	var node := get_node(target) if not target.is_empty() else null
	if node != null:
		node.set("texture", texture)


func _tell(kind: String, body: Dictionary) -> void:
	match kind:
		"hello":
			if typeof(body.get("rig")) == TYPE_ARRAY:
				_rig_names = body["rig"]
		"reply":
			emit_signal("replied", body["id"], body["ok"], body["error"], body["result"])
		"speech":
			_tell_speech(body)
	emit_signal("event", kind, body)


func _tell_speech(body: Dictionary) -> void:
	var line: String = str(body.get("utt", ""))
	if not _lines.has(line):
		return
	var position_s: float = int(body.get("position", 0)) / 1e9
	match str(body.get("event", "")):
		"started":
			emit_signal("speech_started", line)
		"mark":
			emit_signal("speech_mark", line, str(body.get("mark", "")), position_s)
		"finished":
			_finish(line, bool(body.get("interrupted", false)), position_s)


func _finish(line: String, interrupted: bool, position_s: float) -> void:
	_lines.erase(line)
	emit_signal("speech_finished", line, interrupted, position_s)


# A 16-bit PCM .wav: {pcm, rate_hz, channels, error}. Lengths that are not known (streams) are
# taken to reach to the end.
static func read_wav(path: String) -> Dictionary:
	var file := File.new()
	if file.open(path, File.READ) != OK:
		return {"error": "the file cannot be opened"}
	var length := file.get_len()
	if length < 44 or file.get_buffer(4).get_string_from_ascii() != "RIFF":
		return {"error": "this is no .wav file"}
	file.seek(12)
	var out := {"error": "there is no sound in it", "rate_hz": 0, "channels": 1}
	while file.get_position() + 8 <= length:
		var name := file.get_buffer(4).get_string_from_ascii()
		var size := file.get_32()
		var next := file.get_position() + size + (size & 1)
		if name == "fmt ":
			var coding := file.get_16()
			out["channels"] = file.get_16()
			out["rate_hz"] = file.get_32()
			file.seek(file.get_position() + 6)
			if coding != 1 or file.get_16() != 16 or out["channels"] > 2:
				return {"error": "it must be 16-bit PCM, mono or stereo"}
		elif name == "data":
			out["pcm"] = file.get_buffer(int(min(size, length - file.get_position())))
			out["error"] = ""
			break
		file.seek(next)
	return out
