/* The bytes of an upgraded connection: a nonblocking descriptor with a queue for what goes out. */
#pragma once

#include "../loop/loop.h"

struct wire;

struct wire_ops {
        void (*data)(struct wire *w, const uint8_t *data, size_t len, void *userdata);
        /* The other side closed (0) or failed (negative errno). Called once, never after wire_free(). */
        void (*closed)(struct wire *w, int code, void *userdata);
        /* What was queued has been written. May be NULL. */
        void (*drained)(struct wire *w, void *userdata);
};
/* Takes FD over. Nothing is called before the next turn of the loop. */
struct wire *wire_new(struct loop *loop, int fd, const struct wire_ops *ops, void *userdata);
void wire_write(struct wire *w, const void *data, size_t len); /* copies */
size_t wire_queued(const struct wire *w);                      /* bytes that wait */
void wire_pause(struct wire *w, bool paused);                  /* reading */
/* Writes what is queued, then shuts the writing side; `closed` comes when the other side has, too. */
void wire_finish(struct wire *w);
void wire_free(struct wire *w); /* closes; from any callback; NULL allowed */
