# SPDX-License-Identifier: MIT
# One ZeroMQ connection (ZMTP 3.0, mechanism NULL) over plain TCP, without a native library:
# SUB, DEALER or PUSH, single-part messages, heartbeats answered, reconnecting by itself.
# Used by one thread; nothing here waits. https://rfc.zeromq.org/spec/23/
extends Reference

const GREETING_BYTES := 64
const MAX_MESSAGE_BYTES := 67113000  # 64 MiB of picture and its header
const FIRST_RETRY_MS := 100
const LONGEST_RETRY_MS := 2000
const PATIENCE_MS := 3000  # for a connection and its handshake

const MORE := 1
const LONG := 2
const COMMAND := 4

enum { WAITING, CONNECTING, GREETING, SIZE, LONG_SIZE, BODY }

var ready := false  # the handshake is done
var _kind: String
var _topics: Array
var _host := ""
var _port := 0
var _tcp := StreamPeerTCP.new()
var _phase := WAITING
var _have := PoolByteArray()
var _need := 0
var _flags := 0
var _multipart := false
var _out := PoolByteArray()
var _next_try_ms := 0
var _retry_ms := FIRST_RETRY_MS
var _began_ms := 0


# `endpoint` like tcp://127.0.0.1:5570; `kind` SUB, DEALER or PUSH.
func _init(endpoint: String, kind: String, topics := []) -> void:
	var parts := endpoint.trim_prefix("tcp://").rsplit(":", true, 1)
	_host = parts[0]
	_port = int(parts[1]) if len(parts) == 2 else 0
	_kind = kind
	_topics = topics


# Bytes that could not be sent yet.
func backlog() -> int:
	return len(_out)


# Puts a message on its way; false if there is no connection.
func send(message: PoolByteArray) -> bool:
	if not ready:
		return false
	_append_frame(0, message)
	return true


func close() -> void:
	_tcp.disconnect_from_host()
	_phase = WAITING
	ready = false


# Does what can be done now; returns the messages that came.
func poll() -> Array:
	var messages := []
	match _phase:
		WAITING:
			_try_to_connect()
			return messages
		CONNECTING:
			_await_connection()
			return messages
	if _tcp.get_status() != StreamPeerTCP.STATUS_CONNECTED:
		_lose()
		return messages
	if not ready and OS.get_ticks_msec() - _began_ms > PATIENCE_MS:
		_lose()
		return messages
	_flush()
	if not _tcp.is_connected_to_host():
		_lose()
		return messages
	while _read():
		if not _step(messages):
			_lose()
			break
	return messages


func _try_to_connect() -> void:
	if OS.get_ticks_msec() < _next_try_ms:
		return
	_tcp = StreamPeerTCP.new()
	_tcp.big_endian = true
	_began_ms = OS.get_ticks_msec()
	_phase = CONNECTING
	if _port == 0 or _tcp.connect_to_host(_host, _port) != OK:
		_lose()


func _await_connection() -> void:
	match _tcp.get_status():
		StreamPeerTCP.STATUS_CONNECTED:
			_tcp.set_no_delay(true)
			_out = _greeting()
			_phase = GREETING
			_expect(GREETING_BYTES)
		StreamPeerTCP.STATUS_CONNECTING:
			if OS.get_ticks_msec() - _began_ms > PATIENCE_MS:
				_lose()
		_:
			_lose()


func _lose() -> void:
	_tcp.disconnect_from_host()
	ready = false
	_phase = WAITING
	_out = PoolByteArray()
	_multipart = false
	_next_try_ms = OS.get_ticks_msec() + _retry_ms
	_retry_ms = int(min(_retry_ms * 2, LONGEST_RETRY_MS))


func _expect(count: int) -> void:
	_have = PoolByteArray()
	_need = count


# Reads towards what is expected; true when it is complete.
func _read() -> bool:
	while len(_have) < _need:
		var available := _tcp.get_available_bytes()
		if available <= 0:
			return false
		var got := _tcp.get_partial_data(int(min(available, _need - len(_have))))
		if got[0] != OK or len(got[1]) == 0:
			return false
		_have.append_array(got[1])
	return true


# One complete piece; false if it is not ZeroMQ that speaks there.
func _step(messages: Array) -> bool:
	match _phase:
		GREETING:
			if _have[0] != 0xff or _have[9] != 0x7f or _have[10] < 3:
				return false
			if _have.subarray(12, 15).get_string_from_ascii() != "NULL":
				return false  # the daemon wants keys (CURVE), which this addon does not speak
			_append_frame(COMMAND, _ready_command())
			_phase = SIZE
			_expect(2)
		SIZE:
			_flags = _have[0]
			if _flags & LONG:
				var first := _have
				_expect(9)
				_have = first
				_phase = LONG_SIZE
				return true
			return _begin_body(_have[1], messages)
		LONG_SIZE:
			var size := 0
			for index in range(1, 9):
				size = (size << 8) | _have[index]
			return _begin_body(size, messages)
		BODY:
			return _end_body(messages)
	return true


func _begin_body(size: int, messages: Array) -> bool:
	if size < 0 or size > MAX_MESSAGE_BYTES:
		return false
	_expect(size)
	_phase = BODY
	return true if size > 0 else _end_body(messages)


func _end_body(messages: Array) -> bool:
	var body := _have
	_phase = SIZE
	_expect(2)
	if _flags & COMMAND:
		return _take_command(body)
	# Every message of the protocol has one part; others are left out.
	if not (_flags & MORE) and not _multipart:
		messages.append(body)
	_multipart = bool(_flags & MORE)
	return true


func _take_command(body: PoolByteArray) -> bool:
	if len(body) < 1 or len(body) < 1 + body[0]:
		return false
	var name := body.subarray(1, body[0]).get_string_from_ascii() if body[0] > 0 else ""
	if name == "READY":
		ready = true
		_retry_ms = FIRST_RETRY_MS
		for topic in _topics:
			var subscription := PoolByteArray([1])
			subscription.append_array(topic.to_ascii())
			_append_frame(0, subscription)
	elif name == "PING" and len(body) >= 7:
		var pong := _name("PONG")
		if len(body) > 7:
			pong.append_array(body.subarray(7, -1))
		_append_frame(COMMAND, pong)
	elif name == "ERROR":
		return false
	return true


func _greeting() -> PoolByteArray:
	var out := PoolByteArray([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0])
	out.append_array("NULL".to_ascii())
	while len(out) < GREETING_BYTES:
		out.append(0)
	return out


func _ready_command() -> PoolByteArray:
	var out := _name("READY")
	for pair in [["Socket-Type", _kind], ["Identity", ""]]:
		out.append_array(_name(pair[0]))
		out.append_array(PoolByteArray([0, 0, 0, len(pair[1])]))
		out.append_array(pair[1].to_ascii())
	return out


static func _name(text: String) -> PoolByteArray:
	var out := PoolByteArray([len(text)])
	out.append_array(text.to_ascii())
	return out


func _append_frame(flags: int, body: PoolByteArray) -> void:
	if len(body) < 256:
		_out.append_array(PoolByteArray([flags, len(body)]))
	else:
		_out.append(flags | LONG)
		for shift in [56, 48, 40, 32, 24, 16, 8, 0]:
			_out.append((len(body) >> shift) & 255)
	_out.append_array(body)
	_flush()


func _flush() -> void:
	if len(_out) == 0:
		return
	var done := _tcp.put_partial_data(_out)
	if done[0] == OK and done[1] > 0:
		_out = _out.subarray(done[1], -1) if done[1] < len(_out) else PoolByteArray()
