/* conmon (github.com/containers/conmon), which holds a container while the kubelet comes and goes. */
#pragma once

#include "runtime.h"

struct conmon_start {
        const char *runc_path, *runc_root;
        const char *id, *name, *bundle, *log_path, *exit_dir;
        bool tty, stdin, stdin_once;
};

/* On a fiber. Runs `runc create` under a conmon of its own, which goes on by itself; ends when the container is created.
 * Negative: it was not, with the text of runc (`runc create failed: ...`); conmon is gone then. */
int conmon_start(struct loop *loop, const struct conmon_start *c, pid_t *ret_pid, pid_t *ret_conmon,
                 struct error *reterr);
/* Its log file was renamed: open a new one. */
int conmon_reopen_log(const char *bundle, struct error *reterr);
int conmon_resize(const char *bundle, uint16_t rows, uint16_t cols);
/* Connects to the attach socket of the container: packets of one stream byte (2: out, 3: err) and data. */
int conmon_connect(const char *bundle, int *ret_fd, struct error *reterr);
