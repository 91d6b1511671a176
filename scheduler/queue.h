/* The queue of pods that have no node: active ones by priority, those that wait out a backoff, and
 * those that nothing but an event can help. Pure: the time comes with each call.
 *
 * A failed pod is parked with the events that could help it (enum wake). Such an event moves it to
 * its backoff: 1 s after the first attempt, doubling to 10 s, cut short when there is nothing else to try
 * (but not after a failure of the world's). What was parked for five minutes is tried again whatever
 * happened. Events that come while a pod is being tried are not lost to it.
 */
#pragma once

#include "../lib/base/base.h"

struct sched_queue;

struct sched_queue *sched_queue_new(void);
void sched_queue_free(struct sched_queue *q);
/* New, or changed in a way that may help: active at once unless it waits out a backoff. */
void sched_queue_add(struct sched_queue *q, const char *key, int64_t priority, int64_t now_ns);
void sched_queue_remove(struct sched_queue *q, const char *key);
/* The next to try; NULL: none now. Borrowed until it is removed. It is being tried until parked,
 * retried or removed. */
const char *sched_queue_pop(struct sched_queue *q, int64_t now_ns);
void sched_queue_park(struct sched_queue *q, const char *key, unsigned wake, int64_t now_ns);
/* It was the world's fault, not the pod's (a binding that failed): again after its backoff. */
void sched_queue_retry(struct sched_queue *q, const char *key, int64_t now_ns);
/* Something happened (enum wake bits): who could be helped by it moves. */
void sched_queue_wake(struct sched_queue *q, unsigned wake, int64_t now_ns);
/* When to look again; INT64_MAX: only after a call that changes something. */
int64_t sched_queue_next(const struct sched_queue *q);
size_t sched_queue_len(const struct sched_queue *q);
