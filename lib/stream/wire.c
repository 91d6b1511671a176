/* The bytes of an upgraded connection: see wire.h. */
#include "wire.h"

#include <errno.h>
#include <sys/socket.h>

#include "../base/strbuf.h"

#define READ_SIZE 32768
#define READS_A_TURN 4 /* so that one busy stream does not starve the loop */

struct wire {
        struct loop *loop;
        struct loop_fd *source;
        int fd;
        const struct wire_ops *ops;
        void *userdata;
        struct strbuf out;
        size_t sent; /* of out */
        bool paused, finishing, shut, ended, freed, busy;
};

static void wire_watch(struct wire *w)
{
        uint32_t events = 0;
        if (w->ended || w->freed)
                return;
        if (!w->paused)
                events |= EPOLLIN;
        if (w->out.len > w->sent)
                events |= EPOLLOUT;
        loop_fd_set(w->source, events);
}

static void wire_end(struct wire *w, int code)
{
        if (w->ended || w->freed)
                return;
        w->ended = true;
        loop_fd_set(w->source, 0);
        w->ops->closed(w, code, w->userdata);
}

/* Writes what it can. */
static void wire_flush(struct wire *w)
{
        bool had = w->out.len > w->sent;
        while (w->out.len > w->sent) {
                ssize_t n = send(w->fd, w->out.data + w->sent, w->out.len - w->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                        return;
                if (n < 0) {
                        wire_end(w, -errno);
                        return;
                }
                w->sent += (size_t)n;
        }
        if (w->out.cap > 4 * READ_SIZE)
                strbuf_deinit(&w->out);
        else
                strbuf_reset(&w->out);
        w->sent = 0;
        if (w->finishing && !w->shut) {
                w->shut = true;
                shutdown(w->fd, SHUT_WR);
        }
        if (had && w->ops->drained && !w->ended && !w->freed)
                w->ops->drained(w, w->userdata);
}

static void wire_read(struct wire *w)
{
        uint8_t buf[READ_SIZE];
        for (int i = 0; i < READS_A_TURN && !w->paused && !w->ended && !w->freed; i++) {
                ssize_t n = recv(w->fd, buf, sizeof(buf), MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                        return;
                if (n <= 0) {
                        wire_end(w, n < 0 ? -errno : 0);
                        return;
                }
                w->ops->data(w, buf, (size_t)n, w->userdata);
                if ((size_t)n < sizeof(buf))
                        return;
        }
}

static void wire_release(void *userdata)
{
        struct wire *w = userdata;
        strbuf_deinit(&w->out);
        free(w);
}

static void wire_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct wire *w = userdata;
        w->busy = true;
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                wire_read(w);
        if (!w->ended && !w->freed && w->paused && (events & (EPOLLHUP | EPOLLERR)))
                wire_end(w, -ECONNRESET);
        if (!w->ended && !w->freed && (events & EPOLLOUT))
                wire_flush(w);
        w->busy = false;
        if (!w->freed)
                wire_watch(w);
}

struct wire *wire_new(struct loop *loop, int fd, const struct wire_ops *ops, void *userdata)
{
        struct wire *w = new0(struct wire);
        w->loop = loop;
        w->fd = fd;
        w->ops = ops;
        w->userdata = userdata;
        w->source = loop_fd_new(loop, fd, EPOLLIN, wire_ready, w);
        return w;
}

void wire_write(struct wire *w, const void *data, size_t len)
{
        if (w->ended || w->freed || w->shut)
                return;
        bool idle = w->out.len == w->sent;
        strbuf_append(&w->out, data, len);
        /* The first bytes go at once; the rest when the socket takes them. */
        if (idle && !w->busy) {
                const struct wire_ops quiet = {.closed = w->ops->closed, .data = w->ops->data};
                const struct wire_ops *ops = w->ops;
                w->ops = &quiet; /* `drained` would call back into the caller */
                wire_flush(w);
                w->ops = ops;
        }
        wire_watch(w);
}

size_t wire_queued(const struct wire *w)
{
        return w->out.len - w->sent;
}

void wire_pause(struct wire *w, bool paused)
{
        w->paused = paused;
        wire_watch(w);
}

void wire_finish(struct wire *w)
{
        w->finishing = true;
        if (w->out.len == w->sent && !w->shut && !w->ended) {
                w->shut = true;
                shutdown(w->fd, SHUT_WR);
        }
}

void wire_free(struct wire *w)
{
        if (!w || w->freed)
                return;
        w->freed = true;
        loop_fd_free(w->source);
        close(w->fd);
        loop_defer(w->loop, wire_release, w);
}
