/* WATCH: the cache's events, one line each.
 *
 * An event is three pieces: `{"type":"MODIFIED","object":`, the entry's own buffer, `}`. All watchers of
 * an object share that buffer, and what waits in a slow watcher's queue is references to it. A watcher
 * that falls behind by QUEUE_MAX bytes is cut off: it resumes from the version it saw last.
 *
 * An idle watcher is this struct, its selectors, a stream and a connection: no fiber, no request. One timer
 * serves all bookmarks: every minute, those watchers whose kind moved on are told how far.
 */
#include <errno.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/list.h"
#include "../../lib/base/time.h"
#include "../flow/work.h"
#include "../registry/registry.h"
#include "../registry/definitions.h"
#include "../schema/crd.h"
#include "../schema/protobuf.h"
#include "../schema/table.h"
#include "../storage/entry.h"
#include "request-info.h"
#include "selection.h"
#include "verbs.h"

#define QUEUE_MAX ((size_t)16 << 20)
#define BOOKMARK_NS (60 * NS_PER_SEC)
#define BOOKMARK_SLACK_NS (10 * NS_PER_SEC)
#define TIMEOUT_MIN_S 1800

struct watcher {
        struct list link;            /* of those that get bookmarks */
        struct list custom;          /* of those whose kind a definition may take away */
        struct apiserver *server;
        const struct resource *res;
        struct arena *arena;         /* its selectors */
        struct selection sel;
        struct media media;
        char media_version[8];
        enum table_include include;
        bool bookmarks, columns_sent;
        uint64_t told;               /* the client knows of everything up to here */
        size_t allowance;            /* bytes that may wait: QUEUE_MAX beyond what it began with */
        struct http_stream *stream;
        struct store_watch *watch;
        struct loop_timer *timeout;
        struct backlog *backlog;     /* NULL: events are written at once */
        struct flow_watch *counted;  /* with those that hear of writes */
};

/* Events that wait for a conversion webhook, and those behind them: a fiber writes them. */
struct backlog {
        struct watcher *w; /* NULL: it is gone */
        struct store_event *list; /* without an entry: the bookmark that ends the initial events */
        size_t at, n, cap;
        bool running;
};

static struct list bookmarkers = LIST_INIT(bookmarkers);
static struct list customs = LIST_INIT(customs);
static struct loop_timer *bookmark_timer;

static void backlog_free(struct backlog *b)
{
        for (; b->at < b->n; b->at++) {
                entry_unref(b->list[b->at].entry);
                entry_unref(b->list[b->at].before);
        }
        free(b->list);
        free(b);
}

static void watcher_free(struct watcher *w)
{
        if (w->backlog && !w->backlog->running)
                backlog_free(w->backlog);
        else if (w->backlog)
                w->backlog->w = NULL;
        list_remove(&w->link);
        list_remove(&w->custom);
        resource_unref(w->res);
        store_watch_free(w->watch);
        flow_watch_end(w->counted);
        loop_timer_free(w->timeout);
        arena_free(w->arena);
        free(w);
}

static void on_closed(struct http_stream *s, void *userdata)
{
        watcher_free(userdata);
}

static const struct http_stream_ops stream_ops = {.closed = on_closed};

/* No more events; the stream ends when what is queued is sent. */
static void watcher_end(struct watcher *w)
{
        store_watch_free(steal_ptr(w->watch));
        http_stream_end(w->stream);
}

/* Watches of a definition's instances end when it changes: clients list anew, by the new schema. */
static void on_definition_replaced(const struct crd *c)
{
        list_foreach_safe(&customs, it, tmp) {
                struct watcher *w = list_entry(it, struct watcher, custom);
                if (w->res->crd->crd == c && w->watch)
                        watcher_end(w);
        }
}

/* --- events --- */

static void frame_text(struct strbuf *out, const char *type, const struct strbuf *object)
{
        strbuf_printf(out, "{\"type\":\"%s\",\"object\":", type);
        strbuf_append(out, strbuf_str(object), object->len);
        strbuf_puts(out, "}\n");
}

/* An event whose object is a tree with kind and apiVersion, in the watcher's encoding. */
static void frame_tree(struct strbuf *out, const struct watcher *w, const char *type, const struct json *obj)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *version = json_get_string(obj, "apiVersion"), *kind = json_get_string(obj, "kind");
        const struct schema *s = w->media.type == MEDIA_PROTOBUF && version && kind ? builtin_body(version, kind) : NULL;

        if (!s) {
                json_write(&b, obj);
                frame_text(out, type, &b);
        } else {
                protobuf_encode(&b, s, obj);
                protobuf_frame(out, type, &b);
        }
}

static void write_text(struct watcher *w, const char *type, const struct strbuf *object)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        frame_text(&b, type, object);
        http_stream_write(w->stream, b.data, b.len);
}

static void write_tree(struct watcher *w, const char *type, const struct json *obj)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        frame_tree(&b, w, type, obj);
        http_stream_write(w->stream, b.data, b.len);
}

/* TEXT, an object of the watcher's resource or its metadata, as it is or in protobuf. */
static void frame_object(struct strbuf *out, struct arena *a, const struct watcher *w, const char *type, const struct strbuf *text)
{
        bool partial = w->media.as == MEDIA_AS_PARTIAL;
        const struct schema *s = partial ? builtin_body("meta.k8s.io/v1", "PartialObjectMetadata") : w->res->schema;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (w->media.type != MEDIA_PROTOBUF)
                frame_text(out, type, text);
        else if (protobuf_encode_text(&b, partial ? "meta.k8s.io/v1" : body_type_of(a, w->res).group_version,
                                      partial ? "PartialObjectMetadata" : w->res->kind, s, text->data, text->len))
                protobuf_frame(out, type, &b);
}

static void convert(struct strbuf *out, struct watcher *w, const char *type, const struct entry *e)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *version = w->media.type == MEDIA_PROTOBUF ? "v1" : w->media.version, *text;
        size_t len;

        text = registry_text(a, w->res, e, &len);
        if (!text)
                return;
        if (w->media.as == MEDIA_AS_TABLE) {
                struct table_reader *reader = table_reader_new(a, w->res, w->include, version);
                struct json *meta = json_new_object(a);
                json_set_string(a, meta, "resourceVersion", arena_printf(a, "%llu", (unsigned long long)e->revision));
                table_begin(&b, w->res, version, meta, !w->columns_sent);
                table_row_text(&b, reader, text, len, time_real(), true);
                table_end(&b, w->res, 1);
                frame_text(out, type, &b);
        } else if (w->media.as == MEDIA_AS_PARTIAL) {
                if (partial_object_text(&b, text, len, version))
                        frame_object(out, a, w, type, &b);
        } else if (w->media.as == MEDIA_AS_IS) {
                strbuf_append(&b, text, len);
                frame_object(out, a, w, type, &b);
        } /* an object is no list: upstream sends nothing */
}

/* An event goes from watcher to watcher, and most of them want the same form: what was made last stays at hand. */
static void write_converted(struct watcher *w, const char *type, struct entry *e)
{
        static struct {
                struct entry *e;
                struct buffer *b;
                const struct resource *res;
                const char *type;
                struct media media;
                char version[sizeof(w->media_version)];
                enum table_include include;
                bool columns_sent;
                int64_t second; /* of a Table: ages are in it */
        } last;
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        int64_t second = w->media.as == MEDIA_AS_TABLE ? time_real() / NS_PER_SEC : 0;

        if (w->res->crd || last.second != second || last.e != e || last.res != w->res || last.type != type || last.media.as != w->media.as ||
            last.media.type != w->media.type || !streq(last.version, w->media_version) || last.include != w->include ||
            last.columns_sent != w->columns_sent) {
                convert(&out, w, type, e);
                entry_unref(last.e);
                buffer_unref(last.b);
                last.e = entry_ref(e);
                last.b = buffer_new_copy(strbuf_str(&out), out.len);
                last.res = w->res;
                last.type = type;
                last.media = w->media;
                memcpy(last.version, w->media_version, sizeof(last.version));
                last.include = w->include;
                last.columns_sent = w->columns_sent;
                last.second = second;
        }
        w->columns_sent = true;
        if (last.b->len)
                http_stream_write_buffer(w->stream, last.b);
}

static void write_entry(struct watcher *w, enum store_event_type type, struct entry *e)
{
        static const char *const names[] = {"ADDED", "MODIFIED", "DELETED"};
        static const char *const fronts[] = {"{\"type\":\"ADDED\",\"object\":", "{\"type\":\"MODIFIED\",\"object\":",
                                             "{\"type\":\"DELETED\",\"object\":"};

        if (w->media.as == MEDIA_AS_IS && w->media.type == MEDIA_JSON && registry_sends_bytes(w->res))
                http_stream_write_around(w->stream, fronts[type], e->json, "}\n");
        else
                write_converted(w, names[type], e);
}

/* Selectors turn changes into comings and goings: what no longer matches was deleted, as far as this
 * watcher can see, and is shown as it last matched. */
static void write_event(struct watcher *w, const struct store_event *ev)
{
        bool now = ev->type != STORE_DELETED && selection_matches(&w->sel, ev->entry);
        bool before = ev->before && selection_matches(&w->sel, ev->before);

        if (ev->type == STORE_DELETED && !ev->before)
                before = selection_matches(&w->sel, ev->entry);
        if (now) {
                write_entry(w, before ? STORE_MODIFIED : STORE_ADDED, ev->entry);
        } else if (before && ev->type == STORE_DELETED) {
                write_entry(w, STORE_DELETED, ev->entry);
        } else if (before) {
                struct entry *e = entry_new_at(ev->before, ev->revision);
                write_entry(w, STORE_DELETED, e);
                entry_unref(e);
        }
        if (now || before)
                w->told = ev->revision;
        if (http_stream_queued(w->stream) > w->allowance) {
                struct http_stream *s = w->stream;
                watcher_free(w);
                http_stream_abort(s);
        }
}

static void write_status(struct watcher *w, const struct status *st, struct arena *a)
{
        write_tree(w, "ERROR", status_json(a, st));
}

static void write_bookmark(struct watcher *w, uint64_t revision, bool initial_end);

static void write_waiting(struct backlog *b, const struct store_event *ev)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct api_request r = {.arena = a, .server = b->w->server};
        const struct resource *res = b->w->res;
        struct entry *entries[] = {ev->entry, ev->before};
        const struct status *st;

        resource_ref(res);
        st = registry_converted(&r, res, entries, ev->before ? 2 : ev->entry ? 1 : 0);
        resource_unref(res);
        if (!b->w || !b->w->watch)
                return;
        if (st) {
                write_status(b->w, st, a);
                watcher_end(b->w);
        } else if (ev->entry) {
                write_event(b->w, ev);
        } else {
                write_bookmark(b->w, ev->revision, true);
        }
}

static void run_backlog(void *userdata)
{
        struct backlog *b = userdata;

        for (; b->at < b->n; b->at++) {
                struct store_event ev = b->list[b->at]; /* the list may move */

                if (b->w && b->w->watch)
                        write_waiting(b, &ev);
                entry_unref(ev.entry);
                entry_unref(ev.before);
        }
        if (b->w)
                b->w->backlog = NULL;
        backlog_free(b);
}

static void start_backlog(struct watcher *w)
{
        struct backlog *b = w->backlog;

        if (!b || b->running || !w->watch) /* as long as it begins, there is no watch */
                return;
        b->running = true;
        fiber_start(w->server->loop, run_backlog, b);
}

/* Whether EV has to wait: then it was taken. */
static bool put_off(struct watcher *w, const struct store_event *ev)
{
        struct backlog *b = w->backlog;

        if (!b && (!ev->entry || !registry_unconverted(w->res, ev->entry)))
                return false;
        if (!b) {
                b = w->backlog = new0(struct backlog);
                b->w = w;
        }
        array_reserve(b->list, b->cap, b->n + 1);
        b->list[b->n++] = *ev;
        if (ev->entry)
                entry_ref(ev->entry);
        if (ev->before)
                entry_ref(ev->before);
        start_backlog(w);
        return true;
}

static void on_event(const struct store_event *ev, void *userdata)
{
        struct watcher *w = userdata;

        if (!put_off(w, ev))
                write_event(w, ev);
}

static void on_cut(void *userdata)
{
        struct watcher *w = userdata;
        _cleanup_arena_ struct arena *a = arena_new(0);

        write_status(w, status_expired(a, "The resourceVersion for the provided watch is too old."), a);
        watcher_end(w);
}

static const struct store_watch_ops watch_ops = {.event = on_event, .cut = on_cut};

/* --- bookmarks --- */

static void write_bookmark(struct watcher *w, uint64_t revision, bool initial_end)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *obj = json_new_object(a), *meta;
        struct body_type type = body_type_of(a, w->res);

        json_set_string(a, obj, "kind", w->media.as == MEDIA_AS_IS ? type.kind : "PartialObjectMetadata");
        json_set_string(a, obj, "apiVersion",
                        w->media.as == MEDIA_AS_IS ? type.group_version : arena_printf(a, "meta.k8s.io/%s", w->media.version));
        meta = json_ensure_object(a, obj, "metadata");
        json_set_string(a, meta, "resourceVersion", arena_printf(a, "%llu", (unsigned long long)revision));
        if (initial_end)
                json_set_string(a, json_ensure_object(a, meta, "annotations"), "k8s.io/initial-events-end", "true");
        if (w->media.as == MEDIA_AS_IS && !w->res->crd)
                schema_canonicalise(a, w->res->schema, obj);
        if (w->media.as == MEDIA_AS_TABLE) {
                table_begin(&b, w->res, w->media.version, meta, !w->columns_sent);
                table_row(&b, w->res, obj, w->include, w->media.version, time_real(), true);
                table_end(&b, w->res, 1);
                w->columns_sent = true;
                write_text(w, "BOOKMARK", &b);
        } else {
                write_tree(w, "BOOKMARK", obj);
        }
        w->told = revision;
}

static void on_bookmark_timer(struct loop_timer *timer, void *userdata)
{
        list_foreach_safe(&bookmarkers, it, tmp) {
                struct watcher *w = list_entry(it, struct watcher, link);
                uint64_t revision = store_revision(w->server->store);
                if (w->watch && !w->backlog && revision > w->told)
                        write_bookmark(w, revision, false);
        }
        if (!list_empty(&bookmarkers))
                loop_timer_arm_slack(timer, BOOKMARK_NS, BOOKMARK_SLACK_NS);
}

static void want_bookmarks(struct watcher *w)
{
        list_push_back(&bookmarkers, &w->link);
        if (!bookmark_timer)
                bookmark_timer = loop_timer_new(w->server->loop, on_bookmark_timer, NULL);
        if (!loop_timer_armed(bookmark_timer))
                loop_timer_arm_slack(bookmark_timer, BOOKMARK_NS, BOOKMARK_SLACK_NS);
}

/* --- beginning --- */

struct watch_options {
        uint64_t from;        /* events after this; 0: begin with what there is */
        bool initial, end_mark;
        int64_t timeout_s;
};

static const struct status *check_options(struct api_request *r, const char *initial, const char *match, const char *rv)
{
        static const char *const supported[] = {"NotOlderThan", NULL};
        struct field_errors errs = {.arena = r->arena};

        if (initial && !streq(match, "NotOlderThan"))
                field_error_add(&errs, FIELD_FORBIDDEN, "resourceVersionMatch", NULL,
                                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        if (!initial && !str_empty(match))
                field_error_add(&errs, FIELD_FORBIDDEN, "resourceVersionMatch", NULL,
                                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        if (!str_empty(match) && !streq(match, "NotOlderThan"))
                field_error_not_supported(&errs, "resourceVersionMatch", json_new_string(r->arena, match), supported);
        if (!str_empty(match) && !str_empty(http_query(r->http, "continue")))
                field_error_add(&errs, FIELD_FORBIDDEN, "resourceVersionMatch", NULL,
                                "resourceVersionMatch is forbidden when continue is provided");
        return errs.n ? status_invalid(r->arena, meta_kind(r->arena, "ListOptions"), "", &errs) : NULL;
}

/* May park. */
static const struct status *parse_options(struct api_request *r, struct watch_options *o)
{
        const char *rv = http_query(r->http, "resourceVersion"), *initial = http_query(r->http, "sendInitialEvents");
        const char *match = http_query(r->http, "resourceVersionMatch");
        const struct status *st = query_int(r, "timeoutSeconds", 0, &o->timeout_s);
        bool future = false;
        char *end = NULL;
        uint64_t n = 0;
        bool any;

        if (st)
                return st;
        if (str_empty(initial))
                initial = NULL;
        st = check_options(r, initial, match, rv);
        if (st)
                return st;
        if (!str_empty(rv)) {
                errno = 0;
                n = strtoull(rv, &end, 10);
                if (*end || errno || *rv < '0' || *rv > '9')
                        return status_make(r->arena, 500, "", NULL,
                                           "resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": "
                                           "invalid syntax",
                                           rv, rv);
                future = n > store_revision(r->server->store);
        }
        if (o->timeout_s <= 0)
                o->timeout_s = TIMEOUT_MIN_S + random_below(TIMEOUT_MIN_S);
        o->initial = initial ? query_bool(r->http, "sendInitialEvents") : n == 0;
        /* Old informers begin so: they get the mark, too. */
        o->end_mark = o->initial && (initial || str_empty(rv));
        if (o->initial || (initial && future)) {
                st = read_wait(r, rv, &n, &any);
                if (st)
                        return st;
        }
        o->from = o->initial ? 0 : n ? n : store_revision(r->server->store);
        return NULL;
}

static bool send_initial(struct entry *e, void *userdata)
{
        struct watcher *w = userdata;

        if (selection_matches(&w->sel, e) &&
            !put_off(w, &(struct store_event){.type = STORE_ADDED, .revision = e->revision, .entry = e}))
                write_entry(w, STORE_ADDED, e);
        return true;
}

static void on_timeout(struct loop_timer *timer, void *userdata)
{
        struct watcher *w = userdata;
        uint64_t revision = store_revision(w->server->store);

        if (w->bookmarks && w->watch && !w->backlog && revision > w->told)
                write_bookmark(w, revision, false);
        watcher_end(w);
}

/* From here nothing parks: what was listed and what is watched fit together. */
static void start(struct watcher *w, const struct watch_options *o)
{
        uint64_t from = o->from;
        int e;

        if (o->initial) {
                from = store_revision(w->server->store);
                store_scan(w->server->store, w->sel.prefix, NULL, send_initial, w);
                w->told = from;
                if (o->end_mark && w->bookmarks && !put_off(w, &(struct store_event){.revision = from}))
                        write_bookmark(w, from, true);
        }
        w->told = from;
        w->allowance = http_stream_queued(w->stream) + QUEUE_MAX;
        e = store_watch_new(w->server->store, w->sel.prefix, from, &watch_ops, w, &w->watch);
        if (e < 0) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                write_status(w, status_expired(a, "too old resource version: %llu (%llu)", (unsigned long long)from,
                                               (unsigned long long)store_compacted(w->server->store)),
                             a);
                watcher_end(w);
                return;
        }
        loop_timer_arm_slack(w->timeout, o->timeout_s * NS_PER_SEC,
                             o->timeout_s > 60 ? BOOKMARK_SLACK_NS : 100 * NS_PER_MS);
        if (w->bookmarks)
                want_bookmarks(w);
        start_backlog(w);
}

void verb_watch(struct api_request *r)
{
        struct watcher *w = new0(struct watcher);
        const char *include = http_query(r->http, "includeObject");
        struct watch_options o = {0};
        const struct status *st;

        w->server = r->server;
        w->res = r->res;
        w->arena = arena_new(512);
        list_init(&w->link);
        list_init(&w->custom);
        resource_ref(w->res);
        if (w->res->crd) {
                definitions_on_replace(on_definition_replaced);
                list_push_back(&customs, &w->custom);
        }
        w->media = *r->media;
        snprintf(w->media_version, sizeof(w->media_version), "%s", r->media->version);
        w->media.version = w->media_version;
        w->bookmarks = query_bool(r->http, "allowWatchBookmarks");
        st = selection_parse(r, w->arena, &w->sel);
        if (!st && table_include_parse(include ? include : "", &w->include) < 0)
                st = status_bad_request(r->arena,
                                        "Unable to convert to Table as requested: includeObject: Invalid value: \"%s\": must be "
                                        "'Metadata', 'Object', 'None', or empty",
                                        include);
        if (!st)
                st = parse_options(r, &o);
        if (st) {
                watcher_free(w);
                answer_status(r, st);
                return;
        }
        w->timeout = loop_timer_new(r->server->loop, on_timeout, w);
        w->counted = flow_watch_begin(r);
        w->stream = http_stream_start(r->http, 200,
                                      w->media.type == MEDIA_PROTOBUF ? PROTOBUF_MEDIA_TYPE ";stream=watch" : "application/json",
                                      answer_headers(r, NULL), &stream_ops, w);
        start(w, &o);
}
