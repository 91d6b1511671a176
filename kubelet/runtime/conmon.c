/* Starting conmon, and its small protocols: the sync pipe, the control fifo, the attach socket. */
#include "conmon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "runc.h"

/* Until a line has come. conmon writes one, when runc has ended. */
static int read_line(struct loop *loop, int fd, struct strbuf *b, struct error *reterr)
{
        for (;;) {
                char buf[2048];
                ssize_t n = read(fd, buf, sizeof(buf));
                if (n > 0)
                        strbuf_append(b, buf, (size_t)n);
                if (n == 0 || (b->len && b->data[b->len - 1] == '\n'))
                        return 0;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return error_set(reterr, -errno, "cannot hear conmon: %s", strerror(errno));
                if (n < 0 && wait_fd(loop, fd, EPOLLIN, 240 * NS_PER_SEC) < 0)
                        return error_set(reterr, -ETIMEDOUT, "conmon did not answer");
        }
}

/* runc's own words: the last error of its log. Conmon passes on what runc wrote to standard error, which
 * begins the same but may be cut. */
static const char *runc_error(struct arena *a, const char *bundle)
{
        _cleanup_free_ char *text = NULL;
        const char *found = NULL;
        size_t len;

        if (file_read(arena_printf(a, "%s/runc.log", bundle), 1 << 20, &text, &len, NULL) < 0)
                return NULL;
        for (const char *p = text; *p;) {
                size_t n = strcspn(p, "\n");
                struct json *j;
                if (json_parse(a, p, n, NULL, &j, NULL) == 0 && streq(json_get_string(j, "level"), "error"))
                        found = json_get_string(j, "msg");
                p += n + (p[n] == '\n');
        }
        return found;
}

static pid_t read_pid(struct arena *a, const char *bundle)
{
        _cleanup_free_ char *text = NULL;

        if (file_read(arena_printf(a, "%s/conmon.pid", bundle), 32, &text, NULL, NULL) < 0)
                return 0;
        return (pid_t)atoi(text);
}

static void forget(struct process *p, int status, void *userdata)
{
        process_free(p);
}

static int spawn_conmon(struct loop *loop, struct arena *a, const struct conmon_start *c, int sync_fd,
                        struct error *reterr)
{
        const char *argv[48];
        size_t n = 0;
        struct process *p;
        const char *path = getenv("PATH");
        const char *env[] = { arena_printf(a, "PATH=%s", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
                              "_OCI_SYNCPIPE=3",
                              /* For runc, which lives for a moment: threads and a garbage collector are not worth
                               * their start. */
                              "GOMAXPROCS=1", "GOGC=off", NULL };
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        argv[n++] = "conmon";
        argv[n++] = "--api-version=1";
        argv[n++] = "--cid";
        argv[n++] = c->id;
        argv[n++] = "--cuuid";
        argv[n++] = c->id;
        argv[n++] = "--name";
        argv[n++] = c->name;
        argv[n++] = "--runtime";
        argv[n++] = c->runc_path;
        argv[n++] = "--runtime-arg";
        argv[n++] = arena_printf(a, "--root=%s", c->runc_root);
        argv[n++] = "--runtime-arg";
        argv[n++] = arena_printf(a, "--log=%s/runc.log", c->bundle);
        argv[n++] = "--runtime-arg";
        argv[n++] = "--log-format=json";
        argv[n++] = "--bundle";
        argv[n++] = c->bundle;
        argv[n++] = "--container-pidfile";
        argv[n++] = arena_printf(a, "%s/pid", c->bundle);
        argv[n++] = "--conmon-pidfile";
        argv[n++] = arena_printf(a, "%s/conmon.pid", c->bundle);
        argv[n++] = "--persist-dir";
        argv[n++] = c->bundle;
        argv[n++] = "--exit-dir";
        argv[n++] = c->exit_dir;
        argv[n++] = "--log-path";
        argv[n++] = arena_printf(a, "k8s-file:%s", c->log_path);
        argv[n++] = "--full-attach";
        argv[n++] = "--no-sync-log";
        argv[n++] = "--log-level=error";
        if (c->tty)
                argv[n++] = "--terminal";
        if (c->stdin)
                argv[n++] = "--stdin";
        if (c->stdin && !c->stdin_once)
                argv[n++] = "--leave-stdin-open";
        argv[n] = NULL;
        struct process_options o = { .argv = argv, .env = env, .cwd = c->bundle, .out_fd = null, .err_fd = null,
                                     .extra_fd = sync_fd, .new_session = true };
        return process_start(loop, &o, forget, NULL, &p, reterr);
}

int conmon_start(struct loop *loop, const struct conmon_start *c, pid_t *ret_pid, pid_t *ret_conmon,
                 struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT_MAX(1 << 20);
        struct json *answer;
        int fds[2], r;
        int64_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set(reterr, -errno, "pipe: %s", strerror(errno));
        fcntl(fds[0], F_SETFL, O_NONBLOCK);
        r = spawn_conmon(loop, a, c, fds[1], reterr);
        close(fds[1]);
        if (!r)
                r = read_line(loop, fds[0], &b, reterr);
        close(fds[0]);
        if (r < 0)
                return r;
        if (json_parse(a, strbuf_str(&b), b.len, NULL, &answer, NULL) < 0)
                return error_set(reterr, -EIO, "conmon ended without an answer");
        pid = json_get_int(answer, "data", json_get_int(answer, "pid", -1));
        if (pid <= 0) {
                const char *text = runc_error(a, c->bundle);
                if (!text)
                        text = json_get_string(answer, "message");
                return error_set(reterr, -EIO, "%s", text ? text : "runc create failed");
        }
        *ret_pid = (pid_t)pid;
        *ret_conmon = read_pid(a, c->bundle);
        return 0;
}

static int control(const char *bundle, const char *message, struct error *reterr)
{
        char path[512];
        _cleanup_close_ int fd = -1;

        snprintf(path, sizeof(path), "%s/ctl", bundle);
        fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || write(fd, message, strlen(message)) < 0)
                return error_set(reterr, -errno, "cannot reach conmon at %s: %s", path, strerror(errno));
        return 0;
}

int conmon_reopen_log(const char *bundle, struct error *reterr)
{
        return control(bundle, "2 0 0\n", reterr);
}

int conmon_resize(const char *bundle, uint16_t rows, uint16_t cols)
{
        char message[32];

        snprintf(message, sizeof(message), "1 %u %u\n", rows, cols);
        return control(bundle, message, NULL);
}

/* The path may be longer than a socket address holds: it is reached through the folder's descriptor. */
int conmon_connect(const char *bundle, int *ret_fd, struct error *reterr)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_close_ int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int fd;

        if (dir < 0)
                return error_set(reterr, -errno, "%s: %s", bundle, strerror(errno));
        snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/attach", dir);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
                int r = -errno;
                if (fd >= 0)
                        close(fd);
                return error_set(reterr, r, "cannot attach to the container: %s", strerror(-r));
        }
        *ret_fd = fd;
        return 0;
}
