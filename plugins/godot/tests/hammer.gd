# SPDX-License-Identifier: MIT
# godot3-server --script res://tests/hammer.gd -- FOLDER: one thread leaves golden events as
# quickly as it can, another takes them. A list read without its lock crashes the engine here.
extends SceneTree

const Client := preload("res://addons/rest_bridge/client.gd")
const Wire := preload("res://addons/rest_bridge/wire.gd")
const ROUNDS := 100000

var client := Client.new()
var messages := []
var thread := Thread.new()
var over := false


func _init() -> void:
	var folder: String = OS.get_cmdline_args()[-1]
	var index: Dictionary = JSON.parse(_read(folder + "/index.json").get_string_from_utf8()).result
	for name in index:
		var message := Wire.decode(_read("%s/%s.bin" % [folder, name]))
		if message["error"] == "" and message["topic"] == "EVNT":
			messages.append(message)
	thread.start(self, "_leave")
	var taken := 0
	while not over:
		taken += len(client.take()["events"])
	thread.wait_to_finish()
	print("hammer: %d messages, %s" % [len(messages), "some taken" if taken > 0 else "none taken"])
	quit(0)


func _leave(_unused) -> void:
	for round_number in range(ROUNDS):
		client._sort(messages[round_number % len(messages)])
	over = true


func _read(path: String) -> PoolByteArray:
	var file := File.new()
	file.open(path, File.READ)
	return file.get_buffer(file.get_len())
