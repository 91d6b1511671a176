/* Processes beside a container's own: exec, and attach to what conmon holds.
 *
 * `runc exec` enters the container and stays until the process has ended; its exit code is the
 * process'. Whether runc itself failed is told by its log, which is empty otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "conmon.h"
#include "oci.h"
#include "runc.h"

/* --- what exec_sync and exec_start have in common --- */

struct exec_files {
        char *process, *log, *pid; /* in the container's folder */
        const char *argv[16];
};

/* runc passes its own terminal's size on only once the program runs, which may have asked for it by then. */
static void set_console_size(struct arena *a, struct json *process, uint16_t rows, uint16_t cols)
{
        struct json *size = json_ensure_object(a, process, "consoleSize");

        json_set_int(a, size, "height", rows);
        json_set_int(a, size, "width", cols);
}

static int prepare_exec(struct runc_container *c, struct arena *a, const struct runtime_exec *x,
                        struct exec_files *ret, struct error *reterr)
{
        struct runc *r = c->r;
        _cleanup_free_ char *text = NULL;
        struct json *process;
        unsigned n = r->exec_count++;
        size_t len, k = 0;
        char *data;
        int e = file_read(arena_printf(a, "%s/process.json", c->bundle), 0, &text, &len, reterr);

        if (e < 0 || (e = json_parse(a, text, len, NULL, &process, reterr)) < 0)
                return e;
        ret->process = arena_printf(a, "%s/exec-%u.json", c->bundle, n);
        ret->log = arena_printf(a, "%s/exec-%u.log", c->bundle, n);
        ret->pid = arena_printf(a, "%s/exec-%u.pid", c->bundle, n);
        process = oci_exec_process(a, process, x->argv, x->tty);
        if (x->tty && x->rows && x->cols)
                set_console_size(a, process, x->rows, x->cols);
        data = json_print(a, process);
        e = runc_write_file(ret->process, data, strlen(data), 0600, reterr);
        if (e < 0)
                return e;
        ret->argv[k++] = r->runc_path;
        ret->argv[k++] = arena_printf(a, "--root=%s/runc", r->o.run);
        ret->argv[k++] = arena_printf(a, "--log=%s", ret->log);
        ret->argv[k++] = "--log-format=json";
        ret->argv[k++] = "exec";
        ret->argv[k++] = "--process";
        ret->argv[k++] = ret->process;
        ret->argv[k++] = "--pid-file";
        ret->argv[k++] = ret->pid;
        ret->argv[k++] = c->id;
        ret->argv[k] = NULL;
        return 0;
}

static void remove_exec_files(const struct exec_files *f)
{
        unlink(f->process);
        unlink(f->log);
        unlink(f->pid);
}

/* The process outlives a killed runc: it is killed by the number runc noted. */
static void kill_exec(const struct exec_files *f)
{
        _cleanup_free_ char *text = NULL;

        if (file_read(f->pid, 32, &text, NULL, NULL) == 0 && atoi(text) > 1)
                kill(atoi(text), SIGKILL);
}

/* runc's last error; NULL: the process ran, and the exit code is its own. */
static char *exec_error(struct arena *a, const struct exec_files *f)
{
        _cleanup_free_ char *text = NULL;
        char *found = NULL;
        size_t len;

        if (file_read(f->log, 1 << 20, &text, &len, NULL) < 0)
                return NULL;
        for (const char *p = text; *p;) {
                size_t n = strcspn(p, "\n");
                struct json *j;
                if (json_parse(a, p, n, NULL, &j, NULL) == 0 && streq(json_get_string(j, "level"), "error"))
                        found = arena_strdup(a, json_get_string(j, "msg"));
                p += n + (p[n] == '\n');
        }
        return found;
}

static int exec_failed(const struct runc_container *c, const char *text, struct error *reterr)
{
        return error_set(reterr, -ENOEXEC,
                         "failed to exec in container: failed to start exec \"%s\": OCI runtime exec failed: %s: unknown",
                         c->id, text);
}

static struct runc_container *running(struct runtime *rt, const char *id, int *ret_error, struct error *reterr)
{
        struct runc_container *c = runc_container_get(runc_of(rt), id);

        if (!c) {
                *ret_error = error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
        } else if (c->state != RUNTIME_CONTAINER_RUNNING) {
                *ret_error = error_set(reterr, RUNTIME_NOT_RUNNING, "container is in %s state",
                                       c->state == RUNTIME_CONTAINER_CREATED ? "CONTAINER_CREATED" : "CONTAINER_EXITED");
                runc_container_unref(c);
                c = NULL;
        }
        return c;
}

#define SYNC_OUTPUT_MAX ((size_t)16 << 10)

int runc_exec_sync(struct runtime *rt, const char *id, const char *const *argv, int64_t timeout_ns,
                   struct runtime_exec_result *ret, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(16 << 10);
        struct process_result result = { 0 };
        struct exec_files f = { 0 };
        int r = 0;
        struct runc_container *c = running(rt, id, &r, reterr);

        if (!c)
                return r;
        r = prepare_exec(c, a, &(struct runtime_exec){ .argv = argv }, &f, reterr);
        if (!r) {
                struct process_options o = { .argv = f.argv, .max_output = SYNC_OUTPUT_MAX, .timeout_ns = timeout_ns };
                r = process_run(rt->loop, &o, &result, reterr);
        }
        if (!r && result.timed_out)
                kill_exec(&f);
        if (!r && result.status && !result.timed_out) {
                const char *text = exec_error(a, &f);
                if (text)
                        r = exec_failed(c, text, reterr);
        }
        if (f.process)
                remove_exec_files(&f);
        runc_container_unref(c);
        if (r) {
                process_result_deinit(&result);
                return r;
        }
        *ret = (struct runtime_exec_result){
                .exit_code = result.status, .timed_out = result.timed_out, .out = result.out, .err = result.err
        };
        return 0;
}

/* --- sessions --- */

struct session {
        struct arena *arena;
        struct runc_container *c;
        /* exec */
        struct exec_files files;
        struct process *process;
        bool ended;
        int status;
        struct fiber *waiter;
        /* attach */
        struct loop *loop;
        int sock, in_read, out_write, err_write;
        struct loop_fd *sock_source, *in_source;
        struct strbuf pending; /* a packet that its pipe had no room for */
        int pending_fd;
        struct loop_fd *pending_source;
};

static struct session *session_new(struct runtime *rt, struct runc_container *c)
{
        struct session *s = new0(struct session);

        s->arena = arena_new(16 << 10);
        s->c = c;
        s->loop = rt->loop;
        s->sock = s->in_read = s->out_write = s->err_write = s->pending_fd = -1;
        return s;
}

static void close_fd(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

static int nonblocking(int fd)
{
        return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* The child's ends; what in_child() puts in place. */
struct child_ends {
        int in, out, err;
        bool tty;
};

static void place_ends(void *userdata)
{
        const struct child_ends *e = userdata;

        dup2(e->in, 0);
        dup2(e->out, 1);
        dup2(e->err, 2);
        if (e->tty)
                ioctl(0, TIOCSCTTY, 0);
}

static int open_terminal(struct runtime_stream *s, struct child_ends *e, struct error *reterr)
{
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        char name[64];

        if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)))
                goto failed;
        e->in = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (e->in < 0)
                goto failed;
        e->out = e->err = e->in;
        e->tty = true;
        nonblocking(master);
        s->tty_fd = master;
        s->in_fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
        s->out_fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
        return 0;
failed:
        if (master >= 0)
                close(master);
        return error_set(reterr, -errno, "cannot open a terminal: %s", strerror(errno));
}

/* One direction: *ours for the caller, *theirs for the child; both /dev/null where it is not wanted. */
static int open_pipe(bool wanted, bool to_child, int *ours, int *theirs, struct error *reterr)
{
        int fds[2];

        if (!wanted) {
                *theirs = open("/dev/null", O_RDWR | O_CLOEXEC);
                return *theirs < 0 ? error_set(reterr, -errno, "/dev/null: %s", strerror(errno)) : 0;
        }
        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set(reterr, -errno, "pipe: %s", strerror(errno));
        *ours = fds[to_child];
        *theirs = fds[!to_child];
        nonblocking(*ours);
        return 0;
}

static void on_exec_exit(struct process *p, int status, void *userdata)
{
        struct session *s = userdata;

        s->ended = true;
        s->status = status;
        if (s->waiter)
                fiber_wake(s->waiter);
        s->waiter = NULL;
}

int runc_exec_start(struct runtime *rt, const char *id, const struct runtime_exec *e, struct runtime_stream *ret,
                    struct error *reterr)
{
        struct runtime_stream st = { .in_fd = -1, .out_fd = -1, .err_fd = -1, .tty_fd = -1 };
        struct child_ends ends = { .in = -1, .out = -1, .err = -1 };
        int r = 0;
        struct runc_container *c = running(rt, id, &r, reterr);
        struct session *s;

        if (!c)
                return r;
        st.priv = s = session_new(rt, c);
        r = prepare_exec(c, s->arena, e, &s->files, reterr);
        if (!r && e->tty)
                r = open_terminal(&st, &ends, reterr);
        if (!r && !e->tty)
                r = open_pipe(e->want_in, true, &st.in_fd, &ends.in, reterr);
        if (!r && !e->tty)
                r = open_pipe(e->want_out, false, &st.out_fd, &ends.out, reterr);
        if (!r && !e->tty)
                r = open_pipe(e->want_err, false, &st.err_fd, &ends.err, reterr);
        if (!r) {
                struct process_options o = { .argv = s->files.argv, .new_session = true, .in_child = place_ends,
                                             .userdata = &ends, .out_fd = ends.out, .err_fd = ends.err };
                r = process_start(rt->loop, &o, on_exec_exit, s, &s->process, reterr);
        }
        if (ends.out != ends.in)
                close_fd(&ends.out);
        if (ends.err != ends.in)
                close_fd(&ends.err);
        close_fd(&ends.in);
        if (r < 0) {
                runc_stream_close(rt, &st);
                return r;
        }
        *ret = st;
        return 0;
}

int runc_exec_wait(struct runtime *rt, struct runtime_stream *st, int *ret_exit_code, struct error *reterr)
{
        struct session *s = st->priv;

        while (!s->ended) {
                s->waiter = fiber_self();
                fiber_park();
        }
        if (s->status) {
                const char *text = exec_error(s->arena, &s->files);
                if (text)
                        return exec_failed(s->c, text, reterr);
        }
        *ret_exit_code = s->status;
        return 0;
}

int runc_stream_resize(struct runtime *rt, struct runtime_stream *st, uint16_t rows, uint16_t cols)
{
        struct session *s = st->priv;
        struct winsize size = { .ws_row = rows, .ws_col = cols };

        if (s->sock >= 0)
                return conmon_resize(s->c->bundle, rows, cols);
        if (st->tty_fd < 0)
                return 0;
        /* The kernel tells runc by SIGWINCH, and runc tells the process. */
        return ioctl(st->tty_fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static void close_attach(struct session *s)
{
        loop_fd_free(s->sock_source);
        loop_fd_free(s->in_source);
        loop_fd_free(s->pending_source);
        s->sock_source = s->in_source = s->pending_source = NULL;
        close_fd(&s->sock);
        close_fd(&s->in_read);
        close_fd(&s->out_write);
        close_fd(&s->err_write);
}

static void session_free(struct session *s)
{
        process_free(s->process);
        if (s->files.process)
                remove_exec_files(&s->files);
        strbuf_deinit(&s->pending);
        runc_container_unref(s->c);
        arena_free(s->arena);
        free(s);
}

#define END_STEP (50 * NS_PER_MS)
#define END_STEPS 200

/* Nobody listens any more: the process is killed, and runc ends with it. A runc that is killed before it has noted
 * the process' number would leave it behind, so it is given the time to do so. */
static void end_exec(void *userdata)
{
        struct session *s = userdata;

        for (int i = 0; i < END_STEPS && !s->ended; i++) {
                kill_exec(&s->files);
                fiber_sleep(END_STEP);
        }
        if (!s->ended)
                process_kill(s->process, SIGKILL);
        session_free(s);
}

void runc_stream_close(struct runtime *rt, struct runtime_stream *st)
{
        struct session *s = st->priv;

        close_fd(&st->in_fd);
        close_fd(&st->out_fd);
        close_fd(&st->err_fd);
        close_fd(&st->tty_fd);
        st->priv = NULL;
        if (!s)
                return;
        close_attach(s);
        if (s->process && !s->ended)
                fiber_start(rt->loop, end_exec, s);
        else
                session_free(s);
}

/* --- attach: packets on one socket to streams on pipes --- */

#define PACKET_MAX 32768
enum { ATTACH_OUT = 2, ATTACH_ERR = 3 };

static void on_socket(struct loop_fd *source, uint32_t events, void *userdata);

static void on_room(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct session *s = userdata;
        ssize_t n = write(s->pending_fd, s->pending.data, s->pending.len);

        if (n < 0 && errno == EAGAIN)
                return;
        if (n >= 0 && (size_t)n < s->pending.len) {
                memmove(s->pending.data, s->pending.data + n, s->pending.len - (size_t)n);
                s->pending.len -= (size_t)n;
                return;
        }
        strbuf_reset(&s->pending);
        loop_fd_free(s->pending_source);
        s->pending_source = NULL;
        loop_fd_set(s->sock_source, EPOLLIN);
}

/* What finds no room waits, and so does the socket: conmon then waits for us. */
static void forward(struct session *s, int fd, const char *data, size_t len)
{
        ssize_t n = fd < 0 ? (ssize_t)len : write(fd, data, len);

        if (n < 0 && errno != EAGAIN)
                return; /* the reader closed its end */
        if (n < 0)
                n = 0;
        if ((size_t)n == len)
                return;
        strbuf_append(&s->pending, data + n, len - (size_t)n);
        s->pending_fd = fd;
        s->pending_source = loop_fd_new(s->loop, fd, EPOLLOUT, on_room, s);
        loop_fd_set(s->sock_source, 0);
}

static void on_socket(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct session *s = userdata;
        static char buf[PACKET_MAX];
        ssize_t n;

        while (!s->pending_source && (n = recv(s->sock, buf, sizeof(buf), MSG_DONTWAIT)) != 0) {
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0)
                        break;
                forward(s, buf[0] == ATTACH_ERR ? s->err_write : s->out_write, buf + 1, (size_t)n - 1);
        }
        if (s->pending_source)
                return;
        close_attach(s);
        s->ended = true;
        if (s->waiter)
                fiber_wake(s->waiter);
        s->waiter = NULL;
}

static void on_input(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct session *s = userdata;
        char buf[4096];
        ssize_t n = read(s->in_read, buf, sizeof(buf));

        if (n < 0 && errno == EAGAIN)
                return;
        if (n > 0) {
                /* conmon reads at once; should its buffer be full, a short wait is better than lost keys. */
                fcntl(s->sock, F_SETFL, 0);
                ssize_t sent = send(s->sock, buf, (size_t)n, MSG_NOSIGNAL);
                fcntl(s->sock, F_SETFL, O_NONBLOCK);
                if (sent > 0)
                        return;
        }
        shutdown(s->sock, SHUT_WR);
        loop_fd_free(s->in_source);
        s->in_source = NULL;
        close_fd(&s->in_read);
}

int runc_attach(struct runtime *rt, const char *id, bool want_in, struct runtime_stream *ret, struct error *reterr)
{
        struct runtime_stream st = { .in_fd = -1, .out_fd = -1, .err_fd = -1, .tty_fd = -1 };
        int r = 0;
        struct runc_container *c = running(rt, id, &r, reterr);
        struct session *s;

        if (!c)
                return r;
        st.priv = s = session_new(rt, c);
        r = conmon_connect(c->bundle, &s->sock, reterr);
        if (!r && want_in && c->stdin)
                r = open_pipe(true, true, &st.in_fd, &s->in_read, reterr);
        if (!r)
                r = open_pipe(true, false, &st.out_fd, &s->out_write, reterr);
        if (!r && !c->tty)
                r = open_pipe(true, false, &st.err_fd, &s->err_write, reterr);
        if (r < 0) {
                runc_stream_close(rt, &st);
                return r;
        }
        nonblocking(s->out_write);
        if (s->err_write >= 0)
                nonblocking(s->err_write);
        s->sock_source = loop_fd_new(rt->loop, s->sock, EPOLLIN, on_socket, s);
        if (s->in_read >= 0) {
                nonblocking(s->in_read);
                s->in_source = loop_fd_new(rt->loop, s->in_read, EPOLLIN, on_input, s);
        }
        *ret = st;
        return 0;
}
