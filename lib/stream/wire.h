/* The bytes of an upgraded connection: a nonblocking descriptor with a queue for what goes out. */
#pragma once

#include <sys/types.h>

#include "../loop/loop.h"

struct wire;

/* How bytes get on and off the descriptor, where not plainly: TLS (dial.h). As recv() and send(), but
 * with a negative errno; what `send` took is sent even if the socket is full, by the `flush` before the next. */
struct wire_transport {
        ssize_t (*recv)(void *t, void *buf, size_t len);
        ssize_t (*send)(void *t, const void *data, size_t len);
        int (*flush)(void *t);    /* 0; -EAGAIN: more waits for the socket */
        bool (*pending)(void *t); /* bytes wait in memory, of which the descriptor will not tell */
        void (*finish)(void *t);  /* nothing more will be sent */
        void (*free)(void *t);
};

struct wire_ops {
        void (*data)(struct wire *w, const uint8_t *data, size_t len, void *userdata);
        /* The other side closed (0) or failed (negative errno). Called once, never after wire_free(). */
        void (*closed)(struct wire *w, int code, void *userdata);
        /* What was queued has been written. May be NULL. */
        void (*drained)(struct wire *w, void *userdata);
};
/* Takes FD over. Nothing is called before the next turn of the loop. */
struct wire *wire_new(struct loop *loop, int fd, const struct wire_ops *ops, void *userdata);
/* The same over a transport, which is taken over, too. */
struct wire *wire_new_over(struct loop *loop, int fd, const struct wire_transport *transport, void *t,
                           const struct wire_ops *ops, void *userdata);
void wire_write(struct wire *w, const void *data, size_t len); /* copies */
size_t wire_queued(const struct wire *w);                      /* bytes that wait */
void wire_pause(struct wire *w, bool paused);                  /* reading */
/* Writes what is queued, then shuts the writing side; `closed` comes when the other side has, too. */
void wire_finish(struct wire *w);
/* From now on it is OPS that are called; reading goes on if it was paused. From any callback. */
void wire_hand_over(struct wire *w, const struct wire_ops *ops, void *userdata);
void wire_free(struct wire *w); /* closes; from any callback; NULL allowed */
/* The same, and what has not been sent yet is dropped: the other side learns at once that we are gone, even if it reads
 * nothing. A plain close would wait behind those bytes for minutes. */
void wire_abort(struct wire *w);
