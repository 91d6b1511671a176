/* The reflector: keeps a store equal to what the API server has.
 *
 * States: listing (on a fiber, page by page) -> watching (an exchange that calls back, no fiber) ->
 * after its end watching again from the last revision, or after 410 listing again; failures wait
 * with a backoff. Pages are cut into items as text, so that a list of thousands never is one tree.
 */
#include "informer.h"

#include <errno.h>
#include <stdio.h>

#include "../base/encode.h"
#include "../base/time.h"

#define PAGE 500
#define BACKOFF_FIRST_NS (200 * NS_PER_MS)
#define BACKOFF_MAX_NS (30 * NS_PER_SEC)
#define WATCH_MIN_S 1800 /* a watch is renewed after half an hour to an hour */
#define LINE_KEEP (16 << 10)
#define HANDLERS_MAX 16

struct informer {
        struct client *client;
        struct informer_options o;
        char *path;     /* "/api/v1/pods?labelSelector=...&" */
        struct object_store *store;
        struct informer_handler handlers[HANDLERS_MAX];
        size_t n_handlers;
        struct loop_timer *retry;
        int64_t backoff_ns;
        struct http_exchange *watch;
        unsigned watch_status;
        struct strbuf line; /* of the watch, not yet complete */
        char *revision;     /* where to watch from; NULL: list first */
        bool started, synced, absent;
        bool on_fiber, freed;
};

static void start_list(struct informer *inf);
static void start_watch(struct informer *inf);

static void tell(struct object_store *s, struct object *old, struct object *new, void *userdata)
{
        struct informer *inf = userdata;

        for (size_t i = 0; i < inf->n_handlers; i++)
                inf->handlers[i].changed(inf, old, new, inf->handlers[i].userdata);
}

static char *dup_or_null(const char *s)
{
        return s ? xstrdup(s) : NULL;
}

static void escape(struct strbuf *b, const char *s)
{
        for (; *s; s++) {
                bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                             strchr("-._~", *s);

                if (plain)
                        strbuf_putc(b, *s);
                else
                        strbuf_printf(b, "%%%02X", (unsigned char)*s);
        }
}

static char *make_path(const struct informer_options *o)
{
        _cleanup_arena_ struct arena *a = arena_new(512);
        struct strbuf b = STRBUF_INIT;

        strbuf_puts(&b, client_path(a, o->group, o->version, o->resource, o->namespace, NULL, NULL));
        strbuf_putc(&b, '?');
        if (o->label_selector) {
                strbuf_puts(&b, "labelSelector=");
                escape(&b, o->label_selector);
                strbuf_putc(&b, '&');
        }
        if (o->field_selector) {
                strbuf_puts(&b, "fieldSelector=");
                escape(&b, o->field_selector);
                strbuf_putc(&b, '&');
        }
        return strbuf_steal(&b);
}

static void on_retry(struct loop_timer *timer, void *userdata)
{
        struct informer *inf = userdata;

        if (inf->revision)
                start_watch(inf);
        else
                start_list(inf);
}

struct informer *informer_new(struct client *c, const struct informer_options *o)
{
        struct informer *inf = new0(struct informer);

        inf->client = c;
        inf->o = *o;
        inf->o.group = dup_or_null(o->group);
        inf->o.version = dup_or_null(o->version);
        inf->o.resource = dup_or_null(o->resource);
        inf->o.namespace = inf->o.label_selector = inf->o.field_selector = NULL; /* live on in the path */
        inf->path = make_path(o);
        inf->store = object_store_new(o->decorate);
        inf->backoff_ns = BACKOFF_FIRST_NS;
        inf->retry = loop_timer_new(client_loop(c), on_retry, inf);
        object_store_add_handler(inf->store, tell, inf);
        return inf;
}

static void release(struct informer *inf)
{
        object_store_free(inf->store);
        strbuf_deinit(&inf->line);
        free(inf->path);
        free(inf->revision);
        free((char *)inf->o.group);
        free((char *)inf->o.version);
        free((char *)inf->o.resource);
        free(inf);
}

void informer_free(struct informer *inf)
{
        if (!inf)
                return;
        loop_timer_free(inf->retry);
        inf->retry = NULL;
        inf->n_handlers = 0;
        if (inf->watch)
                http_exchange_free(inf->watch);
        inf->watch = NULL;
        inf->freed = true;
        if (!inf->on_fiber) /* else the fiber does, when it wakes */
                release(inf);
}

void informer_add_handler(struct informer *inf, const struct informer_handler *h)
{
        if (inf->n_handlers == HANDLERS_MAX)
                abort();
        inf->handlers[inf->n_handlers++] = *h;
}

static void set_revision(struct informer *inf, const char *revision)
{
        char *copy = dup_or_null(revision);

        free(inf->revision);
        inf->revision = copy;
}

/* Waits, each time twice as long, with a spread so that informers do not come back in step. */
static void retry_later(struct informer *inf, int code, const char *text)
{
        int64_t in = inf->backoff_ns / 2 + random_below((uint32_t)(inf->backoff_ns / 2 / 1000)) * 1000LL;

        if (inf->o.failed)
                inf->o.failed(inf, code, text, inf->o.userdata);
        inf->backoff_ns = MIN(inf->backoff_ns * 2, BACKOFF_MAX_NS);
        loop_timer_arm_slack(inf->retry, in, in / 4);
}

static void now_synced(struct informer *inf)
{
        if (inf->synced)
                return;
        inf->synced = true;
        if (inf->o.synced)
                inf->o.synced(inf, inf->o.userdata);
}

/* --- lists, as text --- */

static const char *skip_space(const char *p, const char *end)
{
        while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
                p++;
        return p;
}

/* The end of the JSON value at P; NULL when the text ends before it does. */
static const char *skip_value(const char *p, const char *end)
{
        size_t depth = 0;

        for (p = skip_space(p, end); p < end; p++) {
                if (*p == '"') {
                        for (p++; p < end && *p != '"'; p++)
                                p += *p == '\\';
                        if (p >= end)
                                return NULL;
                } else if (*p == '{' || *p == '[') {
                        depth++;
                } else if (*p == '}' || *p == ']') {
                        if (!depth)
                                return p; /* of what is around a bare number or word */
                        depth--;
                } else if (*p == ',' && !depth) {
                        return p;
                } else {
                        continue;
                }
                if (!depth)
                        return *p == ',' ? p : p + 1;
        }
        return depth ? NULL : p;
}

/* What a page says beside its items. */
struct page {
        struct json *meta;
        const char *kind; /* of the items: the list's without "List"; NULL: unknown */
        const char *api_version;
        const char *items, *items_end;
};

/* Items of built-in kinds come without kind and apiVersion: the list has them. */
static struct object *parse_object(const struct page *page, const char *text, size_t len, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(len * 4 + 1024);
        struct json *j;

        if (json_parse(a, text, len, NULL, &j, reterr) < 0)
                return NULL;
        if (page->kind && page->api_version && json_is_object(j) && !json_get(j, "kind")) {
                json_set_string(a, j, "kind", page->kind);
                json_set_string(a, j, "apiVersion", page->api_version);
        }
        return object_new_copy(j);
}

static int take_items(struct informer *inf, const struct page *page, struct error *reterr)
{
        const char *end = page->items_end, *p = skip_space(page->items, end);

        if (p < end && *p == 'n')
                return 0; /* null */
        for (p = skip_space(p + 1, end); p < end && *p != ']';) {
                const char *stop = skip_value(p, end);
                struct object *o = stop ? parse_object(page, p, (size_t)(stop - p), reterr) : NULL;

                if (!o)
                        return -EPROTO;
                object_store_replace_item(inf->store, o);
                p = skip_space(stop, end);
                if (p < end && *p == ',')
                        p = skip_space(p + 1, end);
        }
        return 0;
}

static void take_kind(struct arena *a, struct page *page, const struct json *kind)
{
        const char *text = json_string(kind);

        if (str_has_suffix(text ? text : "", "List"))
                page->kind = arena_strndup(a, text, strlen(text) - strlen("List"));
}

/* A member of the list; VALUE to STOP is its text. */
static int take_member(struct arena *a, struct page *page, const char *key, size_t key_len, const char *value,
                       const char *stop, struct error *reterr)
{
        struct json *j = NULL;
        int r;

        if (key_len == 5 && memcmp(key, "items", 5) == 0) {
                page->items = value;
                page->items_end = stop;
                return 0;
        }
        r = json_parse(a, value, (size_t)(stop - value), NULL, &j, reterr);
        if (r < 0)
                return r;
        if (key_len == 8 && memcmp(key, "metadata", 8) == 0)
                page->meta = j;
        else if (key_len == 4 && memcmp(key, "kind", 4) == 0)
                take_kind(a, page, j);
        else if (key_len == 10 && memcmp(key, "apiVersion", 10) == 0)
                page->api_version = json_string(j);
        return 0;
}

/* One page: its items into the store, its metadata parsed into *ret_meta. */
static int take_page(struct informer *inf, const char *text, size_t len, struct arena *a, struct json **ret_meta,
                     struct error *reterr)
{
        const char *end = text + len, *p = skip_space(text, end);
        struct page page = { 0 };
        int r = 0;

        if (p == end || *p != '{')
                return error_set(reterr, -EPROTO, "the list is no object");
        for (p = skip_space(p + 1, end); p < end && *p == '"';) {
                const char *key = p + 1, *key_end = skip_value(p, end), *value, *stop;

                value = key_end ? skip_space(key_end, end) : end;
                stop = value < end && *value == ':' ? skip_value(value + 1, end) : NULL;
                if (!stop)
                        return error_set(reterr, -EPROTO, "the list is cut off");
                r = take_member(a, &page, key, (size_t)(key_end - key) - 1, value + 1, stop, reterr);
                if (r < 0)
                        return r;
                p = skip_space(stop, end);
                if (p < end && *p == ',')
                        p = skip_space(p + 1, end);
        }
        if (streq(page.kind, "PartialObjectMetadata"))
                page.kind = NULL;
        if (page.items)
                r = take_items(inf, &page, reterr);
        *ret_meta = page.meta;
        return r;
}

/* Fetches one page. *CONT is where it goes on, replaced by where the next does (NULL: the last). */
static int list_page(struct informer *inf, struct arena *a, const char **cont, struct error *reterr)
{
        const char *headers[CLIENT_HEADERS];
        struct http_reply reply = { 0 };
        struct http_call call = { .method = "GET", .headers = headers };
        struct json *meta = NULL;
        int r;

        call.url = arena_printf(a, "%s%slimit=%d%s%s", client_server(inf->client), inf->path, PAGE,
                                *cont ? "&continue=" : "", *cont ? *cont : "");
        client_headers(inf->client, a, NULL,
                       inf->o.metadata_only ?
                               "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" :
                               NULL,
                       headers);
        r = http_call(client_http(inf->client), &call, &reply, reterr);
        if (!r && !inf->freed) {
                r = client_outcome(reply.status, NULL);
                if (r == CLIENT_UNAUTHORIZED)
                        client_unauthorized(inf->client);
                if (r)
                        error_set(reterr, r, "the server answered %u", reply.status);
                else
                        r = take_page(inf, strbuf_str(&reply.body), reply.body.len, a, &meta, reterr);
        }
        http_reply_deinit(&reply);
        if (r || inf->freed)
                return r ? r : -ECANCELED;
        *cont = json_get_string(meta, "continue");
        if (str_empty(*cont)) {
                *cont = NULL;
                set_revision(inf, json_get_string(meta, "resourceVersion"));
        } else {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

                escape(&b, *cont);
                *cont = arena_strdup(a, strbuf_str(&b));
        }
        return 0;
}

static void list_fiber(void *userdata)
{
        struct informer *inf = userdata;
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *cont = NULL;
        int r;

        inf->on_fiber = true;
        object_store_replace_begin(inf->store);
        do {
                r = list_page(inf, a, &cont, &err);
        } while (!r && cont);
        inf->on_fiber = false;
        if (inf->freed) {
                release(inf);
                return;
        }
        inf->absent = r == CLIENT_NOT_FOUND;
        if (r || !inf->revision) {
                set_revision(inf, NULL);
                if (inf->absent) {
                        now_synced(inf);
                        inf->backoff_ns = BACKOFF_MAX_NS;
                }
                retry_later(inf, r, error_text(&err));
                return;
        }
        object_store_replace_end(inf->store, strtoull(inf->revision, NULL, 10));
        inf->backoff_ns = BACKOFF_FIRST_NS;
        now_synced(inf);
        start_watch(inf);
}

static void start_list(struct informer *inf)
{
        fiber_start(client_loop(inf->client), list_fiber, inf);
}

/* --- watches --- */

/* 0; -EAGAIN: the server says that it cannot go on from here (410): list again. */
static int take_watch_event(struct informer *inf, const char *text, size_t len, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(len * 4 + 1024);
        const char *type, *revision;
        struct json *event, *object;
        struct object *o;

        if (json_parse(a, text, len, NULL, &event, reterr) < 0)
                return -EPROTO;
        type = json_get_string(event, "type");
        object = json_get(event, "object");
        if (streq(type, "ERROR")) {
                const char *message = json_get_string(object, "message");

                error_set(reterr, -EAGAIN, "%s", message ? message : "the watch failed");
                return json_get_int(object, "code", 0) == 410 ? -EAGAIN : -EPROTO;
        }
        revision = json_path_string(object, "metadata.resourceVersion");
        if (!type || !revision)
                return error_set(reterr, -EPROTO, "a watch event without type or resourceVersion");
        set_revision(inf, revision);
        inf->backoff_ns = BACKOFF_FIRST_NS;
        if (streq(type, "BOOKMARK")) {
                object_store_bookmark(inf->store, strtoull(revision, NULL, 10));
                return 0;
        }
        o = object_new_copy(object);
        object_store_event(inf->store, o, streq(type, "DELETED"));
        return 0;
}

/* Ends the watch from our side and goes on as after CODE. */
static void stop_watch(struct informer *inf, int code, const char *text)
{
        if (inf->watch)
                http_exchange_free(inf->watch);
        inf->watch = NULL;
        strbuf_deinit(&inf->line);
        inf->line = (struct strbuf)STRBUF_INIT;
        if (code == -EAGAIN)
                set_revision(inf, NULL);
        if (code == -EAGAIN && inf->backoff_ns == BACKOFF_FIRST_NS) {
                inf->backoff_ns *= 2; /* at once, but only once */
                loop_timer_arm(inf->retry, 0);
                return;
        }
        retry_later(inf, code, text);
}

static void on_watch_headers(struct http_exchange *x, unsigned status, void *userdata)
{
        ((struct informer *)userdata)->watch_status = status;
}

static void on_watch_data(struct http_exchange *x, const char *data, size_t len, void *userdata)
{
        struct informer *inf = userdata;
        _cleanup_error_ struct error err = ERROR_INIT;
        size_t from = 0;

        if (inf->watch_status != 200)
                return; /* the end tells */
        strbuf_append(&inf->line, data, len);
        for (;;) {
                const char *nl = memchr(inf->line.data + from, '\n', inf->line.len - from);
                int r;

                if (!nl)
                        break;
                len = (size_t)(nl - inf->line.data) - from;
                r = len ? take_watch_event(inf, inf->line.data + from, len, &err) : 0;
                if (r < 0) {
                        stop_watch(inf, r, error_text(&err));
                        return;
                }
                from += len + 1;
        }
        if (from) {
                memmove(inf->line.data, inf->line.data + from, inf->line.len - from + 1);
                inf->line.len -= from;
        }
        /* A burst leaves a big buffer behind: thousands of idle watches should not keep theirs. */
        if (!inf->line.len && inf->line.cap > LINE_KEEP) {
                strbuf_deinit(&inf->line);
                inf->line = (struct strbuf)STRBUF_INIT;
        }
}

static void on_watch_end(struct http_exchange *x, int code, const char *text, void *userdata)
{
        struct informer *inf = userdata;
        int outcome = code ? 0 : client_outcome(inf->watch_status, NULL);

        inf->watch = NULL;
        if (outcome == CLIENT_UNAUTHORIZED)
                client_unauthorized(inf->client);
        if (outcome == CLIENT_GONE || outcome == CLIENT_NOT_FOUND)
                stop_watch(inf, -EAGAIN, "the revision is too old");
        else if (code || outcome)
                stop_watch(inf, code ? code : outcome, code ? text : "the watch was refused");
        else
                stop_watch(inf, 0, "the watch ended");
}

static void start_watch(struct informer *inf)
{
        static const struct http_exchange_ops ops = {
                .headers = on_watch_headers,
                .data = on_watch_data,
                .end = on_watch_end,
        };
        _cleanup_arena_ struct arena *a = arena_new(1024);
        const char *headers[CLIENT_HEADERS];
        struct http_call call = { .method = "GET", .headers = headers, .timeout_ns = -1 };

        call.url = arena_printf(a, "%s%swatch=true&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u",
                                client_server(inf->client), inf->path, inf->revision,
                                WATCH_MIN_S + random_below(WATCH_MIN_S));
        client_headers(inf->client, a, NULL,
                       inf->o.metadata_only ? "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" :
                                              NULL,
                       headers);
        inf->watch_status = 0;
        inf->watch = http_open(client_http(inf->client), &call, &ops, inf);
}

/* --- the rest of the contract --- */

void informer_start(struct informer *inf)
{
        if (inf->started)
                return;
        inf->started = true;
        start_list(inf);
}

bool informer_synced(const struct informer *inf)
{
        return inf->synced;
}

bool informer_absent(const struct informer *inf)
{
        return inf->absent;
}

struct object_store *informer_store(const struct informer *inf)
{
        return inf->store;
}

struct object *informer_get(const struct informer *inf, const char *key)
{
        return object_store_get(inf->store, key);
}

const struct map *informer_objects(const struct informer *inf)
{
        return object_store_objects(inf->store);
}

void informer_note_write(struct informer *inf, const struct json *json)
{
        object_store_note_write(inf->store, json);
}

void informer_note_delete(struct informer *inf, const char *key, const char *uid)
{
        object_store_note_delete(inf->store, key, uid);
}
