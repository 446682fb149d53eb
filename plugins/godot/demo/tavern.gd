# SPDX-License-Identifier: MIT
# An innkeeper who says two lines, smiles while he does, and can be interrupted.
#
#     rest-bridge run --audio push --avatar theo      in a terminal
#     godot3 --path plugins/godot                     in another
extends Node2D

const LINES := [
	["res://demo/lines/line_1.wav", "Well met, traveller. You have come a long way."],
	["res://demo/lines/line_2.wav", "The road to the north is closed, but I know another one."],
]

var _texts := {}  # line: what is said

onready var face = $Npc/Face
onready var subtitle: Label = $Subtitle


func _ready() -> void:
	for argument in OS.get_cmdline_args():
		for socket in ["frames", "events", "control", "speech"]:
			if argument.begins_with("--rb-%s=" % socket):
				face.set(socket + "_endpoint", argument.split("=")[1])
	face.connect("connected", self, "_on_connected")
	face.connect("lost", self, "_on_lost")
	face.connect("speech_started", self, "_on_speech_started")
	face.connect("speech_finished", self, "_on_speech_finished")
	face.connect("replied", self, "_on_replied")
	$Buttons/Talk.connect("pressed", self, "talk")
	$Buttons/Interrupt.connect("pressed", self, "interrupt")
	subtitle.text = "(waiting for the daemon: rest-bridge run --audio push)"
	face.start()


# Both lines are pushed at once; the daemon speaks them one after the other.
func talk() -> void:
	face.set_expression("happy", 0.6)
	for line in LINES:
		var name: String = face.say_file(line[0], [[0.4, "nod"]])
		_texts[name] = line[1]


func interrupt() -> void:
	face.flush()


func _on_connected() -> void:
	subtitle.text = "(the innkeeper looks at you)"


func _on_lost() -> void:
	subtitle.text = "(the daemon is gone; the innkeeper waits for it to come back)"


func _on_speech_started(line: String) -> void:
	subtitle.text = _texts.get(line, "")


func _on_speech_finished(line: String, interrupted: bool, _position_s: float) -> void:
	_texts.erase(line)
	if interrupted:
		subtitle.text = "(he falls silent)"
	elif len(_texts) == 0:
		subtitle.text = "(he waits for your answer)"


func _on_replied(_id: int, ok: bool, error: String, _result: Dictionary) -> void:
	if not ok:
		subtitle.text = "(%s)" % error
