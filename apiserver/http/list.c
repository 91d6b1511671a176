/* LIST: the entries' own buffers strung together.
 *
 * A page remembers the revision of the first one and the last key it gave; the next page goes on from there
 * at that revision. The token is upstream's: base64url of {"v":"meta.k8s.io/v1","rv":7,"start":"ns/name\u0000"}.
 */
#include <errno.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../registry/registry.h"
#include "../schema/protobuf.h"
#include "../schema/table.h"
#include "request-info.h"
#include "selection.h"
#include "verbs.h"

struct list_options {
        int64_t limit;           /* 0: none */
        const char *resume;      /* "continue", decoded: a key behind which it goes on; NULL */
        uint64_t revision;       /* list at exactly this; 0: as it is now */
        struct selection sel;
};

struct page {
        const struct list_options *o;
        struct entry **entries;
        size_t n, cap;
        bool more;
};

/* --- options --- */

static const struct status *bad_continue(struct api_request *r, const char *why)
{
        return status_bad_request(r->arena, "invalid continue token: continue key is not valid: %s", why);
}

/* Whether nothing in START, as a path, leads elsewhere than it seems to: out of the prefix, say. */
static bool is_clean(const char *start)
{
        for (const char *p = start + (*start == '/'), *end; ; p = end + 1) {
                size_t n;

                end = strchrnul(p, '/');
                n = end - p;
                if (n == 0 || (p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.'))))
                        return false;
                if (!*end)
                        return true;
        }
}

/* The last string before S that keys can be: to go on behind it is to begin with S. */
static const char *just_before(struct arena *a, const char *s)
{
        size_t len = strlen(s);

        return arena_printf(a, "%.*s%c\x7f", (int)len - 1, s, s[len - 1] - 1);
}

/* A member of the token, as Go's decoder matches and types it. */
static const struct status *token_member(struct api_request *r, const struct json *token, const char *name, bool number,
                                         const struct json **ret)
{
        const char *type;
        int64_t unused;

        *ret = NULL;
        json_foreach_member(token, m)
                if (strcasecmp(m->key, name) == 0 && !json_is_null(m->value))
                        *ret = m->value;
        if (!*ret || (number ? json_is_number(*ret) && json_to_int(*ret, &unused) == 0 : json_is_string(*ret)))
                return NULL;
        type = number && json_is_number(*ret) ? arena_printf(r->arena, "number %s", (*ret)->str) : go_type_name(*ret);
        return bad_continue(r, arena_printf(r->arena, "json: cannot unmarshal %s into Go struct field continueToken.%s of type %s", type,
                                            name, number ? "int64" : "string"));
}

static const struct status *parse_continue(struct api_request *r, const char *token, struct list_options *o)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        _cleanup_error_ struct error err = ERROR_INIT;
        size_t bad = 0, len = strlen(token);
        const struct json *version, *revision, *from;
        const struct status *st;
        struct json *j;
        const char *start;
        int64_t rv = 0;

        if (strchr(token, '=') || base64_decode(&text, token, len, &bad) < 0)
                return bad_continue(r, arena_printf(r->arena, "illegal base64 data at input byte %zu",
                                                    strchr(token, '=') ? strcspn(token, "=") : bad - (bad == len)));
        if (json_parse(r->arena, strbuf_str(&text), text.len, NULL, &j, &err) < 0)
                return bad_continue(r, error_text(&err));
        if (!json_is_object(j) && !json_is_null(j))
                return bad_continue(r, arena_printf(r->arena, "json: cannot unmarshal %s into Go value of type storage.continueToken",
                                                    go_type_name(j)));
        st = token_member(r, j, "v", false, &version);
        if (!st)
                st = token_member(r, j, "rv", true, &revision);
        if (!st)
                st = token_member(r, j, "start", false, &from);
        if (st)
                return st;
        if (!streq(json_string(version), "meta.k8s.io/v1"))
                return bad_continue(r, arena_printf(r->arena, "server does not recognize this encoded version %s",
                                                    version ? json_string(version) : ""));
        if (revision)
                json_to_int(revision, &rv);
        start = json_string(from);
        if (rv == 0)
                return bad_continue(r, "incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
        if (str_empty(start))
                return bad_continue(r, "encoded start key empty (version meta.k8s.io/v1)");
        if (!is_clean(start))
                return bad_continue(r, start);
        o->resume = arena_printf(r->arena, "%s%s", o->sel.prefix, start + (*start == '/'));
        if (from->len == strlen(start)) /* no NUL at its end: the key itself is wanted too */
                o->resume = just_before(r->arena, o->resume);
        o->revision = rv > 0 ? rv : 0; /* negative: go on with what is there now */
        return NULL;
}

static char *make_continue(struct api_request *r, const struct list_options *o, uint64_t rv, const char *last_key)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT, token = STRBUF_INIT;

        strbuf_printf(&text, "{\"v\":\"meta.k8s.io/v1\",\"rv\":%lld,\"start\":", (long long)rv);
        json_write_string(&text, last_key + strlen(o->sel.prefix), strlen(last_key) - strlen(o->sel.prefix));
        text.len--;
        strbuf_puts(&text, "\\u0000\"}");
        base64url_encode(&token, text.data, text.len);
        return arena_strdup(r->arena, token.data);
}

static void check_match(struct api_request *r, const char *rv, const char *match, const char *token,
                        struct field_errors *errs)
{
        static const char *const supported[] = {"Exact", "NotOlderThan", "", NULL};

        if (http_query(r->http, "sendInitialEvents"))
                field_error_add(errs, FIELD_FORBIDDEN, "sendInitialEvents", NULL,
                                "sendInitialEvents is forbidden for list");
        if (str_empty(match))
                return;
        if (str_empty(rv))
                field_error_add(errs, FIELD_FORBIDDEN, "resourceVersionMatch", NULL,
                                "resourceVersionMatch is forbidden unless resourceVersion is provided");
        if (!str_empty(token))
                field_error_add(errs, FIELD_FORBIDDEN, "resourceVersionMatch", NULL,
                                "resourceVersionMatch is forbidden when continue is provided");
        if (!streq(match, "Exact") && !streq(match, "NotOlderThan"))
                field_error_not_supported(errs, "resourceVersionMatch", json_new_string(r->arena, match), supported);
        if (streq(match, "Exact") && streq(rv, "0"))
                field_error_add(errs, FIELD_FORBIDDEN, "resourceVersionMatch", NULL,
                                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
}

const struct status *list_query(struct api_request *r, struct selection *ret_sel, int64_t *ret_limit)
{
        struct field_errors errs = {.arena = r->arena};
        const struct status *st;
        int64_t timeout;

        st = query_int(r, "timeoutSeconds", 0, &timeout);
        if (!st)
                st = query_int(r, "limit", 0, ret_limit);
        if (!st)
                st = selection_parse(r, r->arena, ret_sel);
        if (st)
                return st;
        check_match(r, http_query(r->http, "resourceVersion"), http_query(r->http, "resourceVersionMatch"),
                    http_query(r->http, "continue"), &errs);
        return errs.n ? status_invalid(r->arena, meta_kind(r->arena, "ListOptions"), "", &errs) : NULL;
}

/* May park: it waits for what resourceVersion asks for. */
static const struct status *parse_options(struct api_request *r, struct list_options *o)
{
        const char *rv = http_query(r->http, "resourceVersion"), *match = http_query(r->http, "resourceVersionMatch");
        const char *token = http_query(r->http, "continue");
        const struct status *st;
        uint64_t n;
        bool any;

        memset(o, 0, sizeof(*o));
        st = list_query(r, &o->sel, &o->limit);
        if (st)
                return st;
        if (!str_empty(token)) {
                st = parse_continue(r, token, o);
                if (!st && !str_empty(rv) && !streq(rv, "0"))
                        st = status_bad_request(r->arena, "specifying resource version is not allowed when using continue");
                if (st || (o->revision && o->revision <= store_revision(r->server->store)))
                        return st;
                st = read_wait(r, o->revision ? arena_printf(r->arena, "%llu", (unsigned long long)o->revision) : NULL, &n, &any);
                if (!o->revision)
                        o->revision = store_revision(r->server->store);
                return st;
        }
        st = read_wait(r, rv, &n, &any);
        if (st)
                return st;
        if (any)
                o->limit = 0; /* upstream's cache gives all of it */
        if (streq(match, "Exact") || (n && str_empty(match) && o->limit > 0))
                o->revision = n;
        return NULL;
}

/* --- reading --- */

static bool take(struct entry *e, void *userdata)
{
        struct page *p = userdata;

        if (!selection_matches(&p->o->sel, e))
                return true;
        if (p->o->limit > 0 && p->n == (size_t)p->o->limit) {
                p->more = true;
                return false;
        }
        array_reserve(p->entries, p->cap, p->n + 1);
        p->entries[p->n++] = entry_ref(e);
        return true;
}

static void page_deinit(struct page *p)
{
        for (size_t i = 0; i < p->n; i++)
                entry_unref(p->entries[i]);
        free(p->entries);
}

static const struct status *expired_token(struct api_request *r, const struct list_options *o)
{
        const char *last = arena_strdup(r->arena, o->resume);

        r->expired_continue = make_continue(r, o, (uint64_t)-1, last);
        return status_expired(
                r->arena,
                "The provided continue parameter is too old to display a consistent list result. You can start a new list "
                "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
                "the results. Continuing with the provided token results in an inconsistent list - objects that were "
                "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
                "list.");
}

static const struct status *read_page(struct api_request *r, const struct list_options *o, struct page *p,
                                      uint64_t *ret_rv, size_t *ret_remaining)
{
        struct store *s = r->server->store;
        _cleanup_error_ struct error err = ERROR_INIT;
        bool selective = o->sel.has_labels || o->sel.has_fields;
        int e;

        *ret_remaining = 0;
        if (!o->revision) {
                *ret_rv = store_revision(s);
                store_scan(s, o->sel.prefix, o->resume, take, p);
                if (p->more && !selective && !o->resume)
                        *ret_remaining = store_count(s, o->sel.prefix) - p->n;
                return NULL;
        }
        *ret_rv = o->revision;
        /* One more than the page shows whether there is a next one. */
        e = store_scan_at(s, o->sel.prefix, o->resume, o->revision, selective || !o->limit ? 0 : o->limit + 1, take, p,
                          NULL, ret_remaining, &err);
        if (p->more) /* it was asked for, but is not in the page */
                *ret_remaining += 1;
        if (e == -ERANGE && o->resume)
                return expired_token(r, o);
        return e < 0 ? registry_store_status(r->arena, e, &err) : NULL;
}

/* --- answering --- */

static struct json *list_meta(struct api_request *r, const struct list_options *o, const struct page *p, uint64_t rv,
                              size_t remaining)
{
        struct json *meta = json_new_object(r->arena);

        json_set_string(r->arena, meta, "resourceVersion", arena_printf(r->arena, "%llu", (unsigned long long)rv));
        if (p->more && p->n) {
                json_set_string(r->arena, meta, "continue", make_continue(r, o, rv, p->entries[p->n - 1]->key));
                if (remaining && !o->sel.has_labels && !o->sel.has_fields)
                        json_set_int(r->arena, meta, "remainingItemCount", remaining);
        }
        if (r->res->crd && r->media->as == MEDIA_AS_IS && !json_get(meta, "continue"))
                json_set_string(r->arena, meta, "continue", "");
        return meta;
}

static struct buffer *shared(struct buffer **kept, const char *text)
{
        if (!*kept)
                *kept = buffer_new_copy(text, strlen(text));
        return buffer_ref(*kept);
}

static void list_begin(struct strbuf *b, const char *kind, const char *gv, const struct json *meta)
{
        strbuf_printf(b, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":", kind, gv);
        json_write(b, meta);
        strbuf_puts(b, ",\"items\":[");
}

/* Two parts an item: what stands between, and its bytes behind kind and apiVersion. */
static void answer_bytes(struct api_request *r, const struct page *p, const struct json *meta)
{
        static struct buffer *comma, *comma_brace, *brace;
        size_t n = 0, cap = 2 * p->n + 2;
        _cleanup_free_ struct buffer **parts = xcalloc(cap, sizeof(*parts));
        _cleanup_free_ uint32_t *skips = xcalloc(cap, sizeof(*skips));
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct body_type type = body_type_of(r->arena, r->res);

        list_begin(&b, r->res->list_kind, type.group_version, meta);
        parts[n++] = buffer_new_copy(b.data, b.len);
        for (size_t i = 0; i < p->n; i++) {
                uint32_t front = r->res->crd ? 0 : entry_front(p->entries[i]);
                if (front)
                        parts[n++] = i ? shared(&comma_brace, ",{") : shared(&brace, "{");
                else if (i)
                        parts[n++] = shared(&comma, ",");
                skips[n] = front;
                parts[n++] = buffer_ref(p->entries[i]->json);
        }
        parts[n++] = buffer_new_copy("]}\n", 3);
        answer_parts(r, "application/json", parts, skips, n);
}

/* An answer that is made piece by piece. What gets longer than WHOLE is sent while it is made: it takes the memory of
 * a few pieces, however long it is, and others' requests come between. Shorter ones are sent with their length. */
#define WHOLE ((size_t)128 << 10)
#define PIECE ((size_t)60 << 10)
struct output {
        struct api_request *r;
        const char *type;
        struct strbuf b; /* the piece that is being made */
        struct buffer **list;
        size_t n, cap, bytes; /* those that are made and wait */
        bool at_once;    /* nothing is sent before all is made */
        bool begun;
};
#define _cleanup_output_ _cleanup_(output_deinit)

static void output_deinit(struct output *p)
{
        for (size_t i = 0; i < p->n; i++)
                buffer_unref(p->list[i]);
        free(p->list);
        strbuf_deinit(&p->b);
}

static void output_keep(struct output *p)
{
        array_reserve(p->list, p->cap, p->n + 1);
        p->list[p->n++] = buffer_new_copy(strbuf_str(&p->b), p->b.len);
        p->bytes += p->b.len;
        strbuf_reset(&p->b);
}

static void output_begin(struct output *p)
{
        http_body_begin(p->r->http, 200, p->type, answer_headers(p->r, NULL));
        for (size_t i = 0; i < p->n; i++) {
                http_body_write(p->r->http, p->list[i]->data, p->list[i]->len);
                buffer_unref(p->list[i]);
        }
        p->n = 0;
        p->begun = true;
}

/* Called after each item; may park. False: the client is gone. */
static bool output_grown(struct output *p)
{
        bool there;

        if (p->b.len < PIECE)
                return true;
        if (!p->begun) {
                output_keep(p);
                if (!p->at_once && p->bytes > WHOLE)
                        output_begin(p);
                return true;
        }
        there = http_body_write(p->r->http, p->b.data, p->b.len);
        strbuf_reset(&p->b);
        return there;
}

static void output_end(struct output *p)
{
        if (p->begun) {
                http_body_write(p->r->http, strbuf_str(&p->b), p->b.len);
                http_body_end(p->r->http);
                return;
        }
        output_keep(p);
        answer_parts(p->r, p->type, p->list, NULL, p->n);
        p->n = 0; /* they went with the answer */
}

/* Whether items may be made while others are sent: what a webhook converted is not kept for long, and the audit log
 * wants to see the whole. */
static bool made_while_sent(const struct api_request *r)
{
        return registry_sends_bytes(r->res) && !r->audit;
}

static void answer_table(struct api_request *r, const struct page *p, const struct json *meta)
{
        _cleanup_output_ struct output out = {.r = r, .type = "application/json", .at_once = !made_while_sent(r)};
        const char *include = http_query(r->http, "includeObject");
        bool text = registry_sends_bytes(r->res);
        enum table_include inc;
        struct table_reader *reader;
        int64_t now = time_real();

        if (table_include_parse(include ? include : "", &inc) < 0) {
                answer_status(r, status_bad_request(r->arena,
                                                    "Unable to convert to Table as requested: includeObject: Invalid value: "
                                                    "\"%s\": must be 'Metadata', 'Object', 'None', or empty",
                                                    include));
                return;
        }
        reader = table_reader_new(r->arena, r->res, inc, r->media->version);
        table_begin(&out.b, r->res, r->media->version, meta, true);
        for (size_t i = 0; i < p->n; i++) {
                const struct buffer *json = p->entries[i]->json;
                const struct resource *res = r->res;

                if (text) {
                        table_row_text(&out.b, reader, json->data, json->len, now, i == 0);
                } else {
                        _cleanup_arena_ struct arena *a = arena_new(0);
                        struct json *obj = registry_object(a, res, p->entries[i]);
                        if (obj && inc != TABLE_OBJECT)
                                obj = registry_printed(a, res, obj, &res);
                        if (obj)
                                table_row(&out.b, res, obj, inc, r->media->version, now, i == 0);
                }
                if (!output_grown(&out))
                        break;
        }
        table_end(&out.b, r->res, p->n);
        strbuf_putc(&out.b, '\n');
        output_end(&out);
}

static void answer_partials(struct api_request *r, const struct page *p, const struct json *meta)
{
        _cleanup_output_ struct output out = {.r = r, .type = "application/json", .at_once = !made_while_sent(r)};

        list_begin(&out.b, "PartialObjectMetadataList", arena_printf(r->arena, "meta.k8s.io/%s", r->media->version), meta);
        for (size_t i = 0; i < p->n; i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                size_t len;
                const char *text = registry_text(a, r->res, p->entries[i], &len);

                strbuf_puts(&out.b, i ? "," : "");
                if (text)
                        partial_object_text(&out.b, text, len, r->media->version);
                if (!output_grown(&out))
                        break;
        }
        if (!p->n) { /* Go's nil slice: upstream writes null here, and only here */
                out.b.len--;
                strbuf_puts(&out.b, "null");
        } else {
                strbuf_putc(&out.b, ']');
        }
        strbuf_puts(&out.b, "}\n");
        output_end(&out);
}

/* The bytes that the entries of P take as items, if all of them know. */
static bool wire_size(const struct page *p, size_t *ret)
{
        size_t size = 0;

        for (size_t i = 0; i < p->n; i++) {
                if (!p->entries[i]->wire_size)
                        return false;
                size += p->entries[i]->wire_size;
        }
        *ret = size;
        return true;
}

static void protobuf_list_begin(struct strbuf *b, struct api_request *r, bool partials, size_t len)
{
        protobuf_envelope_begin(b, partials ? "meta.k8s.io/v1" : body_type_of(r->arena, r->res).group_version,
                                partials ? "PartialObjectMetadataList" : r->res->list_kind, len);
}

/* The list's message, field by field. Its head says how long that is: where the items' sizes are remembered, it can be
 * sent before they are made; else it is made last. */
static void answer_protobuf_list(struct api_request *r, const struct page *p, const struct json *meta)
{
        _cleanup_strbuf_ struct strbuf head = STRBUF_INIT, list_meta = STRBUF_INIT, partial = STRBUF_INIT;
        _cleanup_output_ struct output out = {.r = r, .type = PROTOBUF_MEDIA_TYPE};
        bool partials = r->media->as == MEDIA_AS_PARTIAL_LIST, as_stored = !partials && registry_sends_bytes(r->res);
        const struct schema *s = partials ? builtin_body("meta.k8s.io/v1", "PartialObjectMetadata") : r->res->schema;
        struct protobuf_memory *memory = protobuf_memory_new(r->arena);
        size_t size = 0;

        out.at_once = !made_while_sent(r) || !as_stored || !wire_size(p, &size);
        json_write(&partial, meta);
        protobuf_encode_nested(&list_meta, 1, builtin_schema("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"), partial.data,
                               partial.len, NULL);
        if (out.at_once)
                output_keep(&out); /* the head's place */
        else
                protobuf_list_begin(&out.b, r, partials, list_meta.len + size);
        strbuf_append(&out.b, list_meta.data, list_meta.len);
        for (size_t i = 0; i < p->n; i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                size_t len, before = out.b.len;
                const char *text = registry_text(a, r->res, p->entries[i], &len);

                strbuf_reset(&partial);
                if (text && partials && partial_object_text(&partial, text, len, "v1")) {
                        text = partial.data;
                        len = partial.len;
                }
                if (text)
                        protobuf_encode_nested(&out.b, 2, s, text, len, memory);
                if (as_stored)
                        p->entries[i]->wire_size = (uint32_t)(out.b.len - before);
                if (!output_grown(&out))
                        break;
        }
        if (out.at_once) {
                protobuf_list_begin(&head, r, partials, out.bytes + out.b.len);
                buffer_unref(out.list[0]);
                out.list[0] = buffer_new_copy(head.data, head.len);
        }
        protobuf_envelope_end(&out.b);
        output_end(&out);
}

/* YAML, pretty printing, and kinds that are stored in another version. */
static void answer_tree(struct api_request *r, const struct page *p, struct json *meta)
{
        struct json *list = json_new_object(r->arena), *items;
        struct body_type type = body_type_of(r->arena, r->res);

        json_set_string(r->arena, list, "kind", r->res->list_kind);
        json_set_string(r->arena, list, "apiVersion", type.group_version);
        json_set(r->arena, list, "metadata", meta);
        items = json_ensure_array(r->arena, list, "items");
        for (size_t i = 0; i < p->n; i++) {
                struct json *obj = registry_object(r->arena, r->res, p->entries[i]);
                if (obj && !r->res->crd) {
                        json_del(obj, "kind");
                        json_del(obj, "apiVersion");
                }
                if (obj)
                        json_append(r->arena, items, obj);
        }
        answer_object(r, 200, NULL, list);
}

static void answer_page(struct api_request *r, const struct page *p, struct json *meta)
{
        const struct media *m = r->media;

        if (m->as == MEDIA_AS_TABLE)
                answer_table(r, p, meta);
        else if (m->type == MEDIA_PROTOBUF && m->as != MEDIA_AS_PARTIAL)
                answer_protobuf_list(r, p, meta);
        else if (m->as == MEDIA_AS_PARTIAL_LIST)
                answer_partials(r, p, meta);
        else if (m->as == MEDIA_AS_PARTIAL)
                answer_status(r, status_make(r->arena, 406, "NotAcceptable", NULL,
                                             "you requested PartialObjectMetadata, but the requested object is a list (*%s.%s)",
                                             r->res->crd ? "unstructured" :
                                                           go_package(r->arena, body_type_of(r->arena, r->res).group_version),
                                             r->res->crd ? "UnstructuredList" : r->res->list_kind));
        else if (m->type == MEDIA_JSON && !m->pretty && registry_sends_bytes(r->res))
                answer_bytes(r, p, meta);
        else
                answer_tree(r, p, meta);
}

/* The page that R asks for, with the metadata of its list. page_deinit() it, whatever comes. */
static const struct status *find_page(struct api_request *r, struct list_options *o, struct page *p, struct json **ret_meta)
{
        const struct status *st = parse_options(r, o);
        uint64_t rv;
        size_t remaining;

        p->o = o;
        if (!st)
                st = read_page(r, o, p, &rv, &remaining);
        if (!st)
                *ret_meta = list_meta(r, o, p, rv, remaining);
        return st;
}

void verb_list(struct api_request *r)
{
        struct list_options o;
        struct page p = {0};
        struct json *meta;
        const struct status *st = find_page(r, &o, &p, &meta);

        if (!st)
                st = registry_converted(r, r->res, p.entries, p.n);
        if (st)
                answer_status(r, st);
        else
                answer_page(r, &p, meta);
        page_deinit(&p);
}

const struct status *list_entries(struct api_request *r, struct entry ***ret, size_t *ret_n, struct json **ret_meta)
{
        struct list_options o;
        struct page p = {0};
        const struct status *st = find_page(r, &o, &p, ret_meta);

        if (st) {
                page_deinit(&p);
                return st;
        }
        *ret = p.entries;
        *ret_n = p.n;
        return NULL;
}
