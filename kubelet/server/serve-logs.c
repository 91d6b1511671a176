/* GET /containerLogs/NS/POD/CONTAINER: across rotated files, and on as the container writes.
 *
 * All files are opened at once, so that a rotation meanwhile takes none away, and read one after the other as fast as
 * the client takes them: no log is ever in memory as a whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "internal.h"
#include "logs.h"

#define FILES_MAX 100
#define CHUNK 65536
#define QUEUE_HIGH (1 << 20) /* bytes that wait for a slow reader before we stop reading */
#define CHECK_EVERY (NS_PER_SEC) /* whether the container still runs, while following */

struct follow {
        struct kubelet_server *s;
        struct http_stream *stream;
        struct log_filter filter;
        char *path, *container_id;
        int fd, inotify;
        int newer[FILES_MAX]; /* to be read after fd, the newest in front */
        size_t n_newer;
        bool following, at_end;
        ino_t inode;          /* of the newest */
        struct loop_fd *source;
        struct loop_timer *timer;
        bool ended, checking, gone;
        unsigned refs;
};

static void follow_unref(struct follow *f)
{
        if (--f->refs)
                return;
        log_filter_deinit(&f->filter);
        free(f->path);
        free(f->container_id);
        free(f);
}

/* The reader left, or all is sent: the stream is gone. */
static void follow_closed(struct http_stream *stream, void *userdata)
{
        struct follow *f = userdata;
        f->gone = true;
        loop_fd_free(f->source);
        loop_timer_free(f->timer);
        f->source = NULL;
        f->timer = NULL;
        if (f->fd >= 0)
                close(f->fd);
        while (f->n_newer)
                close(f->newer[--f->n_newer]);
        if (f->inotify >= 0)
                close(f->inotify);
        follow_unref(f);
}

/* Sends what the files have more, as far as the client takes it. */
static void pump(struct follow *f)
{
        static char buf[CHUNK];
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        while (f->fd >= 0 && !log_filter_done(&f->filter) && http_stream_queued(f->stream) < QUEUE_HIGH) {
                ssize_t n = read(f->fd, buf, sizeof(buf));
                f->at_end = n <= 0 && !f->n_newer;
                if (f->at_end)
                        break;
                if (n <= 0) {
                        close(f->fd);
                        f->fd = f->newer[--f->n_newer];
                        continue;
                }
                strbuf_reset(&out);
                log_filter_feed(&f->filter, buf, (size_t)n, &out);
                if (out.len)
                        http_stream_write(f->stream, out.data, out.len);
        }
}

/* The newest file may be another than it was. */
static void reopen(struct follow *f)
{
        struct stat st;
        if (!f->following || f->n_newer)
                return;
        if (stat(f->path, &st) < 0 || (f->fd >= 0 && st.st_ino == f->inode))
                return;
        pump(f);
        if (f->fd >= 0 && !f->at_end)
                return; /* the client is slower: the rest of the old one first */
        if (f->fd >= 0)
                close(f->fd);
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        f->inode = st.st_ino;
}

static void follow_more(struct follow *f)
{
        reopen(f);
        pump(f);
        if (!f->ended && (log_filter_done(&f->filter) || (!f->following && (f->at_end || f->fd < 0)))) {
                f->ended = true;
                http_stream_end(f->stream);
        }
}

static void follow_drained(struct http_stream *stream, void *userdata)
{
        struct follow *f = userdata;
        if (!f->ended)
                follow_more(f);
}

static void follow_changed(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct follow *f = userdata;
        char buf[4096];
        while (read(f->inotify, buf, sizeof(buf)) > 0)
                ;
        if (!f->ended)
                follow_more(f);
}

static void check_fiber(void *userdata)
{
        struct follow *f = userdata;
        struct runtime *rt = f->s->k->runtime;
        _cleanup_arena_ struct arena *a = arena_new(512);
        struct runtime_container c = {0};
        int r = rt->ops->container_status(rt, f->container_id, a, &c, NULL);
        f->checking = false;
        if (!f->gone && !f->ended) {
                follow_more(f);
                if (!f->ended && (r != 0 || c.state == RUNTIME_CONTAINER_EXITED) &&
                    (f->at_end || f->fd < 0)) {
                        f->ended = true;
                        http_stream_end(f->stream);
                } else {
                        loop_timer_arm_slack(f->timer, CHECK_EVERY, CHECK_EVERY / 4);
                }
        }
        follow_unref(f);
}

static void follow_timer(struct loop_timer *timer, void *userdata)
{
        struct follow *f = userdata;
        if (f->checking)
                return;
        f->checking = true;
        f->refs++;
        fiber_start(f->s->k->loop, check_fiber, f);
}

/* Where the last *TAIL lines of FD begin; those are taken off *TAIL. */
static off_t tail_offset(int fd, int64_t *tail)
{
        struct stat st;
        size_t lines = 0, at;
        char *text;
        if (fstat(fd, &st) < 0 || st.st_size == 0)
                return 0;
        text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (text == MAP_FAILED)
                return 0;
        at = log_tail_offset(text, (size_t)st.st_size, (size_t)*tail, &lines); /* touches only what it looks at */
        munmap(text, (size_t)st.st_size);
        *tail -= (int64_t)lines;
        return (off_t)at;
}

/* path, path.1, path.2, ...: back to the first that is needed. */
static void open_files(struct follow *f, int64_t tail)
{
        struct stat st;
        for (size_t i = 0; i < FILES_MAX; i++) {
                _cleanup_free_ char *path = i ? xasprintf("%s.%zu", f->path, i) : xstrdup(f->path);
                int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (fd < 0)
                        break;
                if (i == 0 && fstat(fd, &st) == 0)
                        f->inode = st.st_ino;
                if (tail >= 0)
                        lseek(fd, tail_offset(fd, &tail), SEEK_SET);
                f->newer[f->n_newer++] = fd;
                if (tail == 0)
                        break;
        }
        if (f->n_newer)
                f->fd = f->newer[--f->n_newer];
}

static void log_options(struct http_request *req, struct log_options *o)
{
        const char *tail = http_query(req, "tailLines"), *limit = http_query(req, "limitBytes");
        const char *seconds = http_query(req, "sinceSeconds"), *since = http_query(req, "sinceTime");
        const char *stream = http_query(req, "stream");
        *o = (struct log_options){.tail = tail ? atoll(tail) : -1,
                                  .limit = limit ? atoll(limit) : -1,
                                  .timestamps = query_flag(req, "timestamps"),
                                  .only_stdout = streq(stream, "Stdout"),
                                  .only_stderr = streq(stream, "Stderr")};
        if (seconds)
                o->since = time_real() - atoll(seconds) * NS_PER_SEC;
        else if (since)
                time_parse(since, &o->since);
}

/* Which incarnation's log: the present one, or the one before. NULL: answered. */
static const char *pick_run(struct http_request *req, struct pod_worker *w, struct lifecycle_container *c)
{
        const char *name = w->object->name;
        bool starting = container_is_starting(c) && c->state != CONTAINER_POSTSTART;
        if (query_flag(req, "previous")) {
                /* A container that ended and waits to be started again: that was the previous one. */
                const struct container_run *run = c->last.id ? &c->last : NULL;
                if (!container_has_process(c) && c->reason && c->run.finished)
                        run = &c->run;
                if (!run)
                        answer_text(req, 400, "previous terminated container \"%s\" in pod \"%s\" not found", c->name, name);
                return run ? run->id : NULL;
        }
        if (c->run.id && (container_has_process(c) || c->run.finished))
                return c->run.id;
        if (c->last.id && !starting)
                return c->last.id;
        const char *reason = c->reason;
        if (streq(reason, "ErrImagePull") || streq(reason, "ImagePullBackOff"))
                answer_text(req, 400, "container \"%s\" in pod \"%s\" is waiting to start: %s", c->name, name,
                            streq(reason, "ErrImagePull") ? "image can't be pulled" : "trying and failing to pull image");
        else
                answer_text(req, 400, "container \"%s\" in pod \"%s\" is waiting to start: %s", c->name, name,
                            reason ? reason
                            : json_len(json_path(w->object->json, "spec.initContainers")) ? "PodInitializing"
                                                                                           : "ContainerCreating");
        return NULL;
}

void serve_logs(struct kubelet_server *s, struct http_request *req, struct pod_worker *w, const char *container)
{
        static const struct http_stream_ops ops = {.closed = follow_closed, .drained = follow_drained};
        struct lifecycle_container *c = lifecycle_find(w->lc, container);
        struct runtime *rt = s->k->runtime;
        struct runtime_container info = {0};
        struct log_options o;
        if (!c) {
                answer_text(req, 400, "container %s is not valid for pod %s", container, w->object->name);
                return;
        }
        const char *id = pick_run(req, w, c);
        if (!id)
                return;
        id = arena_strdup(req->arena, id);
        if (rt->ops->container_status(rt, id, req->arena, &info, NULL) != 0 || !info.log_path) {
                answer_text(req, 404, "unable to retrieve container logs for " "colibri://%s", id);
                return;
        }
        log_options(req, &o);
        struct follow *f = new0(struct follow);
        f->s = s;
        f->refs = 2; /* the stream's, and ours while we are here */
        f->fd = f->inotify = -1;
        f->path = xstrdup(info.log_path);
        f->container_id = xstrdup(id);
        log_filter_init(&f->filter, &o);
        f->stream = http_stream_start(req, 200, "text/plain", NULL, &ops, f);
        open_files(f, o.tail);
        bool running = info.state == RUNTIME_CONTAINER_RUNNING || info.state == RUNTIME_CONTAINER_CREATED;
        f->following = query_flag(req, "follow") && running;
        if (!f->gone && f->following) {
                _cleanup_free_ char *dir = xstrdup(f->path);
                *strrchr(dir, '/') = '\0';
                f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
                inotify_add_watch(f->inotify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
                f->source = loop_fd_new(s->k->loop, f->inotify, EPOLLIN, follow_changed, f);
                f->timer = loop_timer_new(s->k->loop, follow_timer, f);
                loop_timer_arm_slack(f->timer, CHECK_EVERY, CHECK_EVERY / 4);
        }
        if (!f->gone)
                follow_more(f);
        follow_unref(f);
}
