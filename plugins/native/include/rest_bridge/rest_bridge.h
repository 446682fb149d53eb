/* rest_bridge: frames, voice, face values and control of a rest_bridge daemon, for C and C++.
 *
 * SPDX-License-Identifier: MIT
 *
 * The wire protocol behind it is plugins/PROTOCOL.md. In short:
 *
 *     rb_options options;
 *     rb_options_init(&options);
 *     rb_client *client;
 *     if (rb_client_open(&options, &client) != RB_OK) { puts(rb_last_error()); return 1; }
 *     rb_frame frame;
 *     while (rb_frame_wait(client, 1000, &frame) == RB_OK) {
 *         show(frame.data, frame.width, frame.height, frame.stride);
 *         rb_frame_release(&frame);
 *     }
 *     rb_client_close(client);
 *
 * One thread of the library's own receives. All functions may be called from any thread, except
 * that rb_client_close must be the last call of all. Nothing blocks longer than the timeout that
 * you give; functions without one return at once. Connections come back by themselves when the
 * daemon does.
 *
 * Units: `_ns` nanoseconds (int64), `_ms` milliseconds, `_px` pixels, `_hz` per second. `pts_ns` is
 * the media clock: 0 at the first voice sample of the stream; frame, rig and voice of one instant
 * have the same. Texts are UTF-8 and end with 0. Rows of pictures run from top to bottom; alpha is
 * straight (not premultiplied), colours are sRGB.
 */
#ifndef REST_BRIDGE_H
#define REST_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(RB_STATIC)
#define RB_API
#elif defined(RB_BUILD)
#define RB_API __declspec(dllexport)
#else
#define RB_API __declspec(dllimport)
#endif
#else
#define RB_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define RB_VERSION_MAJOR 1
#define RB_VERSION_MINOR 0
#define RB_PROTOCOL_MAJOR 1

#define RB_VOICE_RATE_HZ 48000
#define RB_NUM_RIG 58     /* headYaw headPitch headRoll headX headY headZ, then ARKit's 52 */
#define RB_NUM_VISEMES 15 /* sil PP FF TH DD kk CH SS nn RR aa E ih oh ou */
#define RB_NAME_BYTES 132 /* room for a name of the stream, a state, a tier, ... */

typedef enum rb_result {
  RB_OK = 0,
  RB_EMPTY = 1,    /* nothing new; not an error */
  RB_TIMEOUT = 2,  /* not within the time given; is the daemon running? */
  RB_REFUSED = 3,  /* the daemon said no; rb_last_error has its sentence */
  RB_ARGUMENT = 4, /* an argument is wrong; rb_last_error says which */
  RB_PROTOCOL = 5, /* bytes that are no message of this protocol */
  RB_SYSTEM = 6    /* memory, sockets; rb_last_error says what */
} rb_result;

/* The last failure of a call in this thread, one sentence; valid until the next call in it. */
RB_API const char *rb_last_error(void);
/* "1.0.0" */
RB_API const char *rb_version(void);

/* ------------------------------------------------------------------------------- connection */

typedef enum rb_format {
  RB_RGBA = 0, /* 8 bits each, straight alpha */
  RB_BGRA = 1,
  RB_JPEG = 2, /* files, to be decoded by you or by rb_frame_decode; JPEG has no alpha */
  RB_PNG = 3,
  RB_WEBP = 4
} rb_format;

typedef struct rb_options {
  size_t struct_size;      /* set by rb_options_init; lets newer libraries serve older programs */
  const char *frames;      /* default tcp://127.0.0.1:5570; "" for no pictures */
  const char *events;      /* default tcp://127.0.0.1:5571; "" for no rig, voice, events */
  const char *control;     /* default tcp://127.0.0.1:5572; "" for no requests */
  const char *speech;      /* default tcp://127.0.0.1:5573; connected by the first rb_speech_open */
  rb_format format;        /* default RB_RGBA */
  int voice;               /* 1 (default): receive the voice */
  int rig;                 /* 1 (default): receive rig values */
  uint32_t history_frames; /* frames kept for rb_frame_at, 1..64; default 8 (0.3 s) */
  uint32_t voice_buffer_ms; /* voice kept for rb_voice_read, 100..10000; default 2000 */
  const char *server_key;   /* CURVE: the daemon's public key (40 characters), or NULL */
  const char *public_key;   /* and this client's own pair, see `rest-bridge keys` */
  const char *secret_key;
} rb_options;

typedef struct rb_client rb_client;

RB_API void rb_options_init(rb_options *options);
/* Begins to connect; succeeds whether the daemon runs or not. */
RB_API rb_result rb_client_open(const rb_options *options, rb_client **client);
/* Joins the receive thread; frames that are held stay valid until they are released. */
RB_API void rb_client_close(rb_client *client);

typedef struct rb_status {
  int connected;              /* 1: the daemon was heard of within the last three seconds */
  char stream[RB_NAME_BYTES]; /* random name; another one after a restart of the daemon */
  char state[RB_NAME_BYTES];  /* "idle", "speaking", "muted", "paused", or a later word */
  char tier[RB_NAME_BYTES];
  char server[RB_NAME_BYTES];
  int64_t epoch;                /* grows when the stream is flushed */
  uint32_t width_px, height_px; /* of the stream; 0 before anything was heard */
  double fps;
  uint64_t frames;             /* received */
  uint64_t frames_lost;        /* made by the daemon and never seen here */
  uint64_t voice_lost_samples; /* dropped here because nobody read them in time */
  uint64_t events_lost;        /* dropped here because nobody fetched them */
  uint64_t refused;            /* messages that were not of this protocol */
  uint64_t streams;            /* how often a new stream began */
} rb_status;

RB_API void rb_client_status(rb_client *client, rb_status *status);
/* Requests that wait, and all later ones, return RB_TIMEOUT within 50 ms: to be called before the
 * threads that make them are joined and the client is closed. */
RB_API void rb_client_cancel(rb_client *client);
/* Why the newest of the `refused` messages was refused, one sentence ("" if none was): another
 * version of the protocol, say. Writes at most `size` bytes with the closing 0; returns its length
 * without it. */
RB_API size_t rb_client_refusal(rb_client *client, char *text, size_t size);

/* ------------------------------------------------------------------------------------ frames */

typedef struct rb_frame {
  int64_t sequence; /* frame number; a gap means lost frames */
  int64_t epoch;
  int64_t pts_ns, duration_ns;
  int64_t captured_ns;  /* daemon's monotonic clock at the newest sample that it was made from */
  int64_t published_ns; /* and when it was published */
  int64_t sample_index; /* pts in samples at RB_VOICE_RATE_HZ */
  double level;         /* root mean square of its voice, 0..1 */
  rb_format format;
  uint32_t width, height; /* pixels */
  uint32_t stride;        /* bytes from row to row; 0 for picture files */
  const uint8_t *data;    /* `size` bytes; stride * height for RGBA and BGRA */
  size_t size;
  int repeated;  /* the picture is the one before, because no new one was in time */
  int synthetic; /* generated; keep this with the picture */
  void *owner;   /* for rb_frame_release */
} rb_frame;

/* The newest frame if it was not fetched yet, else RB_EMPTY. Release every frame that you get. */
RB_API rb_result rb_frame_latest(rb_client *client, rb_frame *frame);
/* Waits for a frame that was not fetched yet. */
RB_API rb_result rb_frame_wait(rb_client *client, uint32_t timeout_ms, rb_frame *frame);
/* The frame on show at a media time: the newest one with pts_ns <= media_ns among those kept; the
 * oldest kept one if all are later. RB_EMPTY if there is none. May return the same frame again
 * (compare `sequence`). Give it the time of the voice sample that is being heard. */
RB_API rb_result rb_frame_at(rb_client *client, int64_t media_ns, rb_frame *frame);
/* Frees the pixels; sets the frame to zero. Harmless on a zeroed frame. */
RB_API void rb_frame_release(rb_frame *frame);
/* Decodes a JPEG frame into RGBA rows of `stride` bytes (needs a library built with libjpeg; others
 * and other formats: RB_ARGUMENT). RGBA and BGRA frames are copied or swapped. */
RB_API rb_result rb_frame_decode(const rb_frame *frame, uint8_t *rgba, size_t stride);

/* ------------------------------------------------------------------------------- face values */

typedef struct rb_rig {
  int64_t sequence, epoch, pts_ns;
  float values[RB_NUM_RIG];      /* pose in degrees and eye distances, then ARKit weights 0..1 */
  float visemes[RB_NUM_VISEMES]; /* 0..1 */
  double level;
} rb_rig;

RB_API rb_result rb_rig_latest(rb_client *client, rb_rig *rig);
RB_API rb_result rb_rig_at(rb_client *client, int64_t media_ns, rb_rig *rig);
/* "headYaw", ..., "tongueOut"; NULL beyond the end. */
RB_API const char *rb_rig_name(uint32_t index);
RB_API const char *rb_viseme_name(uint32_t index);

/* ------------------------------------------------------------------------------------- voice */

/* Copies the next samples of the voice, mono float32 at RB_VOICE_RATE_HZ, silence where there are
 * none, and returns how many of them are voice. `pts_ns` (may be NULL) is set to the media time of
 * the first sample, or -1 if all is silence. For an audio callback: never waits for the network;
 * holds a lock for the time of a copy. */
RB_API size_t rb_voice_read(rb_client *client, float *samples, size_t count, int64_t *pts_ns);
/* Samples that wait. Begin to play when some 60 ms are there. */
RB_API size_t rb_voice_available(rb_client *client);
/* Forgets all but the newest `keep` samples: to catch up after a pause. */
RB_API void rb_voice_skip(rb_client *client, size_t keep);

/* ------------------------------------------------------------------- maps, events and requests */

/* A map of texts to values, as events and replies carry it. Freed with what it came from. */
typedef struct rb_map rb_map;

RB_API rb_map *rb_map_new(void);
RB_API void rb_map_free(rb_map *map);
RB_API void rb_map_set_text(rb_map *map, const char *key, const char *value);
RB_API void rb_map_set_texts(rb_map *map, const char *key, const char *const *values, size_t count);
RB_API void rb_map_set_int(rb_map *map, const char *key, int64_t value);
RB_API void rb_map_set_number(rb_map *map, const char *key, double value);
RB_API void rb_map_set_bool(rb_map *map, const char *key, int value);
/* A value of a key, or the given default if there is none of that kind. */
RB_API const char *rb_map_text(const rb_map *map, const char *key, const char *otherwise);
RB_API int64_t rb_map_int(const rb_map *map, const char *key, int64_t otherwise);
RB_API double rb_map_number(const rb_map *map, const char *key, double otherwise);
RB_API int rb_map_bool(const rb_map *map, const char *key, int otherwise);
/* The whole map as JSON, for nested values and logs; valid as long as the map. */
RB_API const char *rb_map_json(const rb_map *map);

typedef struct rb_event {
  char
      kind[RB_NAME_BYTES]; /* "hello", "state", "stats", "speech", ... ignore what you don't know */
  int64_t sequence, epoch, published_ns;
  const rb_map *body;
  void *owner;
} rb_event;

/* The next event in order. Kind "speech" has `event` ("started", "mark", "underrun", "resumed",
 * "finished", "refused"), `utt`, `pts` (media ns), `position` (ns spoken), and `mark`,
 * `interrupted`, `reason` where they apply. */
RB_API rb_result rb_event_next(rb_client *client, uint32_t timeout_ms, rb_event *event);
RB_API void rb_event_release(rb_event *event);

/* Sends a request and waits for its reply. `arguments` may be NULL. On RB_OK `reply` (may be NULL)
 * is a map to be freed by you. The operations are listed in PROTOCOL.md. */
RB_API rb_result rb_request(rb_client *client, const char *operation, const rb_map *arguments,
                            uint32_t timeout_ms, rb_map **reply);
/* What to add to this computer's monotonic clock to get the daemon's, in ns; from the quickest of
 * several exchanges. Near 0 on the same computer. */
RB_API rb_result rb_clock_offset(rb_client *client, uint32_t exchanges, int64_t *offset_ns);
/* This computer's monotonic clock, as used above. */
RB_API int64_t rb_now_ns(void);

/* ------------------------------------------------------------------------------------ speech */

/* One line of speech on its way to the daemon (which runs with --audio push). Lines are spoken in
 * the order in which they were opened. */
typedef struct rb_speech rb_speech;

/* `name` is what events call it; NULL for a new one (see rb_speech_name). rate_hz 8000..192000,
 * channels 1 or 2. */
RB_API rb_result rb_speech_open(rb_client *client, const char *name, uint32_t rate_hz,
                                uint32_t channels, rb_speech **speech);
RB_API const char *rb_speech_name(const rb_speech *speech);
/* Sends `count` samples per channel, interleaved; as fast as you have them. Waits for room for at
 * most timeout_ms: a minute of speech may wait in the daemon. After RB_TIMEOUT nothing of the piece
 * at hand was sent; `sent` (may be NULL) says how many samples of this call were. */
RB_API rb_result rb_speech_push_s16(rb_speech *speech, const int16_t *samples, size_t count,
                                    uint32_t timeout_ms, size_t *sent);
RB_API rb_result rb_speech_push_f32(rb_speech *speech, const float *samples, size_t count,
                                    uint32_t timeout_ms, size_t *sent);
/* Asks for a "mark" event when the speech has come to here. */
RB_API rb_result rb_speech_mark(rb_speech *speech, const char *name);
/* Says that nothing more comes, and frees the line. RB_TIMEOUT if that could not be sent; the line
 * is freed all the same, and the daemon ends it after five seconds. */
RB_API rb_result rb_speech_end(rb_speech *speech, uint32_t timeout_ms);
/* Barge-in: forgets the named lines, or all of them with names NULL. When it returns RB_OK the
 * daemon has stopped; the face shows it within two frames, and the epoch grows. */
RB_API rb_result rb_flush(rb_client *client, const char *const *names, size_t count,
                          uint32_t timeout_ms);

/* -------------------------------------------------------------------------- single messages */

/* A message of the protocol, decoded from bytes that you have from elsewhere: a WebSocket, a
 * recording, tests on golden bytes. */
typedef struct rb_message {
  char topic[8];        /* "RGBA", "EVNT", ..., also "PCM_" (pushed speech) */
  const rb_map *header; /* all of its keys */
  const rb_map *body;   /* of events, requests and replies; else NULL */
  const uint8_t *payload;
  size_t size;
  void *owner;
} rb_message;

/* Checks and copies the bytes. RB_PROTOCOL where they are no message of this version, and
 * rb_last_error says why; nothing is to be released then. */
RB_API rb_result rb_message_decode(const void *data, size_t size, rb_message *message);
RB_API void rb_message_release(rb_message *message);

#ifdef __cplusplus
}
#endif

#endif
