/* Child processes, watched through pidfd. */
#pragma once

#include "fiber.h"
#include "../base/strbuf.h"

struct process;

struct process_options {
        const char *const *argv;  /* NULL-terminated; argv[0] is looked up in PATH */
        const char *const *env;   /* NULL: inherited */
        const char *cwd;          /* NULL: inherited */
        const char *input;        /* written to its standard input; NULL: /dev/null */
        size_t input_len;
        size_t max_output;        /* bytes kept of standard output and of standard error each; 0: 1 MiB */
        int64_t timeout_ns;       /* 0: none; then SIGKILL to its process group */
        int out_fd, err_fd;       /* > 0: connected instead of captured */
        int extra_fd;             /* > 0: stays open in the child as descriptor 3 */
        bool new_session;         /* setsid: it outlives us and our terminal */
        bool ends_with_us;        /* killed when we die, however that comes: its work would be for nobody */
        /* Called between fork and exec; async-signal-safe things only. May be NULL. */
        void (*in_child)(void *userdata);
        void *userdata;
};

struct process_result {
        int status;         /* exit code, or 128 + signal */
        bool timed_out;
        struct strbuf out, err; /* what it wrote, cut at max_output */
};
void process_result_deinit(struct process_result *r);

/* Runs it and waits, on a fiber. 0: it ran, see r->status; negative: it could not be started. */
int process_run(struct loop *loop, const struct process_options *o, struct process_result *r,
                struct error *reterr);

/* Starts it and calls FN when it ends, with the exit code or 128 + signal. Nothing is captured:
 * give out_fd and err_fd. */
typedef void process_exit_fn(struct process *p, int status, void *userdata);
int process_start(struct loop *loop, const struct process_options *o, process_exit_fn *fn, void *userdata,
                  struct process **ret, struct error *reterr);
/* Watches a process that is not our child (status is then -1: unknown). -ESRCH when it is gone. */
int process_watch(struct loop *loop, pid_t pid, process_exit_fn *fn, void *userdata, struct process **ret);
pid_t process_pid(const struct process *p);
int process_kill(struct process *p, int signo); /* through the pidfd: never another process */
void process_free(struct process *p);           /* forgets it; does not kill */
