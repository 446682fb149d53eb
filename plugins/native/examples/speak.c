/* SPDX-License-Identifier: MIT
 *
 * A character speaks: 16-bit mono PCM from standard input, as text-to-speech programs write it.
 *
 *     espeak-ng --stdout "Well met, traveller." | tail -c +45 | rb-speak 22050
 *     rb-speak RATE [--speech tcp://...] [--events tcp://...] [--control tcp://...]
 *              [--interrupt-after MS]
 *
 * Prints what becomes of the line, and ends with it. The daemon runs with --audio push.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rest_bridge/rest_bridge.h"

static int fail(void) {
  fprintf(stderr, "%s\n", rb_last_error());
  return 1;
}

/* Prints events until the line has finished; interrupts it when its time has come. */
static int follow(rb_client *client, const char *name, long interrupt_after_ms) {
  int64_t started_ns = 0;
  const int64_t end_ns = rb_now_ns() + 60000000000;
  while (rb_now_ns() < end_ns) {
    rb_event event = {0};
    if (interrupt_after_ms >= 0 && started_ns != 0 &&
        rb_now_ns() - started_ns > interrupt_after_ms * 1000000) {
      interrupt_after_ms = -1;
      if (rb_flush(client, &name, 1, 2000) != RB_OK) return fail();
    }
    if (rb_event_next(client, 20, &event) != RB_OK) continue;
    if (strcmp(event.kind, "speech") == 0 &&
        strcmp(rb_map_text(event.body, "utt", ""), name) == 0) {
      const char *what = rb_map_text(event.body, "event", "");
      printf("%s %s after %.2f s%s\n", what, rb_map_text(event.body, "mark", ""),
             (double)rb_map_int(event.body, "position", 0) / 1e9,
             rb_map_bool(event.body, "interrupted", 0) ? ", interrupted" : "");
      if (strcmp(what, "started") == 0) started_ns = rb_now_ns();
      if (strcmp(what, "finished") == 0) {
        rb_event_release(&event);
        return 0;
      }
    }
    rb_event_release(&event);
  }
  fprintf(stderr, "No end of the line was heard of.\n");
  return 1;
}

int main(int argc, char **argv) {
  rb_options options;
  rb_client *client = NULL;
  rb_speech *line = NULL;
  static int16_t pcm[4096];
  const uint32_t rate_hz = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
  const char *name = "npc-line";
  long interrupt_after_ms = -1;
  size_t count = 0;
  int failed = 0;
  rb_options_init(&options);
  options.frames = "";
  options.rig = options.voice = 0;
  for (int index = 2; index + 1 < argc; index += 2) {
    if (strcmp(argv[index], "--speech") == 0) options.speech = argv[index + 1];
    if (strcmp(argv[index], "--events") == 0) options.events = argv[index + 1];
    if (strcmp(argv[index], "--control") == 0) options.control = argv[index + 1];
    if (strcmp(argv[index], "--interrupt-after") == 0) {
      interrupt_after_ms = strtol(argv[index + 1], NULL, 10);
    }
  }
  if (rb_client_open(&options, &client) != RB_OK) return fail();
  /* Asks first, so that the events are connected and a daemon without --audio push says so. */
  if (rb_request(client, "speech", NULL, 5000, NULL) != RB_OK ||
      rb_speech_open(client, name, rate_hz, 1, &line) != RB_OK) {
    fail();
    rb_client_close(client);
    return 1;
  }
  rb_speech_mark(line, "begin");
  while ((count = fread(pcm, sizeof pcm[0], sizeof pcm / sizeof pcm[0], stdin)) > 0) {
    if (rb_speech_push_s16(line, pcm, count, 5000, NULL) != RB_OK) {
      failed = fail();
      break;
    }
  }
  rb_speech_mark(line, "end");
  if (rb_speech_end(line, 5000) != RB_OK) failed = fail();
  if (!failed) failed = follow(client, name, interrupt_after_ms);
  rb_client_close(client);
  return failed;
}
