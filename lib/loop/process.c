/* Child processes: vfork-like spawning, a pidfd in the loop, pipes for what they say. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../base/time.h"

struct process {
        pid_t pid;
        int pidfd;
        bool child;
        struct loop_fd *source;
        process_exit_fn *fn;
        void *userdata;
};

void process_result_deinit(struct process_result *r)
{
        strbuf_deinit(&r->out);
        strbuf_deinit(&r->err);
}

static int pidfd_open_(pid_t pid)
{
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int exit_status(int status)
{
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void on_exit_(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct process *p = userdata;
        int status = -1;

        if (p->child) {
                if (waitpid(p->pid, &status, WNOHANG) != p->pid)
                        return;
                status = exit_status(status);
        }
        loop_fd_free(p->source);
        p->source = NULL;
        p->pid = 0;
        if (p->fn)
                p->fn(p, status, p->userdata);
}

pid_t process_pid(const struct process *p)
{
        return p->pid;
}

int process_kill(struct process *p, int signo)
{
        if (!p->pid)
                return -ESRCH;
        return syscall(SYS_pidfd_send_signal, p->pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

static void reap_forgotten(struct process *p, int status, void *userdata)
{
        process_free(p);
}

void process_free(struct process *p)
{
        if (!p)
                return;
        if (p->pid && p->child) { /* still runs: reaped when it ends, or it stays a zombie */
                p->fn = reap_forgotten;
                return;
        }
        loop_fd_free(p->source);
        if (p->pidfd >= 0)
                close(p->pidfd);
        free(p);
}

static struct process *watch(struct loop *loop, pid_t pid, int pidfd, bool child,
                             process_exit_fn *fn, void *userdata)
{
        struct process *p = new0(struct process);

        *p = (struct process){ .pid = pid, .pidfd = pidfd, .child = child, .fn = fn, .userdata = userdata };
        p->source = loop_fd_new(loop, pidfd, EPOLLIN, on_exit_, p);
        return p;
}

int process_watch(struct loop *loop, pid_t pid, process_exit_fn *fn, void *userdata, struct process **ret)
{
        int pidfd = pidfd_open_(pid);

        if (pidfd < 0)
                return -errno;
        *ret = watch(loop, pid, pidfd, false, fn, userdata);
        return 0;
}

struct spawn {
        const struct process_options *o;
        const char *file; /* argv[0] found in PATH: looked up before the fork */
        int in, out, err;
        int report; /* errno of a failed exec goes here */
};

/* Moves FD to TARGET in the child; DUP2 of a descriptor onto itself would keep CLOEXEC. */
static int place(int fd, int target)
{
        if (fd == target)
                return fcntl(fd, F_SETFD, 0);
        return dup2(fd, target);
}

_Noreturn static void child(const struct spawn *s)
{
        const struct process_options *o = s->o;
        sigset_t none;
        int code;

        sigemptyset(&none);
        for (int signo = 1; signo < NSIG; signo++)
                if (signo == SIGPIPE || signo == SIGCHLD)
                        signal(signo, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (o->new_session)
                setsid();
        else
                setpgid(0, 0);
        if (o->ends_with_us)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
        if ((o->cwd && chdir(o->cwd) < 0) || place(s->in, 0) < 0 || place(s->out, 1) < 0 ||
            place(s->err, 2) < 0 || (o->extra_fd > 0 && place(o->extra_fd, 3) < 0))
                goto failed;
        if (o->in_child)
                o->in_child(o->userdata);
        execve(s->file, (char *const *)o->argv,
               o->env ? (char *const *)o->env : environ);
failed:
        code = errno;
        if (write(s->report, &code, sizeof(code)) < 0)
                _exit(126);
        _exit(127);
}

/* The child borrows our memory until its exec, and we wait for that: nothing is copied, neither page tables now
 * nor pages that both would write to. It has a stack of its own; signals wait, their handlers are not for it. */
#define CHILD_STACK (64 << 10)

static int child_entry(void *userdata)
{
        child(userdata);
}

static pid_t start_child(struct spawn *s)
{
#ifdef __SANITIZE_ADDRESS__ /* it keeps book of the stacks it knows */
        pid_t pid = fork();

        if (pid == 0)
                child_entry(s);
        return pid;
#else
        sigset_t all, before;
        char *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        pid_t pid;
        int code;

        if (stack == MAP_FAILED)
                return -1;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid = clone(child_entry, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, s);
        code = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        munmap(stack, CHILD_STACK);
        errno = code;
        return pid;
#endif
}

static char *find_in_path(const char *file)
{
        const char *path = getenv("PATH");

        if (strchr(file, '/'))
                return xstrdup(file);
        for (path = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"; *path;) {
                size_t n = strcspn(path, ":");
                char *full = xasprintf("%.*s/%s", (int)n, path, file);

                if (access(full, X_OK) == 0)
                        return full;
                free(full);
                path += n + (path[n] == ':');
        }
        return NULL;
}

/* Descriptors below 4 would be overwritten by place(): they are moved up first. */
static int lift(int fd)
{
        int up = fcntl(fd, F_DUPFD_CLOEXEC, 10);

        return up < 0 ? -errno : up;
}

static int spawn(const struct process_options *o, int in, int out, int err, pid_t *ret_pid,
                 struct error *reterr)
{
        _cleanup_free_ char *file = find_in_path(o->argv[0]);
        struct spawn s = { .o = o, .file = file };
        struct process_options lifted = *o;
        int report[2], code = 0;
        pid_t pid;
        ssize_t n;

        if (!file)
                return error_set(reterr, -ENOENT, "%s: not found in PATH", o->argv[0]);
        if (pipe2(report, O_CLOEXEC) < 0)
                return error_set(reterr, -errno, "pipe: %s", strerror(errno));
        s.in = lift(in);
        s.out = lift(out);
        s.err = lift(err);
        s.report = lift(report[1]);
        if (o->extra_fd > 0)
                lifted.extra_fd = lift(o->extra_fd);
        s.o = &lifted;
        pid = start_child(&s);
        code = errno;
        close(s.in);
        close(s.out);
        close(s.err);
        close(s.report);
        close(report[1]);
        if (o->extra_fd > 0)
                close(lifted.extra_fd);
        if (pid < 0) {
                close(report[0]);
                return error_set(reterr, -code, "fork: %s", strerror(code));
        }
        do
                n = read(report[0], &code, sizeof(code));
        while (n < 0 && errno == EINTR);
        close(report[0]);
        if (n == sizeof(code)) {
                waitpid(pid, NULL, 0);
                return error_set(reterr, -code, "exec %s: %s", o->argv[0], strerror(code));
        }
        *ret_pid = pid;
        return 0;
}

int process_start(struct loop *loop, const struct process_options *o, process_exit_fn *fn, void *userdata,
                  struct process **ret, struct error *reterr)
{
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        pid_t pid;
        int r, pidfd;

        r = spawn(o, null, o->out_fd > 0 ? o->out_fd : null, o->err_fd > 0 ? o->err_fd : null, &pid,
                  reterr);
        if (r < 0)
                return r;
        pidfd = pidfd_open_(pid);
        if (pidfd < 0) {
                r = -errno;
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                return error_set(reterr, r, "pidfd_open: %s", strerror(-r));
        }
        *ret = watch(loop, pid, pidfd, true, fn, userdata);
        return 0;
}

/* --- running with captured output --- */

struct capture {
        struct process_run_state *run;
        struct loop_fd *source;
        int fd;
        struct strbuf *into;
};

struct process_run_state {
        struct fiber *fiber;
        struct capture out, err;
        int in_fd;
        struct loop_fd *in_source;
        const char *input;
        size_t input_left;
        struct loop_timer *timer;
        struct process_result *result;
        pid_t pid;
        bool exited;
};

static bool finished(const struct process_run_state *run)
{
        return run->exited && run->out.fd < 0 && run->err.fd < 0;
}

static void close_capture(struct capture *c)
{
        loop_fd_free(c->source);
        c->source = NULL;
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
}

static void on_output(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct capture *c = userdata;
        char buf[16384];
        ssize_t n = read(c->fd, buf, sizeof(buf));

        if (n > 0) {
                strbuf_append(c->into, buf, n);
                return;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        close_capture(c);
        if (finished(c->run))
                fiber_wake(c->run->fiber);
}

static void close_input(struct process_run_state *run)
{
        loop_fd_free(run->in_source);
        run->in_source = NULL;
        if (run->in_fd >= 0)
                close(run->in_fd);
        run->in_fd = -1;
}

/* A socketpair, not a pipe: a reader that is gone gives an error here instead of SIGPIPE. */
static void on_input(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct process_run_state *run = userdata;
        ssize_t n = send(run->in_fd, run->input, run->input_left, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n > 0) {
                run->input += n;
                run->input_left -= n;
        }
        if (n < 0 || !run->input_left)
                close_input(run);
}

static void on_ended(struct process *p, int status, void *userdata)
{
        struct process_run_state *run = userdata;

        run->exited = true;
        run->result->status = status;
        if (finished(run))
                fiber_wake(run->fiber);
}

static void on_timeout(struct loop_timer *timer, void *userdata)
{
        struct process_run_state *run = userdata;

        run->result->timed_out = true;
        if (!run->exited)
                kill(-run->pid, SIGKILL);
        /* Grandchildren that keep the pipes open are not waited for. */
        close_capture(&run->out);
        close_capture(&run->err);
        if (finished(run))
                fiber_wake(run->fiber);
}

static int open_capture(struct loop *loop, struct process_run_state *run, struct capture *c,
                        struct strbuf *into, size_t max, int *ret_child_fd)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        fcntl(fds[0], F_SETFL, O_NONBLOCK);
        into->max = max ? max : (size_t)1 << 20;
        *c = (struct capture){ .run = run, .fd = fds[0], .into = into };
        c->source = loop_fd_new(loop, fds[0], EPOLLIN, on_output, c);
        *ret_child_fd = fds[1];
        return 0;
}

static void drop_child_fd(int fd)
{
        if (fd >= 0)
                close(fd);
}

int process_run(struct loop *loop, const struct process_options *o, struct process_result *result,
                struct error *reterr)
{
        struct process_run_state run = {
                .fiber = fiber_self(), .in_fd = -1, .input = o->input, .input_left = o->input_len,
                .result = result, .out.fd = -1, .err.fd = -1,
        };
        int null = open("/dev/null", O_RDWR | O_CLOEXEC), in[2] = { -1, -1 };
        int out = -1, err = -1, r = 0, pidfd;
        struct process *p = NULL;

        *result = (struct process_result){ .status = -1 };
        if (o->input && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
                r = -errno;
        if (r == 0 && o->out_fd <= 0)
                r = open_capture(loop, &run, &run.out, &result->out, o->max_output, &out);
        if (r == 0 && o->err_fd <= 0)
                r = open_capture(loop, &run, &run.err, &result->err, o->max_output, &err);
        if (r < 0)
                error_set(reterr, r, "pipe: %s", strerror(-r));
        else
                r = spawn(o, o->input ? in[1] : null, out >= 0 ? out : o->out_fd,
                          err >= 0 ? err : o->err_fd, &run.pid, reterr);
        drop_child_fd(null);
        drop_child_fd(in[1]);
        drop_child_fd(out);
        drop_child_fd(err);
        run.in_fd = in[0];
        if (r == 0) {
                pidfd = pidfd_open_(run.pid);
                if (pidfd < 0) {
                        r = error_set(reterr, -errno, "pidfd_open: %s", strerror(errno));
                        kill(run.pid, SIGKILL);
                        waitpid(run.pid, NULL, 0);
                }
        }
        if (r == 0) {
                p = watch(loop, run.pid, pidfd, true, on_ended, &run);
                if (run.in_fd >= 0)
                        run.in_source = loop_fd_new(loop, run.in_fd, EPOLLOUT, on_input, &run);
                if (o->timeout_ns > 0) {
                        run.timer = loop_timer_new(loop, on_timeout, &run);
                        loop_timer_arm(run.timer, o->timeout_ns);
                }
                while (!finished(&run))
                        fiber_park();
        }
        loop_timer_free(run.timer);
        close_input(&run);
        close_capture(&run.out);
        close_capture(&run.err);
        process_free(p);
        return r;
}
