# SPDX-License-Identifier: MIT
# Plays the demo for a test: waits for the face, lets it talk, notes every picture that is shown
# (sequence, SHA-256 of its bytes, how far the mouth is open, sample that was heard), takes
# pictures of the screen, interrupts the second run, and writes it all to --probe-out=FOLDER.
extends Node

const LIMIT_MS := 90000

var _folder := ""
var _report := {"pictures": [], "events": [], "replies": []}
var _widest := 0.0
var _run := 0
var _saved := {}

onready var tavern = $Tavern
onready var face = $Tavern/Npc/Face


func _ready() -> void:
	Engine.target_fps = 30  # drawing by the processor must not starve the daemon
	for argument in OS.get_cmdline_args():
		if argument.begins_with("--probe-out="):
			_folder = argument.split("=")[1]
	face.connect("picture_changed", self, "_on_picture")
	face.connect("speech_started", self, "_on_started")
	face.connect("speech_mark", self, "_on_mark")
	face.connect("speech_finished", self, "_on_finished")
	face.connect("replied", self, "_on_replied")
	yield(get_tree().create_timer(0.1), "timeout")
	while face.header.empty() or len(face.rig) == 0:
		if OS.get_ticks_msec() > LIMIT_MS:
			_finish(false)
			return
		yield(get_tree(), "idle_frame")
	yield(get_tree().create_timer(1.0), "timeout")
	yield(_shoot("idle"), "completed")
	tavern.talk()


func _process(_delta: float) -> void:
	if OS.get_ticks_msec() > LIMIT_MS:
		_finish(false)


func _on_picture(header: Dictionary) -> void:
	var rgba: PoolByteArray = face.texture.get_data().get_data()
	var context := HashingContext.new()
	context.start(HashingContext.HASH_SHA256)
	context.update(rgba)
	var jaw: float = face.rig.get("jawOpen", 0.0)
	_report["pictures"].append({
		"seq": header["seq"], "stream": header["stream"], "epoch": header["epoch"],
		"index": header["index"], "sha256": context.finish().hex_encode(), "jaw": jaw,
		"heard": face.choice["heard"], "first": face.choice["first"],
		"last": face.choice["last"], "at_ms": OS.get_ticks_msec(),
	})
	if jaw > max(_widest, 0.12):
		_widest = jaw
		_shoot("speaking")


func _on_started(line: String) -> void:
	_run += 1
	_report["events"].append({"event": "started", "line": line})
	if _run == 3:
		yield(get_tree().create_timer(0.6), "timeout")
		tavern.interrupt()


func _on_mark(line: String, mark: String, position_s: float) -> void:
	_report["events"].append({"event": "mark", "line": line, "mark": mark, "at_s": position_s})


func _on_finished(line: String, interrupted: bool, position_s: float) -> void:
	_report["events"].append({
		"event": "finished", "line": line, "interrupted": interrupted, "at_s": position_s,
	})
	var ends := 0
	for event in _report["events"]:
		ends += int(event["event"] == "finished")
	if ends == 2:
		yield(get_tree().create_timer(0.5), "timeout")
		tavern.talk()
	elif ends == 4:
		yield(get_tree().create_timer(0.6), "timeout")
		_finish(true)


func _on_replied(_id: int, ok: bool, error: String, result: Dictionary) -> void:
	_report["replies"].append({"ok": ok, "error": error, "keys": result.keys()})


func _shoot(name: String):
	yield(VisualServer, "frame_post_draw")
	var image := get_viewport().get_texture().get_data()
	image.flip_y()
	_saved[name] = image


func _finish(done: bool) -> void:
	set_process(false)
	for name in _saved:
		_saved[name].save_png("%s/%s.png" % [_folder, name])
	_report["done"] = done
	_report["underruns"] = face.voice.underruns
	_report["skipped"] = face.voice.skipped
	_report["live"] = face.is_live
	var file := File.new()
	file.open(_folder + "/report.json", File.WRITE)
	file.store_string(JSON.print(_report))
	file.close()
	get_tree().quit(0 if done else 1)
