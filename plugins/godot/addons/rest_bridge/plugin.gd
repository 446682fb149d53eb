# SPDX-License-Identifier: MIT
# Makes RestBridgeFace a node that can be added like any other.
tool
extends EditorPlugin


func _enter_tree() -> void:
	add_custom_type(
		"RestBridgeFace", "Node",
		preload("rest_bridge_face.gd"), preload("icon.png")
	)


func _exit_tree() -> void:
	remove_custom_type("RestBridgeFace")
