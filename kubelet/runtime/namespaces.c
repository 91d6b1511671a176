/* Pinned namespaces.
 *
 * unshare(2) changes one thread. A worker thread steps into new namespaces, binds them to files,
 * and steps back into the machine's: no process is made, and none must live to keep them.
 */
#include "namespaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../lib/base/file.h"

static const struct {
        const char *kind;
        int flag;
} kinds[] = {
        { "net", CLONE_NEWNET },
        { "ipc", CLONE_NEWIPC },
        { "uts", CLONE_NEWUTS },
        { "pid", CLONE_NEWPID },
};

static void pin_path(char *buf, size_t size, const char *run, const char *kind, const char *id)
{
        snprintf(buf, size, "%s/%sns/%s", run, kind, id);
}

char *namespaces_path(struct arena *a, const char *run, const char *kind, const char *id)
{
        return arena_printf(a, "%s/%sns/%s", run, kind, id);
}

/* Binds the calling thread's (or another process's) namespace to its file. */
static int pin(const char *run, const char *kind, const char *id, const char *source, struct error *reterr)
{
        char path[512], dir[512];
        int fd, r;

        snprintf(dir, sizeof(dir), "%s/%sns", run, kind);
        r = dir_make(dir, 0711, reterr);
        if (r < 0)
                return r;
        pin_path(path, sizeof(path), run, kind, id);
        fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
        if (fd < 0)
                return error_set(reterr, -errno, "cannot create %s: %s", path, strerror(errno));
        close(fd);
        if (mount(source, path, NULL, MS_BIND, NULL) < 0) {
                r = -errno;
                unlink(path);
                return error_set(reterr, r, "cannot pin %s namespace at %s: %s", kind, path, strerror(-r));
        }
        return 0;
}

void namespaces_unpin(const char *run, const char *id)
{
        char path[512];

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                pin_path(path, sizeof(path), run, kinds[i].kind, id);
                umount2(path, MNT_DETACH);
                unlink(path);
        }
}

/* --- what is done inside --- */

static int loopback_up(struct error *reterr)
{
        struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
                return error_set(reterr, -errno, "cannot bring up the loopback interface: %s", strerror(errno));
        return 0;
}

/* "net.ipv4.tcp_syncookies": dots part folders; where a name has slashes, those do and dots are kept. */
static int set_sysctl(const char *name, const char *value, struct error *reterr)
{
        char path[512];
        int n = snprintf(path, sizeof(path), "/proc/sys/%s", name);
        bool slashes = strchr(name, '/') && (!strchr(name, '.') || strchr(name, '/') < strchr(name, '.'));
        _cleanup_close_ int fd = -1;

        if (n >= (int)sizeof(path) || strstr(name, ".."))
                return error_set(reterr, -EINVAL, "sysctl \"%s\" is not valid", name);
        for (char *p = path + strlen("/proc/sys/"); !slashes && *p; p++)
                *p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, value, strlen(value)) < 0)
                return error_set(reterr, -errno, "cannot set sysctl %s to %s: %s", name, value, strerror(errno));
        return 0;
}

static int set_sysctls(const struct namespaces_request *q, struct error *reterr)
{
        /* What a container may not do for want of a capability, it may within its own network. */
        if (q->net)
                set_sysctl("net.ipv4.ip_unprivileged_port_start", "0", NULL);
        json_foreach_item(q->sysctls, s) {
                const char *name = json_get_string(s, "name"), *value = json_get_string(s, "value");
                int r = set_sysctl(name ? name : "", value ? value : "", reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int furnish(const struct namespaces_request *q, struct error *reterr)
{
        int r = 0;

        if (q->uts && q->hostname && sethostname(q->hostname, strlen(q->hostname)) < 0)
                return error_set(reterr, -errno, "cannot set hostname %s: %s", q->hostname, strerror(errno));
        if (q->net)
                r = loopback_up(reterr);
        if (!r)
                r = set_sysctls(q, reterr);
        for (size_t i = 0; !r && i < 3; i++) {
                const bool wanted[] = { q->net, q->ipc, q->uts };
                char source[64];
                snprintf(source, sizeof(source), "/proc/thread-self/ns/%s", kinds[i].kind);
                if (wanted[i])
                        r = pin(q->run, kinds[i].kind, q->id, source, reterr);
        }
        return r;
}

struct pin_job {
        const struct namespaces_request *q;
        struct error *reterr;
        int result;
};

/* In a worker thread. It must come back to where it was: the next job would run in a pod otherwise. */
static void pin_job(void *userdata)
{
        struct pin_job *job = userdata;
        const struct namespaces_request *q = job->q;
        int home[3], flags = (q->net ? CLONE_NEWNET : 0) | (q->ipc ? CLONE_NEWIPC : 0) | (q->uts ? CLONE_NEWUTS : 0);
        char path[64];

        for (size_t i = 0; i < 3; i++) {
                snprintf(path, sizeof(path), "/proc/thread-self/ns/%s", kinds[i].kind);
                home[i] = open(path, O_RDONLY | O_CLOEXEC);
        }
        if (unshare(flags) < 0)
                job->result = error_set(job->reterr, -errno, "cannot make namespaces: %s", strerror(errno));
        else
                job->result = furnish(q, job->reterr);
        for (size_t i = 0; i < 3; i++) {
                if (home[i] < 0 || ((flags & kinds[i].flag) && setns(home[i], kinds[i].flag) < 0))
                        abort();
                close(home[i]);
        }
}

int namespaces_pin(struct loop *loop, const struct namespaces_request *q, struct error *reterr)
{
        struct pin_job job = { .q = q, .reterr = reterr };

        if (!q->net && !q->ipc && !q->uts)
                return 0;
        fiber_work(loop, pin_job, &job);
        if (job.result < 0)
                namespaces_unpin(q->run, q->id);
        return job.result;
}

/* --- a process namespace, which wants a process --- */

struct pause_job {
        const struct namespaces_request *q;
        const char *program;
        uint32_t uid, gid;
        pid_t pid;
        struct error *reterr;
        int result;
};

_Noreturn static void become_pause(const struct pause_job *job)
{
        char path[512];

        setsid();
        for (size_t i = 0; i < 3; i++) {
                pin_path(path, sizeof(path), job->q->run, kinds[i].kind, job->q->id);
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd >= 0 && setns(fd, kinds[i].flag) < 0)
                        _exit(126);
        }
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++)
                dup2(null, fd);
        if (chdir("/") < 0 || (job->gid && setgid(job->gid) < 0) || (job->uid && setuid(job->uid) < 0))
                _exit(126);
        execl(job->program, "/pause", (char *)NULL);
        _exit(127);
}

/* clone(2) raw: only the child is in the new namespace, the thread never leaves its own. */
static void pause_job(void *userdata)
{
        struct pause_job *job = userdata;
        char source[64];
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);

        if (pid == 0)
                become_pause(job);
        if (pid < 0) {
                job->result = error_set(job->reterr, -errno, "cannot start the pause process: %s", strerror(errno));
                return;
        }
        snprintf(source, sizeof(source), "/proc/%d/ns/pid", (int)pid);
        job->result = pin(job->q->run, "pid", job->q->id, source, job->reterr);
        if (job->result < 0) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
        }
        job->pid = pid;
}

int namespaces_start_pause(struct loop *loop, const struct namespaces_request *q, const char *program,
                           uint32_t uid, uint32_t gid, pid_t *ret_pid, struct error *reterr)
{
        struct pause_job job = { .q = q, .program = program, .uid = uid, .gid = gid, .reterr = reterr };

        if (access(program, X_OK) < 0)
                return error_set(reterr, -errno, "%s: %s", program, strerror(errno));
        fiber_work(loop, pause_job, &job);
        if (job.result < 0)
                return job.result;
        *ret_pid = job.pid;
        return 0;
}

/* --- a connection from within --- */

struct connect_job {
        const char *path;
        int port, fd, result;
};

static int try_connect(int port, int family)
{
        struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct timeval patience = { .tv_sec = 5 };
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        if (fd < 0)
                return -errno;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (family == AF_INET)
                r = connect(fd, (struct sockaddr *)&in4, sizeof(in4));
        else
                r = connect(fd, (struct sockaddr *)&in6, sizeof(in6));
        if (r < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        fcntl(fd, F_SETFL, O_NONBLOCK);
        return fd;
}

static void connect_job(void *userdata)
{
        struct connect_job *job = userdata;
        int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd = -1;

        if (job->path) {
                fd = open(job->path, O_RDONLY | O_CLOEXEC);
                if (fd < 0 || home < 0 || setns(fd, CLONE_NEWNET) < 0) {
                        job->result = -errno;
                        goto out;
                }
        }
        job->result = try_connect(job->port, AF_INET);
        if (job->result < 0) {
                int r = try_connect(job->port, AF_INET6);
                if (r >= 0)
                        job->result = r;
        }
        if (job->path && setns(home, CLONE_NEWNET) < 0)
                abort();
out:
        if (fd >= 0)
                close(fd);
        if (home >= 0)
                close(home);
}

int namespaces_connect(struct loop *loop, const char *path, int port, int *ret_fd, struct error *reterr)
{
        struct connect_job job = { .path = path, .port = port };

        fiber_work(loop, connect_job, &job);
        if (job.result < 0)
                return error_set(reterr, job.result,
                                 "failed to connect to localhost:%d inside namespace: connection failed: %s", port,
                                 strerror(-job.result));
        *ret_fd = job.result;
        return 0;
}
