/* The event loop: one thread, one epoll descriptor a daemon.
 *
 * Everything that waits, waits here: descriptors, timers, signals, child processes, work done in
 * threads. Callbacks run on the loop's thread, one after the other, and never inside the call that
 * registered them. A source may be freed in any callback, its own included.
 */
#pragma once

#include <sys/epoll.h>

#include "../base/error.h"

struct loop;
struct loop_fd;
struct loop_timer;

struct loop *loop_new(void);
void loop_free(struct loop *loop);
int loop_run(struct loop *loop); /* until loop_stop(); returns its code */
void loop_stop(struct loop *loop, int code);
/* One turn: waits at most timeout_ns (-1: for ever). For tests and for waiting in tools. */
void loop_turn(struct loop *loop, int64_t timeout_ns);
int64_t loop_now(const struct loop *loop); /* monotonic, read once a turn */

/* --- descriptors; EVENTS are EPOLLIN and friends; the descriptor stays the caller's --- */
typedef void loop_fd_fn(struct loop_fd *source, uint32_t events, void *userdata);
struct loop_fd *loop_fd_new(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *userdata);
void loop_fd_set(struct loop_fd *source, uint32_t events);
int loop_fd_get(const struct loop_fd *source);
void loop_fd_free(struct loop_fd *source); /* NULL allowed; does not close */

/* --- timers: one shot; arm again for more --- */
typedef void loop_timer_fn(struct loop_timer *timer, void *userdata);
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata);
void loop_timer_arm(struct loop_timer *timer, int64_t in_ns);       /* from now; replaces */
/* As arm, but may fire up to slack_ns late, together with others: an idle daemon wakes less. */
void loop_timer_arm_slack(struct loop_timer *timer, int64_t in_ns, int64_t slack_ns);
void loop_timer_disarm(struct loop_timer *timer);
bool loop_timer_armed(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL allowed */

/* --- once, at the end of this turn (or of the next, when called from such a callback) --- */
typedef void loop_defer_fn(void *userdata);
void loop_defer(struct loop *loop, loop_defer_fn *fn, void *userdata);

/* --- signals: blocked for the process, told to FN --- */
typedef void loop_signal_fn(int signo, void *userdata);
int loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *userdata);

/* --- work that blocks, in one of a few threads; DONE runs on the loop --- */
typedef void loop_work_fn(void *userdata);
void loop_work(struct loop *loop, loop_work_fn *work, loop_defer_fn *done, void *userdata);
