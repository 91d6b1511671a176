/* Control groups by plain files.
 *
 * Which files exist where is data: one table row a setting, with its file name in either version.
 * A group is made in every hierarchy, also those we set nothing in: runc would make it there anyway,
 * and the pod's own must not be missing between.
 */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const struct {
        const char *name;
        enum cgroup_controller controller;
} controllers[] = {
        { "cpu", CGROUP_CPU },       { "cpuacct", CGROUP_CPUACCT }, { "memory", CGROUP_MEMORY },
        { "pids", CGROUP_PIDS },     { "cpuset", CGROUP_CPUSET },
};

static uint8_t controllers_of(const char *options)
{
        uint8_t bits = 1 << CGROUP_OTHER;

        for (const char *p = options; *p;) {
                size_t len = strcspn(p, ",");
                for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
                        if (strlen(controllers[i].name) == len && !memcmp(p, controllers[i].name, len))
                                bits |= 1 << controllers[i].controller;
                p += len + (p[len] == ',');
        }
        return bits;
}

static void add_hierarchy(struct cgroup_system *s, const char *path, uint8_t bits)
{
        if (s->n == CGROUP_MAX_HIERARCHIES || strlen(path) >= sizeof(s->hierarchies[0].path))
                return;
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->hierarchies[i].path, path))
                        return;
        snprintf(s->hierarchies[s->n].path, sizeof(s->hierarchies[0].path), "%s", path);
        s->hierarchies[s->n++].controllers = bits;
}

/* One line of mountinfo: "36 35 98:0 ROOT MOUNTPOINT OPTIONS ... - TYPE SOURCE SUPEROPTIONS". */
static void parse_mount(struct cgroup_system *s, char *line, char *unified, size_t unified_size)
{
        char mountpoint[256], type[32], super[256];
        const char *tail = strstr(line, " - ");

        if (!tail || sscanf(line, "%*s %*s %*s %*s %255s", mountpoint) != 1)
                return;
        if (sscanf(tail + 3, "%31s %*s %255s", type, super) != 2)
                return;
        if (streq(type, "cgroup2"))
                snprintf(unified, unified_size, "%s", mountpoint);
        else if (streq(type, "cgroup") && str_has_prefix(mountpoint, "/sys/fs/cgroup/"))
                add_hierarchy(s, mountpoint, controllers_of(super));
}

int cgroup_detect_from(const char *mountinfo, struct cgroup_system *ret, struct error *reterr)
{
        struct cgroup_system s = { 0 };
        char unified[256] = "";
        bool v1_controllers = false;

        for (const char *p = mountinfo; *p;) {
                size_t len = strcspn(p, "\n");
                _cleanup_free_ char *line = xstrndup(p, len);
                parse_mount(&s, line, unified, sizeof(unified));
                p += len + (p[len] == '\n');
        }
        for (size_t i = 0; i < s.n; i++)
                v1_controllers |= s.hierarchies[i].controllers & (1 << CGROUP_MEMORY | 1 << CGROUP_CPU);
        if (!v1_controllers) {
                if (!*unified)
                        return error_set(reterr, -ENOENT, "no cgroup hierarchy is mounted");
                s.n = 0;
                s.v2 = true;
                add_hierarchy(&s, unified, 0xff);
        } else if (str_has_prefix(unified, "/sys/fs/cgroup/")) {
                add_hierarchy(&s, unified, 1 << CGROUP_OTHER); /* hybrid: runc makes its groups there too */
        }
        *ret = s;
        return 0;
}

/* Kernel files say neither their size nor whether they go on: read until the end. */
static int read_text(const char *path, char *buf, size_t size)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t n = 0;
        ssize_t k;

        if (fd < 0)
                return -errno;
        while (n + 1 < size && (k = read(fd, buf + n, size - 1 - n)) > 0)
                n += (size_t)k;
        buf[n] = '\0';
        return (int)n;
}

static int write_text(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (write(fd, text, strlen(text)) < 0)
                return -errno;
        return 0;
}

int cgroup_detect(struct cgroup_system *ret, struct error *reterr)
{
        size_t size = 1 << 20;
        _cleanup_free_ char *text = xmalloc(size);
        int r = read_text("/proc/self/mountinfo", text, size);

        if (r < 0)
                return error_set(reterr, r, "cannot read /proc/self/mountinfo");
        return cgroup_detect_from(text, ret, reterr);
}

#define GROUP_PATH 512

static char *group_path(char buf[GROUP_PATH], const struct cgroup_system *s, size_t i, const char *group,
                        const char *file)
{
        snprintf(buf, GROUP_PATH, "%s%s%s%s%s", s->hierarchies[i].path, *group == '/' ? "" : "/", group,
                 file ? "/" : "", file ? file : "");
        return buf;
}

/* The hierarchy that has CONTROLLER, or -1. */
static int hierarchy_of(const struct cgroup_system *s, enum cgroup_controller c)
{
        for (size_t i = 0; i < s->n; i++)
                if (s->hierarchies[i].controllers & (1 << c))
                        return (int)i;
        return -1;
}

/* --- making --- */

/* Version 1: a new cpuset is empty, and nothing can live in it until it has cpus and nodes. */
static void inherit_cpuset(const char *dir)
{
        static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
        char own[GROUP_PATH + 32], parent[GROUP_PATH + 32], text[4096];

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                snprintf(own, sizeof(own), "%s/%s", dir, files[i]);
                snprintf(parent, sizeof(parent), "%s/../%s", dir, files[i]);
                if (read_text(own, text, sizeof(text)) > 0 && text[0] != '\n')
                        continue;
                if (read_text(parent, text, sizeof(text)) > 0)
                        write_text(own, text);
        }
}

/* Version 2: a group's controllers are switched on in its parent, one by one, as far as they exist. */
static void delegate(const char *parent)
{
        static const char *const wanted[] = { "+cpu", "+memory", "+pids", "+cpuset", "+io" };
        char file[GROUP_PATH + 32];

        snprintf(file, sizeof(file), "%s/cgroup.subtree_control", parent);
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
                write_text(file, wanted[i]);
}

static int make_in(const struct cgroup_system *s, size_t i, const char *group)
{
        char path[GROUP_PATH];
        size_t top = strlen(s->hierarchies[i].path);

        group_path(path, s, i, group, NULL);
        for (char *p = path + top + 1;; p++) {
                if (*p && *p != '/')
                        continue;
                char was = *p;
                *p = '\0';
                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        return -errno;
                if (!s->v2 && s->hierarchies[i].controllers & (1 << CGROUP_CPUSET))
                        inherit_cpuset(path);
                if (s->v2) {
                        char *slash = strrchr(path, '/');
                        *slash = '\0';
                        delegate(path);
                        *slash = '/';
                }
                *p = was;
                if (!was)
                        return 0;
        }
}

int cgroup_make(const struct cgroup_system *s, const char *group, struct error *reterr)
{
        for (size_t i = 0; i < s->n; i++) {
                int r = make_in(s, i, group);
                if (r < 0)
                        return error_set(reterr, r, "cannot make cgroup %s in %s: %s", group,
                                         s->hierarchies[i].path, strerror(-r));
        }
        return 0;
}

bool cgroup_exists(const struct cgroup_system *s, const char *group)
{
        char path[GROUP_PATH];
        int i = hierarchy_of(s, CGROUP_MEMORY);

        return access(group_path(path, s, i < 0 ? 0 : (size_t)i, group, NULL), F_OK) == 0;
}

static int remove_dir(const char *path)
{
        DIR *dir = opendir(path);
        struct dirent *e;
        char child[GROUP_PATH];

        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        while ((e = readdir(dir))) {
                if (e->d_type != DT_DIR || e->d_name[0] == '.')
                        continue;
                if (snprintf(child, sizeof(child), "%s/%s", path, e->d_name) < (int)sizeof(child))
                        remove_dir(child);
        }
        closedir(dir);
        if (rmdir(path) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

int cgroup_remove(const struct cgroup_system *s, const char *group, struct error *reterr)
{
        char path[GROUP_PATH];
        int result = 0;

        for (size_t i = 0; i < s->n; i++) {
                int r = remove_dir(group_path(path, s, i, group, NULL));
                if (r < 0 && !result)
                        result = error_set(reterr, r, "cannot remove cgroup %s: %s", path, strerror(-r));
        }
        return result;
}

/* --- settings --- */

int64_t cgroup_weight_from_shares(int64_t shares)
{
        if (shares <= 0)
                return 0;
        shares = MIN(MAX(shares, 2), 262144);
        return 1 + (shares - 2) * 9999 / 262142;
}

static int put(const struct cgroup_system *s, enum cgroup_controller c, const char *group, const char *file,
               const char *text, struct error *reterr)
{
        char path[GROUP_PATH];
        int i = hierarchy_of(s, c), r;

        if (i < 0)
                return 0; /* this machine does not have the controller: nothing limits */
        r = write_text(group_path(path, s, (size_t)i, group, file), text);
        if (r < 0)
                return error_set(reterr, r, "cannot write %s to %s: %s", text, path, strerror(-r));
        return 0;
}

static int put_int(const struct cgroup_system *s, enum cgroup_controller c, const char *group, const char *file,
                   int64_t value, struct error *reterr)
{
        char text[32];

        snprintf(text, sizeof(text), "%" PRId64, value);
        return put(s, c, group, file, text, reterr);
}

static int set_v1(const struct cgroup_system *s, const char *group, const struct runtime_resources *res,
                  struct error *reterr)
{
        int r = 0;

        if (res->cpu_shares)
                r = put_int(s, CGROUP_CPU, group, "cpu.shares", res->cpu_shares, reterr);
        if (!r && res->cpu_quota_us && res->cpu_period_us)
                r = put_int(s, CGROUP_CPU, group, "cpu.cfs_period_us", res->cpu_period_us, reterr);
        if (!r && res->cpu_quota_us)
                r = put_int(s, CGROUP_CPU, group, "cpu.cfs_quota_us", res->cpu_quota_us, reterr);
        if (!r && res->memory_limit)
                r = put_int(s, CGROUP_MEMORY, group, "memory.limit_in_bytes", res->memory_limit, reterr);
        if (!r && res->pids_limit)
                r = put_int(s, CGROUP_PIDS, group, "pids.max", res->pids_limit, reterr);
        return r;
}

static int set_v2(const struct cgroup_system *s, const char *group, const struct runtime_resources *res,
                  struct error *reterr)
{
        char text[64];
        int r = 0;

        if (res->cpu_shares)
                r = put_int(s, CGROUP_CPU, group, "cpu.weight", cgroup_weight_from_shares(res->cpu_shares), reterr);
        if (!r && res->cpu_quota_us) {
                int64_t period = res->cpu_period_us ? res->cpu_period_us : 100000;
                if (res->cpu_quota_us < 0)
                        snprintf(text, sizeof(text), "max %" PRId64, period);
                else
                        snprintf(text, sizeof(text), "%" PRId64 " %" PRId64, res->cpu_quota_us, period);
                r = put(s, CGROUP_CPU, group, "cpu.max", text, reterr);
        }
        if (!r && res->memory_limit < 0)
                r = put(s, CGROUP_MEMORY, group, "memory.max", "max", reterr);
        else if (!r && res->memory_limit)
                r = put_int(s, CGROUP_MEMORY, group, "memory.max", res->memory_limit, reterr);
        if (!r && res->pids_limit)
                r = put_int(s, CGROUP_PIDS, group, "pids.max", res->pids_limit, reterr);
        return r;
}

int cgroup_set(const struct cgroup_system *s, const char *group, const struct runtime_resources *res,
               struct error *reterr)
{
        int r = s->v2 ? set_v2(s, group, res, reterr) : set_v1(s, group, res, reterr);

        if (!r && res->cpuset_cpus)
                r = put(s, CGROUP_CPUSET, group, "cpuset.cpus", res->cpuset_cpus, reterr);
        return r;
}

/* --- reading --- */

/* A number, or OTHERWISE: "max", or no such file. */
static int64_t get_int(const struct cgroup_system *s, enum cgroup_controller c, const char *group, const char *file,
                       int64_t otherwise)
{
        char path[GROUP_PATH], text[64], *end;
        int i = hierarchy_of(s, c);

        if (i < 0 || read_text(group_path(path, s, (size_t)i, group, file), text, sizeof(text)) <= 0)
                return otherwise;
        int64_t v = strtoll(text, &end, 10);
        return end == text ? otherwise : v;
}

/* The number behind "KEY " at the start of a line. */
static int64_t get_keyed(const struct cgroup_system *s, enum cgroup_controller c, const char *group,
                         const char *file, const char *key, int64_t otherwise)
{
        char path[GROUP_PATH], text[8192];
        int i = hierarchy_of(s, c);
        size_t len = strlen(key);

        if (i < 0 || read_text(group_path(path, s, (size_t)i, group, file), text, sizeof(text)) <= 0)
                return otherwise;
        for (const char *p = text; p && *p;) {
                if (!strncmp(p, key, len) && p[len] == ' ')
                        return strtoll(p + len + 1, NULL, 10);
                p = strchr(p, '\n');
                p = p ? p + 1 : NULL;
        }
        return otherwise;
}

/* Version 1 says "no limit" with a number near 2^63, rounded to pages. */
#define V1_UNLIMITED (INT64_C(1) << 62)

int cgroup_get(const struct cgroup_system *s, const char *group, struct runtime_resources *ret, struct error *reterr)
{
        struct runtime_resources res = { 0 };

        if (!cgroup_exists(s, group))
                return error_set(reterr, -ENOENT, "no cgroup %s", group);
        if (s->v2) {
                char path[GROUP_PATH], text[64];
                int64_t weight = get_int(s, CGROUP_CPU, group, "cpu.weight", 0);
                res.cpu_shares = weight ? 2 + (weight - 1) * 262142 / 9999 : 0;
                if (read_text(group_path(path, s, 0, group, "cpu.max"), text, sizeof(text)) > 0)
                        if (sscanf(text, "%" SCNd64 " %" SCNd64, &res.cpu_quota_us, &res.cpu_period_us) != 2)
                                res.cpu_quota_us = res.cpu_period_us = 0;
                res.memory_limit = get_int(s, CGROUP_MEMORY, group, "memory.max", 0);
        } else {
                res.cpu_shares = get_int(s, CGROUP_CPU, group, "cpu.shares", 0);
                res.cpu_quota_us = MAX(get_int(s, CGROUP_CPU, group, "cpu.cfs_quota_us", 0), 0);
                res.cpu_period_us = get_int(s, CGROUP_CPU, group, "cpu.cfs_period_us", 0);
                res.memory_limit = get_int(s, CGROUP_MEMORY, group, "memory.limit_in_bytes", 0);
                if (res.memory_limit >= V1_UNLIMITED)
                        res.memory_limit = 0;
        }
        res.pids_limit = get_int(s, CGROUP_PIDS, group, "pids.max", 0);
        *ret = res;
        return 0;
}

int cgroup_stats(const struct cgroup_system *s, const char *group, struct runtime_stats *ret, struct error *reterr)
{
        struct runtime_stats st = { 0 };
        int64_t inactive;

        if (!cgroup_exists(s, group))
                return error_set(reterr, -ENOENT, "no cgroup %s", group);
        if (s->v2) {
                st.cpu_ns = get_keyed(s, CGROUP_CPU, group, "cpu.stat", "usage_usec", 0) * 1000;
                st.memory_usage = get_int(s, CGROUP_MEMORY, group, "memory.current", 0);
                st.memory_rss = get_keyed(s, CGROUP_MEMORY, group, "memory.stat", "anon", 0);
                inactive = get_keyed(s, CGROUP_MEMORY, group, "memory.stat", "inactive_file", 0);
        } else {
                st.cpu_ns = get_int(s, CGROUP_CPUACCT, group, "cpuacct.usage", 0);
                st.memory_usage = get_int(s, CGROUP_MEMORY, group, "memory.usage_in_bytes", 0);
                st.memory_rss = get_keyed(s, CGROUP_MEMORY, group, "memory.stat", "total_rss", 0);
                inactive = get_keyed(s, CGROUP_MEMORY, group, "memory.stat", "total_inactive_file", 0);
        }
        st.memory_working_set = MAX(st.memory_usage - inactive, 0);
        st.pids = get_int(s, CGROUP_PIDS, group, "pids.current", 0);
        *ret = st;
        return 0;
}

int64_t cgroup_oom_kills(const struct cgroup_system *s, const char *group)
{
        return get_keyed(s, CGROUP_MEMORY, group, s->v2 ? "memory.events" : "memory.oom_control", "oom_kill", -1);
}

/* --- killing --- */

static size_t kill_procs(const char *dir)
{
        char path[GROUP_PATH + 32];
        size_t n = 0;
        long pid;
        FILE *f;

        snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
        f = fopen(path, "re");
        if (!f)
                return 0;
        while (fscanf(f, "%ld", &pid) == 1) {
                if (pid <= 1 || pid == getpid())
                        continue;
                n++;
                kill((pid_t)pid, SIGKILL);
        }
        fclose(f);
        return n;
}

static size_t kill_tree(const char *path)
{
        DIR *dir = opendir(path);
        struct dirent *e;
        size_t n = 0;
        char child[GROUP_PATH];

        if (!dir)
                return 0;
        n += kill_procs(path);
        while ((e = readdir(dir)))
                if (e->d_type == DT_DIR && e->d_name[0] != '.' &&
                    snprintf(child, sizeof(child), "%s/%s", path, e->d_name) < (int)sizeof(child))
                        n += kill_tree(child);
        closedir(dir);
        return n;
}

size_t cgroup_kill(const struct cgroup_system *s, const char *group)
{
        char path[GROUP_PATH];
        int i = hierarchy_of(s, CGROUP_MEMORY);
        size_t n = 0;

        if (i < 0)
                i = 0;
        if (s->v2 && write_text(group_path(path, s, (size_t)i, group, "cgroup.kill"), "1") == 0)
                return 0;
        /* What forks faster than we read is caught in the next round. */
        for (int round = 0; round < 8; round++) {
                n = kill_tree(group_path(path, s, (size_t)i, group, NULL));
                if (n == 0)
                        break;
        }
        return n;
}
