/* The audit log's file: see log.h.
 *
 * Lines gather in a buffer; while the worker writes one, the next fills. Only the worker touches the file, so that a
 * disk that hangs holds up the log and nothing else; past PENDING_MAX lines are lost rather than memory.
 */
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "../../lib/base/time.h"

#define PENDING_MAX ((size_t)16 << 20)
#define DEFAULT_MAX_SIZE ((int64_t)100 << 20)
#define COMPLAIN_NS (10 * NS_PER_SEC)
#define STAMP 23 /* 2026-01-02T15-04-05.000 */

struct audit_log {
        struct loop *loop;
        char *path, *dir, *base; /* DIR/BASE is PATH */
        struct audit_log_options o;
        int fd;
        int64_t size;            /* of the file */

        struct strbuf pending;
        struct strbuf writing;   /* the worker's while BUSY */
        uint64_t failed_lines;   /* of them, could not be written: the worker's too */
        bool busy;
        int64_t tail;            /* bytes of half a line at the end of the file */
        int failed;              /* what the worker met with: an errno */
        uint64_t lines, lost;
        int64_t complained;
};

/* --- rotated files --- */

bool audit_backup_time(const char *base, const char *name, int64_t *ret_time)
{
        const char *dot = strrchr(base, '.');
        size_t stem = dot && dot > base ? (size_t)(dot - base) : strlen(base);
        struct tm tm = {0};
        int ms, n = 0;

        if (strncmp(name, base, stem) != 0 || name[stem] != '-' || strlen(name) != strlen(base) + 1 + STAMP ||
            strcmp(name + stem + 1 + STAMP, base + stem) != 0)
                return false;
        if (sscanf(name + stem + 1, "%4d-%2d-%2dT%2d-%2d-%2d.%3d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                   &tm.tm_sec, &ms, &n) != 7 || n != STAMP)
                return false;
        tm.tm_year -= 1900;
        tm.tm_mon--;
        *ret_time = timegm(&tm);
        return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*b)->d_name, (*a)->d_name); /* the newest first: the stamp sorts */
}

static void clean_up(struct audit_log *l)
{
        int64_t oldest = time_real() / NS_PER_SEC - (int64_t)l->o.max_age_days * 86400;
        struct dirent **names;
        int n = scandir(l->dir, &names, NULL, by_name), kept = 0;

        for (int i = 0; i < n; i++) {
                int64_t when;

                if (audit_backup_time(l->base, names[i]->d_name, &when)) {
                        _cleanup_free_ char *path = xasprintf("%s/%s", l->dir, names[i]->d_name);

                        if ((l->o.max_backups && kept >= l->o.max_backups) || (l->o.max_age_days && when < oldest))
                                unlink(path);
                        else
                                kept++;
                }
                free(names[i]);
        }
        if (n >= 0)
                free(names);
}

static int open_file(struct audit_log *l)
{
        struct stat st;

        l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (l->fd < 0)
                return -errno;
        l->size = fstat(l->fd, &st) == 0 ? st.st_size : 0;
        l->tail = 0;
        return 0;
}

static char *backup_path(const struct audit_log *l, int64_t now)
{
        const char *dot = strrchr(l->base, '.');
        int stem = dot && dot > l->base ? (int)(dot - l->base) : (int)strlen(l->base);
        time_t seconds = now / NS_PER_SEC;
        struct tm tm;
        char stamp[STAMP + 1];

        gmtime_r(&seconds, &tm);
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H-%M-%S", &tm);
        return xasprintf("%s/%.*s-%s.%03d%s", l->dir, stem, l->base, stamp, (int)(now / NS_PER_MS % 1000), l->base + stem);
}

static int rotate(struct audit_log *l)
{
        int64_t now = time_real();
        _cleanup_free_ char *to = backup_path(l, now);

        while (file_exists(to)) { /* two within a millisecond */
                free(to);
                to = backup_path(l, now += NS_PER_MS);
        }
        if (rename(l->path, to) < 0)
                return -errno;
        close(l->fd);
        clean_up(l);
        return open_file(l);
}

/* --- the worker --- */

/* The first LEN bytes of DATA that are whole lines and fit before the file is full; all, if not even one does. */
static size_t that_fits(const struct audit_log *l, const char *data, size_t len)
{
        int64_t room = l->o.max_size - l->size;
        const char *end;

        if ((int64_t)len <= room)
                return len;
        end = room > 0 ? memrchr(data, '\n', (size_t)room) : NULL;
        if (end)
                return (size_t)(end - data) + 1;
        return 0;
}

/* How many bytes follow the last line feed, when DATA came behind TAIL of them. */
static int64_t tail_after(int64_t tail, const char *data, size_t len)
{
        const char *end = memrchr(data, '\n', len);

        return end ? data + len - end - 1 : tail + (int64_t)len;
}

/* Half a line is worse than none to whoever reads it. */
static void untear(struct audit_log *l)
{
        if (!l->tail || ftruncate(l->fd, l->size - l->tail) < 0)
                return;
        l->size -= l->tail;
        l->tail = 0;
}

static void work(void *userdata)
{
        struct audit_log *l = userdata;
        const char *at = l->writing.data;
        size_t left = l->writing.len;

        l->failed = 0;
        l->failed_lines = 0;
        if (l->fd < 0)
                l->failed = -open_file(l);
        while (left && !l->failed) {
                size_t n = l->o.path[0] == '-' ? left : that_fits(l, at, left);
                ssize_t written;

                if (!n && l->size) {
                        l->failed = -rotate(l);
                        continue;
                }
                if (!n) /* a line longer than a file may be: it has one of its own */
                        n = (size_t)((char *)memchr(at, '\n', left) - at) + 1;
                if (l->tail && at == l->writing.data && write(l->fd, "\n", 1) == 1) /* it could not be taken back */
                        l->tail = 0;
                written = write(l->fd, at, n);
                if (written < 0 && errno == EINTR)
                        continue;
                if (written < 0) {
                        l->failed = errno;
                        untear(l);
                        break;
                }
                l->size += written;
                l->tail = tail_after(l->tail, at, (size_t)written);
                at += written;
                left -= (size_t)written;
        }
        /* What is lost is told in lines. */
        for (size_t i = 0; i < left; i++)
                if (at[i] == '\n')
                        l->failed_lines++;
}

static void done(void *userdata);

static void begin(struct audit_log *l)
{
        struct strbuf empty = l->writing;

        strbuf_reset(&empty);
        l->writing = l->pending;
        l->pending = empty;
        l->busy = true;
        loop_work(l->loop, work, done, l);
}

static void complain(struct audit_log *l, int failed)
{
        int64_t now = time_mono();

        if (l->complained && now - l->complained < COMPLAIN_NS)
                return;
        l->complained = now;
        log_error("audit log %s: %s; %llu events lost so far", l->path, strerror(failed), (unsigned long long)l->lost);
}

static void done(void *userdata)
{
        struct audit_log *l = userdata;

        l->busy = false;
        l->lost += l->failed_lines;
        if (l->failed)
                complain(l, l->failed);
        if (l->pending.len)
                begin(l);
}

void audit_log_line(struct audit_log *l, const char *line, size_t len)
{
        if (l->pending.len + len > PENDING_MAX) {
                l->lost++;
                complain(l, EAGAIN);
                return;
        }
        strbuf_append(&l->pending, line, len);
        l->lines++;
        if (!l->busy)
                begin(l);
}

/* --- its life --- */

int audit_log_open(struct loop *loop, const struct audit_log_options *o, struct audit_log **ret, struct error *reterr)
{
        struct audit_log *l = new0(struct audit_log);
        const char *slash = strrchr(o->path, '/');
        int r = 0;

        l->loop = loop;
        l->o = *o;
        if (!l->o.max_size)
                l->o.max_size = DEFAULT_MAX_SIZE;
        l->path = xstrdup(o->path);
        l->o.path = l->path;
        l->dir = slash ? xstrndup(o->path, MAX((size_t)(slash - o->path), (size_t)1)) : xstrdup(".");
        l->base = xstrdup(slash ? slash + 1 : o->path);
        if (streq(o->path, "-"))
                l->fd = STDOUT_FILENO;
        else
                r = open_file(l);
        if (r < 0) {
                error_set(reterr, r, "audit log %s: %s", o->path, strerror(-r));
                l->fd = -1;
                audit_log_close(l);
                return r;
        }
        *ret = l;
        return 0;
}

void audit_log_close(struct audit_log *l)
{
        if (!l)
                return;
        while (l->busy) /* the worker has the file: its end comes through the loop */
                loop_turn(l->loop, -1);
        if (l->pending.len && l->fd >= 0) {
                strbuf_deinit(&l->writing);
                l->writing = l->pending;
                l->pending = (struct strbuf)STRBUF_INIT;
                work(l);
        }
        if (l->fd > STDOUT_FILENO)
                close(l->fd);
        strbuf_deinit(&l->pending);
        strbuf_deinit(&l->writing);
        free(l->path);
        free(l->dir);
        free(l->base);
        free(l);
}

void audit_log_counts(const struct audit_log *l, uint64_t *ret_lines, uint64_t *ret_lost)
{
        *ret_lines = l ? l->lines : 0;
        *ret_lost = l ? l->lost : 0;
}
