/* The bytes of an upgraded connection: see wire.h.
 *
 * Reading stops while paused; but the end of the other side is still noticed then, because EPOLLHUP and
 * EPOLLERR come unasked. A transport may hold bytes that the descriptor does not tell of: after a pause,
 * and after a turn's last read, they are fetched by a call of our own at the end of the turn.
 */
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
        const struct wire_transport *transport; /* NULL: plain */
        void *t;
        struct strbuf out;
        size_t sent; /* of out */
        bool paused, finishing, shut, ended, freed, busy;
        bool unsent;   /* the transport holds bytes that the socket did not take */
        bool deferred; /* wire_again() will run */
};

static void wire_again(void *userdata);

static void wire_defer(struct wire *w)
{
        if (w->deferred)
                return;
        w->deferred = true;
        loop_defer(w->loop, wire_again, w);
}

static ssize_t raw_recv(struct wire *w, void *buf, size_t len)
{
        ssize_t n;

        if (w->transport)
                return w->transport->recv(w->t, buf, len);
        n = recv(w->fd, buf, len, MSG_DONTWAIT);
        return n < 0 ? -errno : n;
}

static ssize_t raw_send(struct wire *w, const void *data, size_t len)
{
        ssize_t n;

        if (w->transport)
                return w->transport->send(w->t, data, len);
        n = send(w->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        return n < 0 ? -errno : n;
}

static void wire_shut(struct wire *w)
{
        w->shut = true;
        if (w->transport)
                w->transport->finish(w->t);
        else
                shutdown(w->fd, SHUT_WR);
}

static void wire_watch(struct wire *w)
{
        uint32_t events = 0;
        if (w->ended || w->freed)
                return;
        if (!w->paused)
                events |= EPOLLIN;
        if (w->out.len > w->sent || w->unsent)
                events |= EPOLLOUT;
        loop_fd_set(w->source, events);
}

static void wire_end(struct wire *w, int code)
{
        if (w->ended || w->freed)
                return;
        w->ended = true;
        loop_fd_free(steal_ptr(w->source)); /* a hang-up would be reported in every turn */
        w->ops->closed(w, code, w->userdata);
}

/* Writes what it can. */
static void wire_flush(struct wire *w)
{
        bool had = w->out.len > w->sent || w->unsent;
        int r = w->transport ? w->transport->flush(w->t) : 0;
        w->unsent = r == -EAGAIN;
        while (r == 0 && w->out.len > w->sent) {
                ssize_t n = raw_send(w, w->out.data + w->sent, w->out.len - w->sent);
                if (n == -EINTR)
                        continue;
                if (n < 0)
                        r = (int)n;
                else
                        w->sent += (size_t)n;
        }
        if (r == 0 && w->transport)
                r = w->transport->flush(w->t);
        w->unsent = w->transport && r == -EAGAIN;
        if (r == -EAGAIN)
                return;
        if (r < 0) {
                wire_end(w, r);
                return;
        }
        if (w->out.cap > 4 * READ_SIZE)
                strbuf_deinit(&w->out);
        else
                strbuf_reset(&w->out);
        w->sent = 0;
        if (w->finishing && !w->shut)
                wire_shut(w);
        if (had && w->ops->drained && !w->ended && !w->freed)
                w->ops->drained(w, w->userdata);
}

static void wire_read(struct wire *w)
{
        uint8_t buf[READ_SIZE];
        for (int i = 0; i < READS_A_TURN && !w->paused && !w->ended && !w->freed; i++) {
                ssize_t n = raw_recv(w, buf, sizeof(buf));
                if (n == -EINTR)
                        continue;
                if (n == -EAGAIN)
                        return;
                if (n <= 0) {
                        wire_end(w, (int)n);
                        return;
                }
                w->ops->data(w, buf, (size_t)n, w->userdata);
                if (!w->transport && (size_t)n < sizeof(buf))
                        return;
        }
}

static void wire_release(void *userdata)
{
        struct wire *w = userdata;
        strbuf_deinit(&w->out);
        free(w);
}

/* Bytes in the transport's memory that nobody will announce. */
static void wire_check_pending(struct wire *w)
{
        if (w->transport && !w->paused && !w->ended && !w->freed && w->transport->pending(w->t))
                wire_defer(w);
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
        wire_watch(w);
        wire_check_pending(w);
}

static void wire_again(void *userdata)
{
        struct wire *w = userdata;
        w->deferred = false;
        if (w->freed)
                wire_release(w);
        else
                wire_ready(w->source, EPOLLIN, w);
}

struct wire *wire_new(struct loop *loop, int fd, const struct wire_ops *ops, void *userdata)
{
        return wire_new_over(loop, fd, NULL, NULL, ops, userdata);
}

struct wire *wire_new_over(struct loop *loop, int fd, const struct wire_transport *transport, void *t,
                           const struct wire_ops *ops, void *userdata)
{
        struct wire *w = new0(struct wire);
        w->loop = loop;
        w->fd = fd;
        w->transport = transport;
        w->t = t;
        w->ops = ops;
        w->userdata = userdata;
        w->source = loop_fd_new(loop, fd, EPOLLIN, wire_ready, w);
        wire_check_pending(w);
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
        if (!w->busy)
                wire_check_pending(w);
}

void wire_hand_over(struct wire *w, const struct wire_ops *ops, void *userdata)
{
        w->ops = ops;
        w->userdata = userdata;
        wire_pause(w, false);
}

void wire_finish(struct wire *w)
{
        w->finishing = true;
        if (w->out.len == w->sent && !w->unsent && !w->shut && !w->ended)
                wire_shut(w);
}

void wire_free(struct wire *w)
{
        if (!w || w->freed)
                return;
        w->freed = true;
        loop_fd_free(w->source);
        if (w->transport)
                w->transport->free(w->t);
        close(w->fd);
        if (!w->deferred)
                loop_defer(w->loop, wire_release, w);
}

void wire_abort(struct wire *w)
{
        const struct linger now = {.l_onoff = 1};
        if (w && !w->freed)
                setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        wire_free(w);
}
