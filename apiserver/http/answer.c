/* The way out. What is cached goes out as the bytes it is; only Tables, partial objects, YAML and pretty
 * printing need a tree. */
#include "body.h"

#include <stdio.h>

#include "../audit/audit.h"
#include "../registry/registry.h"
#include "../schema/protobuf.h"
#include "../schema/table.h"
#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"

/* Characters. With more than that in all warnings, each is cut, and after so many the rest is not told. */
#define WARNINGS_MAX_RUNES ((size_t)4096)
#define WARNING_TRUNCATED ((size_t)256)

static bool starts_rune(char c)
{
        return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t rune_count(const char *s)
{
        size_t n = 0;

        for (; *s; s++)
                n += starts_rune(*s);
        return n;
}

/* 299 - "text", of MAX characters, with what may not stand in a header made harmless. */
static char *warning_value(struct arena *a, const char *text, size_t max)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        size_t n = 0;

        strbuf_puts(&b, "299 - \"");
        for (size_t i = 0; text[i]; i++) {
                n += starts_rune(text[i]);
                if (n > max)
                        break;
                if (text[i] == '"' || text[i] == '\\')
                        strbuf_putc(&b, '\\');
                strbuf_putc(&b, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
        }
        strbuf_putc(&b, '"');
        return arena_strndup(a, b.data, b.len);
}

static bool names(const char *const *headers, const char *name)
{
        for (; headers && headers[0]; headers += 2)
                if (streq(headers[0], name))
                        return true;
        return false;
}

const char *const *answer_headers(struct api_request *r, const char *const *more)
{
        size_t n_more = 0, n = 0, runes = 0;
        bool cut;
        const char **h;

        while (more && more[n_more])
                n_more++;
        h = arena_alloc(r->arena, (n_more + 2 * r->n_warnings + 12) * sizeof(*h));
        if (!names(more, "Cache-Control")) {
                h[n++] = "Cache-Control";
                h[n++] = "no-cache, private";
        }
        if (r->audit_id) {
                h[n++] = "Audit-Id";
                h[n++] = r->audit_id;
        }
        if (r->flow_level) {
                h[n++] = "X-Kubernetes-Pf-Flowschema-Uid";
                h[n++] = r->flow_schema;
                h[n++] = "X-Kubernetes-Pf-Prioritylevel-Uid";
                h[n++] = r->flow_level;
        }
        if (r->no_sniff) {
                h[n++] = "X-Content-Type-Options";
                h[n++] = "nosniff";
        }
        for (size_t i = 0; i < r->n_warnings; i++)
                runes += rune_count(r->warnings[i]);
        cut = runes > WARNINGS_MAX_RUNES;
        runes = 0;
        for (size_t i = 0; i < r->n_warnings && (!cut || runes < WARNINGS_MAX_RUNES); i++) {
                h[n++] = "Warning";
                h[n++] = warning_value(r->arena, r->warnings[i], cut ? WARNING_TRUNCATED : SIZE_MAX);
                runes += MIN(rune_count(r->warnings[i]), cut ? WARNING_TRUNCATED : SIZE_MAX);
        }
        for (size_t i = 0; i < n_more; i++)
                h[n++] = more[i];
        h[n] = NULL;
        return h;
}

static void respond(struct api_request *r, unsigned code, const char *type, const char *const *headers,
                    struct buffer **parts, const uint32_t *skips, size_t n)
{
        struct http_answer a = {
                .status = code,
                .content_type = type,
                .headers = answer_headers(r, headers),
                .parts = parts,
                .skips = skips,
                .n_parts = n,
        };

        if (r->audit && streq(type, "application/json"))
                audit_response_parts(r, parts, skips, n);
        http_respond(r->http, &a);
}

void answer_buffer(struct api_request *r, unsigned code, const char *content_type, struct buffer *b,
                   const char *const *headers)
{
        respond(r, code, content_type, headers, &b, NULL, 1);
}

void answer_text(struct api_request *r, unsigned code, const char *content_type, const char *text)
{
        static const char *const plain[] = {"X-Content-Type-Options", "nosniff", NULL};

        answer_buffer(r, code, content_type, buffer_new_copy(text, strlen(text)),
                      str_has_prefix(content_type, "text/plain") ? plain : NULL);
}

static struct buffer *newline(void)
{
        static struct buffer *b;

        if (!b)
                b = buffer_new_copy("\n", 1);
        return buffer_ref(b);
}

void answer_parts(struct api_request *r, const char *content_type, struct buffer **parts, const uint32_t *skips, size_t n)
{
        respond(r, 200, content_type, NULL, parts, skips, n);
}

/* A tree in the media type at hand, without Tables and the like. */
static void answer_tree(struct api_request *r, unsigned code, const struct json *obj, const char *const *headers)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        enum media_type type = r->media ? r->media->type : MEDIA_JSON;
        const char *content_type = "application/json";

        audit_response_object(r, obj);
        if (type == MEDIA_YAML) {
                content_type = "application/yaml";
                yaml_write(&b, obj);
        } else if (r->media && r->media->pretty) {
                json_write_pretty(&b, obj, 2);
                strbuf_putc(&b, '\n');
        } else if (obj && obj == r->written_of) {
                struct buffer *bytes = buffer_new(r->written_len + 1);

                memcpy(bytes->data, r->written, r->written_len);
                memcpy(bytes->data + r->written_len, "\n", 2);
                answer_buffer(r, code, content_type, bytes, headers);
                return;
        } else {
                json_write(&b, obj);
                strbuf_putc(&b, '\n');
        }
        answer_buffer(r, code, content_type, buffer_new_copy(b.data, b.len), headers);
}

static bool answer_protobuf(struct api_request *r, unsigned code, const struct json *obj, const char *const *headers)
{
        const char *version = json_get_string(obj, "apiVersion"), *kind = json_get_string(obj, "kind");
        const struct schema *s = version && kind ? builtin_body(version, kind) : NULL;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!s)
                return false;
        audit_response_object(r, obj);
        if (obj == r->written_of)
                protobuf_encode_text(&b, version, kind, s, r->written, r->written_len);
        else
                protobuf_encode(&b, s, obj);
        answer_buffer(r, code, PROTOBUF_MEDIA_TYPE, buffer_new_copy(b.data, b.len), headers);
        return true;
}

/* An error is never a Table: where the client takes nothing else, upstream writes it by hand, indented. */
static void answer_indented(struct api_request *r, unsigned code, const struct json *obj, const char *const *headers)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        json_write_pretty(&b, obj, 2);
        answer_buffer(r, code, "application/json", buffer_new_copy(b.data, b.len), headers);
}

void answer_status(struct api_request *r, const struct status *st)
{
        struct media plain;

        int64_t after = st->details ? json_get_int(st->details, "retryAfterSeconds", 0) : 0;
        const char *const headers[] = {"Retry-After", arena_printf(r->arena, "%lld", (long long)after), NULL};

        struct json *obj = status_json(r->arena, st);

        audit_status(r, obj);
        if (r->expired_continue)
                json_path_set(r->arena, obj, "metadata.continue", json_new_string(r->arena, r->expired_continue));
        if (r->media && negotiate(r->arena, http_header(r->http, "Accept"), 0, &plain) != NULL)
                answer_indented(r, st->code, obj, after > 0 ? headers : NULL);
        else if (!r->media || plain.type != MEDIA_PROTOBUF || !answer_protobuf(r, st->code, obj, after > 0 ? headers : NULL))
                answer_tree(r, st->code, obj, after > 0 ? headers : NULL);
}

void answer_success(struct api_request *r, unsigned code, const struct json *details)
{
        struct json *st = json_new_object(r->arena);

        json_set_string(r->arena, st, "kind", "Status");
        json_set_string(r->arena, st, "apiVersion", "v1");
        json_set(r->arena, st, "metadata", json_new_object(r->arena));
        json_set_string(r->arena, st, "status", "Success");
        if (details)
                json_set(r->arena, st, "details", json_clone_shallow(r->arena, details));
        else
                json_set_int(r->arena, st, "code", code);
        audit_status(r, st);
        if (!r->media || r->media->type != MEDIA_PROTOBUF || !answer_protobuf(r, code, st, NULL))
                answer_tree(r, code, st, NULL);
}

static void answer_table(struct api_request *r, unsigned code, const struct resource *res, const struct json *obj)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *meta = json_new_object(r->arena);
        const char *rv = json_path_string(obj, "metadata.resourceVersion");
        const char *include = http_query(r->http, "includeObject");
        enum table_include inc;

        if (table_include_parse(include ? include : "", &inc) < 0) {
                struct media plain = {.version = "v1"};
                r->media = &plain;
                answer_status(r, status_bad_request(r->arena,
                                                    "Unable to convert to Table as requested: includeObject: Invalid value: "
                                                    "\"%s\": must be 'Metadata', 'Object', 'None', or empty",
                                                    include));
                r->media = NULL;
                return;
        }
        if (rv)
                json_set_string(r->arena, meta, "resourceVersion", rv);
        if (inc != TABLE_OBJECT && res->storage_version)
                obj = registry_printed(r->arena, res, json_clone(r->arena, obj), &res);
        table_begin(&b, res, r->media->version, meta, true);
        table_row(&b, res, obj, inc, r->media->version, time_real(), true);
        table_end(&b, res, 1);
        strbuf_putc(&b, '\n');
        answer_buffer(r, code, "application/json", buffer_new_copy(b.data, b.len), NULL);
}

static void answer_partial(struct api_request *r, unsigned code, const struct json *obj)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (r->media->type == MEDIA_PROTOBUF) {
                struct json *partial = json_new_object(r->arena);
                json_set_string(r->arena, partial, "kind", "PartialObjectMetadata");
                json_set_string(r->arena, partial, "apiVersion", "meta.k8s.io/v1");
                json_set(r->arena, partial, "metadata", json_get(obj, "metadata"));
                answer_protobuf(r, code, partial, NULL);
                return;
        }
        partial_object_metadata(&b, obj, r->media->version);
        strbuf_putc(&b, '\n');
        answer_buffer(r, code, "application/json", buffer_new_copy(b.data, b.len), NULL);
}

void answer_object(struct api_request *r, unsigned code, const struct resource *res, const struct json *obj)
{
        const struct media *m = r->media;

        if (m && m->as == MEDIA_AS_TABLE && res)
                answer_table(r, code, res, obj);
        else if (m && m->as == MEDIA_AS_PARTIAL && res)
                answer_partial(r, code, obj);
        else if (m && m->as == MEDIA_AS_PARTIAL_LIST && res && res->crd) /* Go's type of those could be one */
                answer_status(r, status_make(r->arena, 500, "", NULL, "content is not a list"));
        else if (m && m->as == MEDIA_AS_PARTIAL_LIST && res)
                answer_status(r, status_make(r->arena, 406, "NotAcceptable", NULL,
                                             "you requested PartialObjectMetadataList, but the requested object is not "
                                             "a list (*%s.%s)",
                                             go_package(r->arena, json_get_string(obj, "apiVersion")),
                                             json_get_string(obj, "kind")));
        else if (!m || m->type != MEDIA_PROTOBUF || !answer_protobuf(r, code, obj, NULL))
                answer_tree(r, code, obj, NULL);
}

void answer_entry(struct api_request *r, const struct resource *res, struct entry *e)
{
        const struct media *m = r->media;

        if (registry_sends_bytes(res) && (!m || (m->type == MEDIA_JSON && m->as == MEDIA_AS_IS && !m->pretty))) {
                struct buffer *parts[] = {buffer_ref(e->json), newline()};
                respond(r, 200, "application/json", NULL, parts, NULL, 2);
                return;
        }
        if (m && m->type == MEDIA_PROTOBUF && m->as == MEDIA_AS_IS && registry_sends_bytes(res) && !r->audit) {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
                if (protobuf_encode_text(&b, body_type_of(r->arena, res).group_version, res->kind, res->schema, e->json->data,
                                         e->json->len)) {
                        answer_buffer(r, 200, PROTOBUF_MEDIA_TYPE, buffer_new_copy(b.data, b.len), NULL);
                        return;
                }
        }
        answer_object(r, 200, res, registry_object(r->arena, res, e));
}
