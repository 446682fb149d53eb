# SPDX-License-Identifier: MIT
# Receives from a daemon and sends to it, in a thread of its own. The game thread takes what has
# come with take(), and leaves requests and speech. Bounded everywhere: the oldest goes first.
extends Reference

const Wire := preload("wire.gd")
const Msgpack := preload("msgpack.gd")
const Zmtp := preload("zmtp.gd")

const SILENCE_MS := 3000  # without any message the stream is gone
const PIECE_S := 0.5  # of speech in one message: a flush finds little on its way
const MAX_BACKLOG := 1 << 20  # bytes of speech that wait here for the daemon
const MAX_VOICE := 100  # messages: four seconds
const MAX_EVENTS := 512
const IDLE_MS := 2

const MAX_PICTURES := 12  # kept to choose from: half a second, 12 MiB at 512 x 512
const MAX_RIGS := 50

var _frames_socket
var _events_socket
var _control_socket
var _speech_socket
var _thread := Thread.new()
var _mutex := Mutex.new()
# guarded by _mutex from here on
var _closing := false
var _pictures := []  # [{header, rgba}], oldest first
var _fresh := false
var _voice := []  # [{index, epoch, stream, samples}]
var _rigs := []  # [{pts, epoch, values, visemes}]
var _events := []  # [{kind, body}]
var _requests := []  # packed, for the control socket
var _speech := []  # packed
var _heard_ms := -SILENCE_MS
var _refused := 0
var _last_error := ""
var _stream := ""
var _epoch := -1
var _next_id := 1


func open(frames: String, events: String, control: String, speech: String, voice: bool) -> void:
	_frames_socket = Zmtp.new(frames, "SUB", ["RGBA"])
	_events_socket = Zmtp.new(events, "SUB", ["EVNT", "RIG_"] + (["VOIC"] if voice else []))
	_control_socket = Zmtp.new(control, "DEALER")
	_speech_socket = Zmtp.new(speech, "PUSH")
	_thread.start(self, "_run")


# Ends the thread; nothing may be called afterwards.
func close() -> void:
	_mutex.lock()
	_closing = true
	_mutex.unlock()
	if _thread.is_active():
		_thread.wait_to_finish()


# What has come since the last call: {connected, stream, epoch, pictures, voice, rigs, events,
# refused, error}. Pictures and rigs stay here, so that they can be chosen by time.
func take() -> Dictionary:
	_mutex.lock()
	var out := {
		"connected": OS.get_ticks_msec() - _heard_ms < SILENCE_MS,
		"stream": _stream, "epoch": _epoch, "pictures": _pictures.duplicate(), "voice": _voice,
		"rigs": _rigs.duplicate(), "events": _events, "refused": _refused, "error": _last_error,
	}
	_voice = []
	_events = []
	_mutex.unlock()
	return out


# Sends a request (when there is a connection); its reply comes as an event of kind "reply". Returns its id.
func request(operation: String, arguments := {}) -> int:
	_mutex.lock()
	var id := _next_id
	_next_id += 1
	_requests.append(Wire.encode("RQST", {"id": id, "op": operation}, Msgpack.pack(arguments)))
	_mutex.unlock()
	return id


# Sends 16-bit little-endian PCM of a line in pieces. `marks` are [sample, name].
func push_speech(
		line: String, pcm: PoolByteArray, rate_hz: int, channels: int,
		begin: bool, last: bool, marks := []
) -> void:
	var width := 2 * channels
	var count := len(pcm) / width
	var piece := int(rate_hz * PIECE_S)
	var done := 0
	var packed := []
	while done < count or len(packed) == 0:
		var size := int(min(piece, count - done))
		var is_end := done + size >= count
		var header := {
			"fmt": "s16le", "rate": rate_hz, "ch": channels, "n": size, "utt": line,
			"begin": begin and done == 0, "last": last and is_end, "marks": [],
		}
		for mark in marks:
			var here: bool = mark[0] >= done and (mark[0] < done + size or is_end)
			if here and len(header["marks"]) < 32:
				header["marks"].append([int(min(mark[0] - done, size)), mark[1]])
		var bytes := PoolByteArray()
		if size > 0:
			bytes = pcm.subarray(done * width, (done + size) * width - 1)
		packed.append(Wire.encode("PCM_", header, bytes))
		done += size
	_mutex.lock()
	_speech += packed
	_mutex.unlock()


func is_speech_ready() -> bool:
	return _speech_socket.ready


func _run(_unused) -> void:
	while true:
		_mutex.lock()
		var closing := _closing
		_mutex.unlock()
		if closing:
			break
		var busy := false
		for socket in [_frames_socket, _events_socket, _control_socket]:
			for data in socket.poll():
				busy = true
				_sort(Wire.decode(data))
		_speech_socket.poll()
		_send()
		if not busy:
			OS.delay_msec(IDLE_MS)
	for socket in [_frames_socket, _events_socket, _control_socket, _speech_socket]:
		socket.close()


func _send() -> void:
	_mutex.lock()
	var requests := _requests if _control_socket.ready else []
	var speech := []
	if _speech_socket.ready:
		while len(_speech) > 0 and _speech_socket.backlog() + len(speech) * 65536 < MAX_BACKLOG:
			speech.append(_speech.pop_front())
	if _control_socket.ready:
		_requests = []
	_mutex.unlock()
	for data in requests:
		_control_socket.send(data)
	for data in speech:
		_speech_socket.send(data)


func _sort(message: Dictionary) -> void:
	if message["error"] != "":
		_mutex.lock()
		_refused += 1
		_last_error = message["error"]
		_mutex.unlock()
		return
	var header: Dictionary = message["header"]
	match message["topic"]:
		"RGBA":
			var rgba := Wire.tight_rows(header, message["payload"])
			_put(header, "_pictures", {"header": header, "rgba": rgba}, MAX_PICTURES)
		"RIG_":
			_put(header, "_rigs", {
				"pts": header["pts"], "seq": header["seq"],
				"values": Wire.floats(message["payload"], 0, Wire.NUM_RIG),
				"visemes": Wire.floats(message["payload"], Wire.NUM_RIG, Wire.NUM_VISEMES),
			}, MAX_RIGS)
		"VOIC":
			var samples := Wire.floats(message["payload"], 0, header["n"])
			_put(header, "_voice", {"index": header["index"], "samples": samples}, MAX_VOICE)
		"EVNT":
			var body = Wire.unpack(message["payload"])
			if body != null:
				_put(header, "_events", {"kind": header["kind"], "body": body}, MAX_EVENTS)
		"RPLY":
			var result = Wire.unpack(message["payload"])
			_put({}, "_events", {"kind": "reply", "body": {
				"id": header["id"], "op": header.get("op", ""), "ok": header["ok"],
				"error": header.get("error", ""), "result": result if result != null else {},
			}}, MAX_EVENTS)


# Leaves an item in a list, which is named: take() puts another list in its place, so that it may
# only be looked up under the lock. What is of an older stream or epoch is void from then on.
func _put(header: Dictionary, list: String, item: Dictionary, capacity: int) -> void:
	_mutex.lock()
	if header.has("stream"):
		_heard_ms = OS.get_ticks_msec()
		if header["stream"] != _stream or header["epoch"] > _epoch:
			_stream = header["stream"]
			_epoch = header["epoch"]
			_voice.clear()
			_rigs.clear()
			while len(_pictures) > 1:
				_pictures.pop_front()
		item["stream"] = header["stream"]
		item["epoch"] = header["epoch"]
	var items: Array = get(list)
	items.append(item)
	if len(items) > capacity:
		items.pop_front()
	_mutex.unlock()
