# SPDX-License-Identifier: MIT
# Plays the voice through an AudioStreamGenerator and knows which sample is being heard, so that
# the picture of that very sample can be shown.
extends Reference

const RATE_HZ := 48000
const CUSHION := 3840  # samples that wait before playing begins: 80 ms
const AHEAD := 9600  # that the engine holds at most: a slow game frame may take 200 ms
const LONGEST := 24000  # beyond half a second something was late: the surplus is left out
const BUFFER_S := 0.5

var underruns := 0
var skipped := 0  # samples
var _player  # AudioStreamPlayer, -2D or -3D
var _playback: AudioStreamGeneratorPlayback
var _capacity := 0
var _pieces := []  # PoolVector2Array, in order
var _num_waiting := 0
var _next_index := -1  # media index of the sample that is taken next from outside
var _playing := false


# Begins to play on the player, whose stream is replaced.
func start(player) -> void:
	_player = player
	var stream := AudioStreamGenerator.new()
	stream.mix_rate = RATE_HZ
	stream.buffer_length = BUFFER_S
	player.stream = stream
	player.play()
	_playback = player.get_stream_playback()
	_capacity = _playback.get_frames_available()


# Forgets what was not heard yet: another epoch or stream began.
func clear() -> void:
	_pieces = []
	_num_waiting = 0
	_next_index = -1
	_playing = false
	if _player != null:
		start(_player)


# Takes samples as they come; gaps become silence.
func put(index: int, samples: PoolRealArray) -> void:
	var gap := index - _next_index
	if _next_index >= 0 and gap > 0 and gap <= RATE_HZ:
		var silence := PoolRealArray()
		silence.resize(gap)
		for place in range(gap):
			silence[place] = 0.0
		_append(silence)
	elif _next_index >= 0 and gap != 0:
		_pieces = []
		_num_waiting = 0
	_append(samples)
	_next_index = index + len(samples)


# Hands on what the engine has room for. Call once a frame.
func feed() -> void:
	if _playback == null:
		return
	if _playing and _buffered() == 0 and _num_waiting == 0:
		_playing = false
		underruns += 1
	if not _playing and _num_waiting < CUSHION:
		return
	_playing = true
	while _num_waiting + _buffered() > LONGEST and len(_pieces) > 1:
		skipped += len(_pieces[0])
		_num_waiting -= len(_pieces.pop_front())
	while len(_pieces) > 0 and _buffered() < AHEAD \
			and _playback.can_push_buffer(len(_pieces[0])):
		_num_waiting -= len(_pieces[0])
		_playback.push_buffer(_pieces.pop_front())


# Media index of the sample that leaves the loudspeaker now; -1 if the voice is silent.
func heard_index() -> int:
	if not _playing or _next_index < 0:
		return -1
	var latency_s := AudioServer.get_output_latency() - AudioServer.get_time_since_last_mix()
	return int(_next_index - _num_waiting - _buffered() - latency_s * RATE_HZ)


func _append(samples: PoolRealArray) -> void:
	var piece := PoolVector2Array()
	piece.resize(len(samples))
	for place in range(len(samples)):
		piece[place] = Vector2(samples[place], samples[place])
	_pieces.append(piece)
	_num_waiting += len(piece)


func _buffered() -> int:
	return _capacity - _playback.get_frames_available()
