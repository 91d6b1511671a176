/* libcurl's multi interface on the loop.
 *
 * curl tells which descriptors and which one timer it waits for; both become sources of the loop, and
 * what happens to them is told back by curl_multi_socket_action(). Three things make that safe:
 *
 * - curl forbids adding and removing transfers from inside its callbacks, and our callbacks run other
 *   people's code. So while curl is on the stack (`in_curl`), http_open(), http_exchange_free() and
 *   http_exchange_send() only note what is wanted; settle() does it once curl has returned.
 * - A finished exchange is told to its owner outside curl, so `end` may do anything.
 * - The client itself may be freed in a callback: the last one out frees it (`busy`).
 *
 * A call costs little: exchanges with their easy handles and their buffers are kept and used again
 * (libcurl spends more on making a handle than on a request to a warm connection), options that never
 * change are set once, and headers are strung together in place without curl_slist's allocations.
 */
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <strings.h>

#include "../base/list.h"
#include "../base/time.h"

#define POOL_MAX 16                          /* idle exchanges kept: about 20 KiB each */
#define DEFAULT_TIMEOUT_NS (60 * NS_PER_SEC)
#define DEFAULT_MAX_BODY ((size_t)64 << 20)
#define CONNECT_TIMEOUT_MS 10000L
#define KEPT_CONNECTIONS 64L
#define OWN_HEADERS 2                        /* "Expect:" and "Content-Type:", to silence curl's */

struct http_client {
        struct loop *loop;
        CURLM *multi;
        struct loop_timer *timer;
        struct list pool;    /* idle exchanges */
        struct list live;    /* running ones */
        struct list todo;    /* those that settle() has to see */
        size_t n_pool;
        unsigned in_curl;    /* curl is on the stack */
        unsigned busy;       /* we are on the stack */
        bool dead;           /* freed while busy */
        bool insecure, http2;
        size_t max_body;
        char *unix_socket, *ca_file, *cert_file, *key_file;
        char *ca_data, *cert_data, *key_data;
};

/* One transfer. It is in `pool` or in `live` by `link`, and in `todo` by `todo` where curl must be told. */
struct http_exchange {
        struct http_client *client;
        struct list link, todo;
        CURL *easy;
        char errbuf[CURL_ERROR_SIZE];
        struct curl_slist *slist; /* an array, each linked to the next */
        size_t slist_cap;

        const struct http_exchange_ops *ops; /* NULL: an http_call() waits */
        void *userdata;
        struct fiber *fiber;
        struct http_reply *reply;
        int code;            /* of a finished http_call() */
        bool done;

        unsigned status;
        struct strbuf headers;
        size_t received;
        bool headers_told;
        bool follow;         /* redirects are followed: a 3xx is not the answer */
        int refusal;         /* why a callback stopped the transfer */
        bool added, freed;

        bool stream;         /* the request body goes on */
        bool paused, ended;
        struct strbuf out;   /* body queued to be sent */
        size_t out_at;       /* sent so far */
        struct strbuf copy;  /* URL, headers and body of http_open(), whose caller may drop them */
};

static void settle(struct http_client *c);
static void collect(struct http_client *c);

/* --- the client's life --- */

static void exchange_destroy(struct http_exchange *x)
{
        list_remove(&x->link);
        list_remove(&x->todo);
        curl_easy_cleanup(x->easy);
        strbuf_deinit(&x->headers);
        strbuf_deinit(&x->out);
        strbuf_deinit(&x->copy);
        free(x->slist);
        free(x);
}

static void client_destroy(struct http_client *c)
{
        list_foreach_safe(&c->live, it, tmp) {
                struct http_exchange *x = list_entry(it, struct http_exchange, link);
                if (x->added)
                        curl_multi_remove_handle(c->multi, x->easy);
                exchange_destroy(x);
        }
        list_foreach_safe(&c->pool, it, tmp)
                exchange_destroy(list_entry(it, struct http_exchange, link));
        if (c->multi)
                curl_multi_cleanup(c->multi);
        loop_timer_free(c->timer);
        free(c->unix_socket);
        free(c->ca_file);
        free(c->cert_file);
        free(c->key_file);
        free(c->ca_data);
        free(c->cert_data);
        if (c->key_data)
                explicit_bzero(c->key_data, strlen(c->key_data));
        free(c->key_data);
        free(c);
}

/* Around everything that calls curl or the owner of an exchange. */
static void enter(struct http_client *c)
{
        c->busy++;
}

static void leave(struct http_client *c)
{
        if (c->busy == 1 && !c->dead)
                settle(c);
        if (--c->busy == 0 && c->dead)
                client_destroy(c);
}

static void kick(struct http_client *c, curl_socket_t fd, int mask)
{
        int running;

        enter(c);
        c->in_curl++;
        curl_multi_socket_action(c->multi, fd, mask, &running);
        c->in_curl--;
        collect(c);
        leave(c);
}

static void on_fd(struct loop_fd *source, uint32_t events, void *userdata)
{
        int mask = 0;

        if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
                mask |= CURL_CSELECT_IN;
        if (events & EPOLLOUT)
                mask |= CURL_CSELECT_OUT;
        if (events & EPOLLERR)
                mask |= CURL_CSELECT_ERR;
        kick(userdata, loop_fd_get(source), mask);
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        kick(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static int curl_wants_fd(CURL *easy, curl_socket_t fd, int what, void *userdata, void *fd_data)
{
        struct http_client *c = userdata;
        struct loop_fd *source = fd_data;
        uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);

        if (what == CURL_POLL_REMOVE) {
                loop_fd_free(source);
                curl_multi_assign(c->multi, fd, NULL);
        } else if (source) {
                loop_fd_set(source, events);
        } else {
                curl_multi_assign(c->multi, fd, loop_fd_new(c->loop, fd, events, on_fd, c));
        }
        return 0;
}

static int curl_wants_timer(CURLM *multi, long timeout_ms, void *userdata)
{
        struct http_client *c = userdata;

        if (timeout_ms < 0)
                loop_timer_disarm(c->timer);
        else
                loop_timer_arm(c->timer, timeout_ms * NS_PER_MS);
        return 0;
}

int http_client_new(struct loop *loop, const struct http_client_options *o, struct http_client **ret,
                    struct error *reterr)
{
        static bool initialised;
        struct http_client *c;

        if (!initialised && curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
                return error_set(reterr, -EIO, "libcurl cannot be initialised");
        initialised = true;
        c = new0(struct http_client);
        c->loop = loop;
        list_init(&c->pool);
        list_init(&c->live);
        list_init(&c->todo);
        c->max_body = o->max_body ? o->max_body : DEFAULT_MAX_BODY;
        c->insecure = o->insecure;
        c->http2 = o->http2;
        c->unix_socket = o->unix_socket ? xstrdup(o->unix_socket) : NULL;
        c->ca_file = o->ca_file ? xstrdup(o->ca_file) : NULL;
        c->cert_file = o->cert_file ? xstrdup(o->cert_file) : NULL;
        c->key_file = o->key_file ? xstrdup(o->key_file) : NULL;
        c->ca_data = o->ca_data ? xstrdup(o->ca_data) : NULL;
        c->cert_data = o->cert_data ? xstrdup(o->cert_data) : NULL;
        c->key_data = o->key_data ? xstrdup(o->key_data) : NULL;
        c->timer = loop_timer_new(loop, on_timer, c);
        c->multi = curl_multi_init();
        if (!c->multi) {
                client_destroy(c);
                return error_set(reterr, -ENOMEM, "curl_multi_init failed");
        }
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_fd);
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
        curl_multi_setopt(c->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000L);
        *ret = c;
        return 0;
}

void http_client_free(struct http_client *c)
{
        if (!c)
                return;
        if (c->busy)
                c->dead = true;
        else
                client_destroy(c);
}

/* --- what curl calls during a transfer --- */

static int errno_of(CURLcode code)
{
        switch (code) {
        case CURLE_OK:
                return 0;
        case CURLE_COULDNT_CONNECT:
                return -ECONNREFUSED;
        case CURLE_OPERATION_TIMEDOUT:
                return -ETIMEDOUT;
        case CURLE_COULDNT_RESOLVE_HOST:
                return -EHOSTUNREACH;
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
                return -ECONNRESET;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CACERT_BADFILE:
                return -EACCES;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return -EINVAL;
        default:
                return -EPROTO;
        }
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata)
{
        struct http_exchange *x = userdata;
        size_t len = size * n;
        long status = 0;

        if (x->freed)
                return 0;
        if (len >= 5 && memcmp(data, "HTTP/", 5) == 0 && !x->headers_told) {
                strbuf_reset(&x->headers); /* of a redirect or a 100 Continue before */
        } else if (len > 2) {
                strbuf_append(&x->headers, data, len);
        } else if (!x->headers_told) {
                curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
                if (status >= 200 && (!x->follow || status < 300 || status >= 400)) {
                        x->status = status;
                        x->headers_told = x->ops != NULL;
                        if (x->ops && x->ops->headers)
                                x->ops->headers(x, status, x->userdata);
                }
        }
        return x->freed ? 0 : len;
}

static size_t on_data(char *data, size_t size, size_t n, void *userdata)
{
        struct http_exchange *x = userdata;
        size_t len = size * n;

        if (x->freed)
                return 0;
        if (x->ops) {
                x->ops->data(x, data, len, x->userdata);
                return x->freed ? 0 : len;
        }
        x->received += len;
        if (x->received > x->client->max_body) {
                x->refusal = -EFBIG;
                return 0;
        }
        strbuf_append(&x->reply->body, data, len);
        return len;
}

static size_t on_read(char *buffer, size_t size, size_t n, void *userdata)
{
        struct http_exchange *x = userdata;
        size_t len = MIN(size * n, x->out.len - x->out_at);

        if (x->freed)
                return CURL_READFUNC_ABORT;
        if (!len && x->ended)
                return 0;
        if (!len) {
                x->paused = true;
                return CURL_READFUNC_PAUSE;
        }
        memcpy(buffer, x->out.data + x->out_at, len);
        x->out_at += len;
        if (x->out_at == x->out.len) {
                strbuf_reset(&x->out);
                x->out_at = 0;
        }
        return len;
}

/* --- making an exchange --- */

static void set_blob(CURL *easy, CURLoption option, char *pem)
{
        struct curl_blob blob = {.data = pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};

        curl_easy_setopt(easy, option, &blob);
}

static void set_tls(struct http_client *c, CURL *easy)
{
        if (c->insecure) {
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
        }
        if (c->ca_data)
                set_blob(easy, CURLOPT_CAINFO_BLOB, c->ca_data);
        else if (c->ca_file)
                curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
        if (c->cert_data)
                set_blob(easy, CURLOPT_SSLCERT_BLOB, c->cert_data);
        else if (c->cert_file)
                curl_easy_setopt(easy, CURLOPT_SSLCERT, c->cert_file);
        if (c->key_data)
                set_blob(easy, CURLOPT_SSLKEY_BLOB, c->key_data);
        else if (c->key_file)
                curl_easy_setopt(easy, CURLOPT_SSLKEY, c->key_file);
}

/* What stays the same for every request of this client. */
static struct http_exchange *exchange_make(struct http_client *c)
{
        struct http_exchange *x = new0(struct http_exchange);
        CURL *easy = curl_easy_init();

        if (!easy)
                abort(); /* only for want of memory */
        x->client = c;
        x->easy = easy;
        list_init(&x->link);
        list_init(&x->todo);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->errbuf);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, x);
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
        if (c->http2)
                curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
        if (c->unix_socket)
                curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, c->unix_socket);
        set_tls(c, easy);
        return x;
}

static struct http_exchange *exchange_get(struct http_client *c)
{
        struct http_exchange *x;

        if (list_empty(&c->pool)) {
                x = exchange_make(c);
        } else {
                x = list_entry(c->pool.next, struct http_exchange, link);
                list_remove(&x->link);
                c->n_pool--;
        }
        list_push_back(&c->live, &x->link);
        return x;
}

/* Back to the pool, with nothing of the last request left but buffers. */
static void exchange_put(struct http_exchange *x)
{
        struct http_client *c = x->client;

        list_remove(&x->link);
        list_remove(&x->todo);
        if (c->n_pool >= POOL_MAX || x->stream || x->out.cap > 65536 || x->copy.cap > 65536) {
                exchange_destroy(x);
                return;
        }
        x->ops = NULL;
        x->userdata = NULL;
        x->fiber = NULL;
        x->reply = NULL;
        x->code = 0;
        x->status = 0;
        x->received = 0;
        x->refusal = 0;
        x->out_at = 0;
        x->done = x->headers_told = x->added = x->freed = x->paused = x->ended = false;
        strbuf_reset(&x->headers);
        strbuf_reset(&x->out);
        strbuf_reset(&x->copy);
        list_push_front(&c->pool, &x->link);
        c->n_pool++;
}

static bool names_header(const char *const *headers, const char *name)
{
        size_t len = strlen(name);

        for (; headers && *headers; headers++)
                if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
                        return true;
        return false;
}

static void set_headers(struct http_exchange *x, const char *const *headers)
{
        size_t n = 0, at = 0;

        while (headers && headers[n])
                n++;
        array_reserve(x->slist, x->slist_cap, n + OWN_HEADERS);
        for (; at < n; at++)
                x->slist[at].data = (char *)headers[at];
        x->slist[at++].data = (char *)"Expect:";
        if (!names_header(headers, "content-type"))
                x->slist[at++].data = (char *)"Content-Type:";
        for (size_t i = 0; i < at; i++)
                x->slist[i].next = i + 1 < at ? &x->slist[i + 1] : NULL;
        curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->slist);
}

static void set_method(struct http_exchange *x, const struct http_call *call)
{
        CURL *easy = x->easy;
        bool body = call->body || call->body_len;

        x->stream = !call->body && call->body_len == SIZE_MAX;
        if (x->stream) {
                curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        } else if (body || streq(call->method, "POST") || streq(call->method, "PUT") ||
                   streq(call->method, "PATCH")) {
                curl_easy_setopt(easy, CURLOPT_POST, 1L);
                curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
                curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t)(call->body ? call->body_len : 0));
        } else if (streq(call->method, "HEAD")) {
                curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        } else {
                curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        }
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
                         streq(call->method, "HEAD") ? NULL : call->method);
}

static void set_call(struct http_exchange *x, const struct http_call *call)
{
        CURL *easy = x->easy;
        int64_t timeout = call->timeout_ns ? call->timeout_ns : DEFAULT_TIMEOUT_NS;
        long version = CURL_HTTP_VERSION_1_1;

        if (x->client->http2)
                version = str_has_prefix(call->url, "https:") ? CURL_HTTP_VERSION_2TLS
                                                             : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
        x->errbuf[0] = '\0';
        x->follow = !call->no_redirects;
        curl_easy_setopt(easy, CURLOPT_URL, call->url);
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
        set_method(x, call);
        set_headers(x, call->headers);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                         timeout < 0 ? 0L : (long)MAX(timeout / NS_PER_MS, 1));
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, x->follow ? 1L : 0L);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, call->no_reuse ? 1L : 0L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, call->no_reuse ? 1L : 0L);
}

static void want(struct http_exchange *x)
{
        if (list_empty(&x->todo))
                list_push_back(&x->client->todo, &x->todo);
}

/* Adds to the multi handle now, or when curl has returned. */
static void exchange_add(struct http_exchange *x)
{
        struct http_client *c = x->client;

        if (c->in_curl) {
                want(x);
                return;
        }
        x->added = true;
        c->in_curl++;
        curl_multi_add_handle(c->multi, x->easy);
        c->in_curl--;
}

static void exchange_resume(struct http_exchange *x)
{
        struct http_client *c = x->client;

        if (!x->paused || !x->added)
                return;
        if (c->in_curl) {
                want(x);
                return;
        }
        x->paused = false;
        enter(c);
        c->in_curl++;
        curl_easy_pause(x->easy, CURLPAUSE_CONT);
        c->in_curl--;
        leave(c);
}

/* Does what was asked for while curl was on the stack. */
static void settle(struct http_client *c)
{
        while (!list_empty(&c->todo)) {
                struct http_exchange *x = list_entry(c->todo.next, struct http_exchange, todo);
                list_remove(&x->todo);
                if (x->freed) {
                        if (x->added)
                                curl_multi_remove_handle(c->multi, x->easy);
                        exchange_put(x);
                } else if (!x->added) {
                        exchange_add(x);
                } else {
                        exchange_resume(x);
                }
        }
}

/* --- the end of an exchange --- */

static void finish(struct http_exchange *x, CURLcode result)
{
        struct http_client *c = x->client;
        int code = x->refusal ? x->refusal : errno_of(result);
        const char *text = x->refusal == -EFBIG ? "the answer is too long"
                           : x->errbuf[0]       ? x->errbuf
                                                : curl_easy_strerror(result);

        curl_multi_remove_handle(c->multi, x->easy);
        x->added = false;
        if (x->freed) {
                exchange_put(x);
        } else if (!x->ops) {
                x->code = code;
                x->done = true;
                fiber_wake(x->fiber);
        } else {
                x->ops->end(x, code, code ? text : "", x->userdata);
                if (!c->dead)
                        exchange_put(x);
        }
}

static void collect(struct http_client *c)
{
        struct http_exchange *x;
        CURLMsg *msg;
        int left;

        while (!c->dead && (msg = curl_multi_info_read(c->multi, &left))) {
                if (msg->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&x);
                finish(x, msg->data.result);
        }
}

/* --- for fibers --- */

void http_reply_deinit(struct http_reply *r)
{
        strbuf_deinit(&r->body);
        strbuf_deinit(&r->headers);
}

static char *find_header(const struct strbuf *headers, struct arena *a, const char *name)
{
        size_t len = strlen(name);
        const char *line = strbuf_str(headers);

        while (*line) {
                const char *end = strchr(line, '\n');
                if (!end)
                        end = line + strlen(line);
                if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
                        const char *value = line + len + 1, *stop = end;
                        while (value < stop && (*value == ' ' || *value == '\t'))
                                value++;
                        while (stop > value && (stop[-1] == '\r' || stop[-1] == ' '))
                                stop--;
                        return arena_strndup(a, value, stop - value);
                }
                line = *end ? end + 1 : end;
        }
        return NULL;
}

char *http_reply_header(const struct http_reply *r, struct arena *a, const char *name)
{
        return find_header(&r->headers, a, name);
}

char *http_exchange_header(const struct http_exchange *x, struct arena *a, const char *name)
{
        return find_header(&x->headers, a, name);
}

int http_call(struct http_client *c, const struct http_call *call, struct http_reply *r,
              struct error *reterr)
{
        struct http_exchange *x = exchange_get(c);
        struct strbuf headers;
        long status = 0;
        int code;

        x->fiber = fiber_self();
        x->reply = r;
        set_call(x, call);
        exchange_add(x);
        while (!x->done)
                fiber_park();
        code = x->code;
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        r->status = status;
        headers = r->headers; /* swapped, so that both keep their memory */
        r->headers = x->headers;
        x->headers = headers;
        strbuf_reset(&x->headers);
        if (code < 0)
                error_set(reterr, code, "%s",
                          code == -EFBIG ? "the answer is too long" : x->errbuf[0] ? x->errbuf : strerror(-code));
        exchange_put(x);
        return code;
}

/* --- without a fiber --- */

/* Copies what the caller gave: curl reads headers and body while the transfer runs. */
static struct http_call copy_call(struct http_exchange *x, const struct http_call *call,
                                  const char ***ret_headers)
{
        struct http_call own = *call;
        size_t n = 0, at;
        const char **headers;

        while (call->headers && call->headers[n])
                n++;
        headers = xcalloc(n + 1, sizeof(*headers));
        for (size_t i = 0; i < n; i++)
                strbuf_append(&x->copy, call->headers[i], strlen(call->headers[i]) + 1);
        at = x->copy.len;
        if (call->body)
                strbuf_append(&x->copy, call->body, call->body_len);
        for (size_t i = 0, from = 0; i < n; i++) {
                headers[i] = x->copy.data + from;
                from += strlen(headers[i]) + 1;
        }
        own.headers = headers;
        own.body = call->body ? (x->copy.data ? x->copy.data + at : "") : NULL;
        *ret_headers = headers;
        return own;
}

struct http_exchange *http_open(struct http_client *c, const struct http_call *call,
                                const struct http_exchange_ops *ops, void *userdata)
{
        struct http_exchange *x = exchange_get(c);
        _cleanup_free_ const char **headers = NULL;
        struct http_call own = copy_call(x, call, &headers);

        x->ops = ops;
        x->userdata = userdata;
        set_call(x, &own);
        exchange_add(x);
        return x;
}

void http_exchange_free(struct http_exchange *x)
{
        struct http_client *c;

        if (!x)
                return;
        c = x->client;
        if (c->in_curl) {
                x->freed = true;
                want(x);
                return;
        }
        if (x->added)
                curl_multi_remove_handle(c->multi, x->easy);
        x->added = false;
        exchange_put(x);
}

void http_exchange_send(struct http_exchange *x, const void *data, size_t len)
{
        strbuf_append(&x->out, data, len);
        exchange_resume(x);
}

void http_exchange_send_end(struct http_exchange *x)
{
        x->ended = true;
        exchange_resume(x);
}
