/* Keeping daemons alive: see supervise.h.
 *
 * The supervisor is also the one that reaps: what daemons leave orphaned (a container's conmon) becomes
 * its child instead of process 1's, which in a container may be a program that reaps nobody.
 */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../lib/base/file.h"
#include "../lib/base/log.h"
#include "../lib/base/time.h"
#include "../lib/loop/process.h"

#define FIRST_DELAY (200 * NS_PER_MS)
#define MAX_DELAY (5 * NS_PER_SEC)
#define RAN_WELL (2 * NS_PER_SEC) /* it did not die of its start: somebody killed it */
#define PROBE_FIRST (20 * NS_PER_MS)
#define PROBE_LATER NS_PER_SEC
#define REAP_AFTER (200 * NS_PER_MS)
#define STOP_TURN (10 * NS_PER_MS)
#define LOGS_EVERY (60 * NS_PER_SEC)

struct daemon {
        struct cluster *cluster;
        const struct supervisor *supervisor;
        const struct component *component;
        struct process *process;
        struct loop_timer *again;
        int64_t started;  /* monotonic */
        int64_t delay;    /* before the next start */
        unsigned restarts;
};

struct supervisor {
        struct cluster *cluster;
        struct daemon *daemons;
        size_t n;
        struct loop_timer *logs, *reap;
        off_t max_log;
        bool stopping; /* what ends now is not started again */
};

static void start(struct daemon *d);

static char *log_path(const struct cluster *c, const char *name)
{
        return xasprintf("%s/%s.log", c->log_dir, name);
}

static void on_again(struct loop_timer *timer, void *userdata)
{
        struct daemon *d = userdata;

        d->restarts++;
        start(d);
}

static void again_later(struct daemon *d)
{
        int64_t delay = d->delay;

        if (time_mono() - d->started >= RAN_WELL)
                delay = 0;
        d->delay = delay ? MIN(delay * 2, MAX_DELAY) : FIRST_DELAY;
        loop_timer_arm(d->again, delay);
}

/* etcd without room ends, again and again, and says why only deep in its log. */
static void warn_of_disk(const struct daemon *d)
{
        _cleanup_free_ char *folder = settings_get(&d->cluster->settings, "etcd.dataDir");
        _cleanup_free_ char *disk = disk_shortage(folder, ETCD_ROOM);

        if (disk && streq(d->component->name, "etcd"))
                log_error("etcd: %s", disk);
}

static void on_exit_(struct process *p, int status, void *userdata)
{
        struct daemon *d = userdata;

        if (status < 0)
                log_warn("%s ended", d->component->name);
        else if (status >= 128)
                log_warn("%s was killed by signal %d", d->component->name, status - 128);
        else
                log_warn("%s ended with code %d", d->component->name, status);
        process_free(d->process);
        d->process = NULL;
        warn_of_disk(d);
        if (!d->supervisor->stopping)
                again_later(d);
}

/* Makes the folder of its socket, *RET_DIR, and takes an old socket away. */
static int clear_socket(struct daemon *d, char **ret_dir, struct error *reterr)
{
        _cleanup_free_ char *path = settings_fill(&d->cluster->settings, d->component->socket);
        _cleanup_free_ char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
        int r = dir_make(dir, 0700, reterr);

        if (r < 0)
                return r;
        if (unlink(path) < 0 && errno != ENOENT)
                return error_set(reterr, -errno, "unlink %s: %s", path, strerror(errno));
        free(*ret_dir);
        *ret_dir = steal_ptr(dir);
        return 0;
}

static void start(struct daemon *d)
{
        struct cluster *c = d->cluster;
        _cleanup_free_ char *log = log_path(c, d->component->name);
        _cleanup_close_ int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        _cleanup_error_ struct error err = ERROR_INIT;
        char **argv = component_argv(d->component, &c->settings);
        _cleanup_free_ char *cwd = xstrdup("/");
        struct process_options o = {
                .argv = (const char *const *)argv,
                .out_fd = fd,
                .err_fd = fd,
                .new_session = true,
        };

        d->started = time_mono();
        if (d->component->socket && clear_socket(d, &cwd, &err) < 0) {
                log_error("%s: %s", d->component->name, error_text(&err));
                again_later(d);
                argv_free(argv);
                return;
        }
        o.cwd = cwd;
        if (process_start(c->loop, &o, on_exit_, d, &d->process, &err) < 0) {
                log_error("%s: %s", d->component->name, error_text(&err));
                again_later(d);
        } else {
                if (process_file_write(c, d->component->name, process_pid(d->process), d->restarts, &err) < 0)
                        log_error("%s", error_text(&err));
                log_info("%s started, pid %d", d->component->name, (int)process_pid(d->process));
        }
        argv_free(argv);
}

/* One that runs already is watched, not started a second time. */
static void adopt(struct daemon *d)
{
        struct process_file file;

        if (process_file_read(d->cluster, d->component->name, &file) < 0 ||
            process_watch(d->cluster->loop, file.pid, on_exit_, d, &d->process) < 0)
                return;
        d->started = time_mono();
        d->restarts = file.restarts;
        log_info("%s runs, pid %d", d->component->name, (int)file.pid);
}

static void start_all(struct supervisor *s, bool needs_api)
{
        for (size_t i = 0; i < s->n; i++) {
                struct daemon *d = &s->daemons[i];

                if (d->component->needs_api == needs_api && !d->process)
                        start(d);
        }
}

/* A cluster without an API server of its own has nothing to wait for. A server that is not ready soon
 * is asked less and less often: each question is a TLS handshake. */
static void wait_for_api(void *userdata)
{
        struct supervisor *s = userdata;
        int64_t from = time_mono(), every = PROBE_FIRST;

        while (cluster_has(s->cluster, "apiserver") && cluster_probe(s->cluster, "/readyz", NULL) != 200) {
                if (time_mono() - from > 2 * NS_PER_SEC)
                        every = MIN(every * 2, PROBE_LATER);
                fiber_sleep(every);
        }
        if (!s->stopping)
                start_all(s, true);
}

/* A log that is too long is copied to NAME.log.1 and cut; daemons append, so they need not be told. */
static void rotate(struct supervisor *s, const char *name)
{
        _cleanup_free_ char *path = log_path(s->cluster, name), *old = xasprintf("%s.1", path), *text = NULL;
        struct stat st;
        size_t len;

        if (stat(path, &st) < 0 || st.st_size <= s->max_log)
                return;
        if (file_read(path, (size_t)st.st_size + (1 << 20), &text, &len, NULL) == 0 &&
            file_write(old, text, len, 0640, NULL) == 0 && truncate(path, 0) < 0)
                log_warn("truncate %s: %s", path, strerror(errno));
}

static void on_logs(struct loop_timer *timer, void *userdata)
{
        struct supervisor *s = userdata;

        for (size_t i = 0; i < s->n; i++)
                rotate(s, s->daemons[i].component->name);
        rotate(s, "supervisor");
        loop_timer_arm_slack(timer, LOGS_EVERY, LOGS_EVERY);
}

static void on_term(int signo, void *userdata)
{
        loop_stop(userdata, 0);
}

/* SIGTERM, then SIGKILL when its time is over. */
static void stop(struct daemon *d)
{
        int64_t until = time_mono() + d->component->stop_s * NS_PER_SEC;
        bool killed = false;

        loop_timer_disarm(d->again);
        if (d->process)
                process_kill(d->process, SIGTERM);
        while (d->process) {
                if (!killed && time_mono() > until) {
                        log_warn("%s does not end, killed", d->component->name);
                        process_kill(d->process, SIGKILL);
                        killed = true;
                }
                fiber_sleep(STOP_TURN);
        }
        process_file_remove(d->cluster, d->component->name);
}

static void stop_all(void *userdata)
{
        struct supervisor *s = userdata;

        for (size_t i = s->n; i-- > 0;) /* who needs the API server goes before it */
                stop(&s->daemons[i]);
        loop_stop(s->cluster->loop, 0);
}

static void on_stop_all(int signo, void *userdata)
{
        struct supervisor *s = userdata;

        if (s->stopping)
                return;
        s->stopping = true;
        fiber_start(s->cluster->loop, stop_all, s);
}

/* Orphans that ended. A daemon's end is told by its pidfd: it is left alone here, and hides those behind
 * it until it has been taken note of. */
static void on_reap(struct loop_timer *timer, void *userdata)
{
        struct supervisor *s = userdata;
        siginfo_t info = { 0 };

        while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
                for (size_t i = 0; i < s->n; i++)
                        if (s->daemons[i].process && process_pid(s->daemons[i].process) == info.si_pid) {
                                loop_timer_arm(timer, REAP_AFTER);
                                return;
                        }
                waitpid(info.si_pid, NULL, WNOHANG);
                info.si_pid = 0;
        }
}

static void on_child(int signo, void *userdata)
{
        struct supervisor *s = userdata;

        if (!loop_timer_armed(s->reap))
                loop_timer_arm(s->reap, REAP_AFTER);
}

/* Held while we live: two supervisors would start everything twice. */
static int take_lock(struct cluster *c, struct error *reterr)
{
        _cleanup_free_ char *path = xasprintf("%s/supervisor.lock", c->run_dir);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

        if (fd < 0)
                return error_set(reterr, -errno, "open %s: %s", path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                close(fd);
                return error_set(reterr, -EALREADY, "the supervisor runs already");
        }
        return fd;
}

static void fill_daemons(struct supervisor *s)
{
        struct cluster *c = s->cluster;
        _cleanup_free_ char *external = settings_get(&c->settings, "etcd.endpoints");

        s->daemons = xcalloc(n_components, sizeof(*s->daemons));
        for (size_t i = 0; i < n_components; i++) {
                struct daemon *d = &s->daemons[s->n];

                if (!cluster_has(c, components[i].name) || (streq(components[i].name, "etcd") && *external))
                        continue;
                *d = (struct daemon){ .cluster = c, .supervisor = s, .component = &components[i] };
                d->again = loop_timer_new(c->loop, on_again, d);
                s->n++;
        }
}

int supervise(struct cluster *c, struct error *reterr)
{
        struct supervisor s = { .cluster = c };
        _cleanup_close_ int lock = take_lock(c, reterr);
        int r;

        if (lock < 0)
                return lock;
        r = process_file_write(c, "supervisor", getpid(), 0, reterr);
        if (r < 0)
                return r;
        s.max_log = (off_t)settings_get_uint(&c->settings, "logs.maxSize");
        fill_daemons(&s);
        s.reap = loop_timer_new(c->loop, on_reap, &s);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        loop_signal(c->loop, SIGTERM, on_term, c->loop);
        loop_signal(c->loop, SIGINT, on_term, c->loop);
        loop_signal(c->loop, SUPERVISE_STOP_ALL, on_stop_all, &s);
        loop_signal(c->loop, SIGCHLD, on_child, &s);
        for (size_t i = 0; i < s.n; i++)
                adopt(&s.daemons[i]);
        start_all(&s, false);
        fiber_start(c->loop, wait_for_api, &s);
        s.logs = loop_timer_new(c->loop, on_logs, &s);
        loop_timer_arm_slack(s.logs, LOGS_EVERY, LOGS_EVERY);
        r = loop_run(c->loop);
        process_file_remove(c, "supervisor");
        return r;
}

/* Whoever called us may hold pipes and locks: a supervisor that inherits them keeps them for ever. */
static void close_inherited(void *userdata)
{
        syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
}

int supervise_in_background(struct cluster *c, struct error *reterr)
{
        _cleanup_free_ char *log = log_path(c, "supervisor"), *root = NULL;
        struct process_file file;
        struct process *p;
        char self[PATH_MAX];
        const char *argv[] = { self, "supervise", NULL, NULL };
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        if (process_file_read(c, "supervisor", &file) == 0)
                return 0;
        if (n < 0)
                return error_set(reterr, -errno, "readlink /proc/self/exe: %s", strerror(errno));
        self[n] = '\0';
        if (*c->settings.root)
                argv[2] = root = xasprintf("--root=%s", c->settings.root);
        _cleanup_close_ int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        struct process_options o = { .argv = argv, .cwd = "/", .out_fd = fd, .err_fd = fd, .new_session = true,
                                     .in_child = close_inherited };

        if (fd < 0)
                return error_set(reterr, -errno, "open %s: %s", log, strerror(errno));
        n = process_start(c->loop, &o, NULL, NULL, &p, reterr);
        /* It writes this itself too; here, so that who asks next knows of it. */
        return n < 0 ? (int)n : process_file_write(c, "supervisor", process_pid(p), 0, reterr);
}
