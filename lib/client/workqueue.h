/* A rate-limited queue of keys (client-go's workqueue): a key is in it once; a key being worked on
 * is not handed out again until it is done; failures come back after a backoff.
 */
#pragma once

#include "../loop/loop.h"

struct workqueue;

struct workqueue_options {
        int64_t base_delay_ns; /* the first retry; 0: 5 ms */
        int64_t max_delay_ns;  /* 0: 1000 s */
        /* Called, at the end of a turn, when a key can be taken. */
        void (*ready)(struct workqueue *q, void *userdata);
        void *userdata;
};
struct workqueue *workqueue_new(struct loop *loop, const struct workqueue_options *o);
void workqueue_free(struct workqueue *q);
void workqueue_add(struct workqueue *q, const char *key);
void workqueue_add_after(struct workqueue *q, const char *key, int64_t in_ns);
void workqueue_add_rate_limited(struct workqueue *q, const char *key); /* backoff by its failures */
void workqueue_forget(struct workqueue *q, const char *key);           /* it went well */
char *workqueue_take(struct workqueue *q);                  /* the caller frees; NULL: empty */
void workqueue_done(struct workqueue *q, const char *key);  /* once for each take */
unsigned workqueue_failures(const struct workqueue *q, const char *key);
size_t workqueue_len(const struct workqueue *q);
