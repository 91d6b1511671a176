/* The OpenAPI documents (openapi.h), put together from paths and schemas.
 *
 * A document is written once through, into one buffer: the paths first, which note the types they name;
 * then those types, which note further ones, until nothing new comes up. The index and the hashes need none of this.
 */
#include "openapi.h"

#include <gnutls/crypto.h>
#include <stdio.h>

#include "openapi-internal.h"
#include "version.h"

#define META_V1 "io.k8s.apimachinery.pkg.apis.meta.v1."

/* --- which documents there are --- */

typedef void document_fn(const char *path, void *userdata);

static bool is_builtin_group(const char *group)
{
        for (unsigned i = 0; i < n_builtin_groups; i++)
                if (streq(builtin_groups[i].name, group))
                        return true;
        return false;
}

/* "apis/apps" and "apis/apps/v1" of every group */
static void each_group_document(const struct discovery_extra *extra, document_fn *fn, void *userdata)
{
        const char *group = NULL, *version = NULL;
        char path[512];

        for (unsigned i = 0; i < n_builtin_groups; i++) {
                if (!builtin_groups[i].name[0])
                        continue;
                snprintf(path, sizeof(path), "apis/%s", builtin_groups[i].name);
                fn(path, userdata);
                for (const char *const *v = builtin_groups[i].versions; *v; v++) {
                        snprintf(path, sizeof(path), "apis/%s/%s", builtin_groups[i].name, *v);
                        fn(path, userdata);
                }
        }
        for (size_t i = 0; extra && i < extra->n; i++) {
                const struct resource *r = extra->list[i];

                if (!streq(r->group, group) && !is_builtin_group(r->group)) {
                        snprintf(path, sizeof(path), "apis/%s", r->group);
                        fn(path, userdata);
                }
                if (!streq(r->group, group) || !streq(r->version, version)) {
                        snprintf(path, sizeof(path), "apis/%s/%s", r->group, r->version);
                        fn(path, userdata);
                }
                group = r->group;
                version = r->version;
        }
}

/* Documents of one path each. */
static const struct single {
        const char *document;
        struct openapi_plain plain;
} singles[] = {
        { ".well-known/openid-configuration",
          { "/.well-known/openid-configuration/", NULL, "ServiceAccountIssuerOpenIDConfiguration", "WellKnown", "application/json" } },
        { "api", { "/api/", META_V1 "APIVersions", "CoreAPIVersions", "core", NULL } },
        { "apis", { "/apis/", META_V1 "APIGroupList", "APIVersions", "apis", NULL } },
        { "openid/v1/jwks",
          { "/openid/v1/jwks/", NULL, "ServiceAccountIssuerOpenIDKeyset", "openid", "application/jwk-set+json" } },
        { "version", { "/version/", "io.k8s.apimachinery.pkg.version.Info", "CodeVersion", "version", "application/json" } },
};

static const struct openapi_plain *find_single(const char *document)
{
        for (size_t i = 0; i < ARRAY_SIZE(singles); i++)
                if (streq(singles[i].document, document))
                        return &singles[i].plain;
        return NULL;
}

/* --- hashes --- */

static void hash_text(gnutls_hash_hd_t h, const char *s)
{
        gnutls_hash(h, s, strlen(s) + 1);
}

/* Of the tables and what the extra resources of GROUP and VERSION (NULL: of all) are made from. */
static void make_hash(const char *document, const char *group, const char *version, const struct discovery_extra *extra,
                      char ret_hash[OPENAPI_HASH])
{
        gnutls_hash_hd_t h;
        uint8_t sum[64];

        gnutls_hash_init(&h, GNUTLS_DIG_SHA512);
        hash_text(h, builtin_hash);
        hash_text(h, document);
        for (size_t i = 0; extra && i < extra->n; i++) {
                const struct resource *r = extra->list[i];
                uint64_t schema;

                if (group && (!streq(r->group, group) || (version && !streq(r->version, version))))
                        continue;
                hash_text(h, r->group);
                hash_text(h, r->version);
                hash_text(h, r->name);
                hash_text(h, r->kind);
                schema = r->openapi ? json_hash(r->openapi) : 0;
                gnutls_hash(h, &schema, sizeof(schema));
        }
        for (size_t i = 0; !group && extra && i < extra->n_remotes; i++) { /* v2 has them all in one */
                uint64_t doc = extra->remotes[i]->openapi_v2 ? json_hash(extra->remotes[i]->openapi_v2) : 0;

                hash_text(h, extra->remotes[i]->group);
                hash_text(h, extra->remotes[i]->version);
                gnutls_hash(h, &doc, sizeof(doc));
        }
        gnutls_hash_deinit(h, sum);
        for (size_t i = 0; i < sizeof(sum); i++)
                snprintf(ret_hash + 2 * i, 3, "%02X", sum[i]);
}

/* "apis/apps/v1" -> "apps", "v1"; "api/v1" -> "", "v1"; "apis/apps" -> "apps", "". False: neither. */
static bool split_path(const char *path, char group[256], char version[64])
{
        const char *p, *slash;

        if (str_has_prefix(path, "api/")) {
                group[0] = '\0';
                return snprintf(version, 64, "%s", path + 4) < 64;
        }
        if (!str_has_prefix(path, "apis/"))
                return false;
        p = path + 5;
        slash = strchr(p, '/');
        if ((slash ? (size_t)(slash - p) : strlen(p)) >= 256)
                return false;
        snprintf(group, 256, "%.*s", slash ? (int)(slash - p) : 255, p);
        return snprintf(version, 64, "%s", slash ? slash + 1 : "") < 64;
}

static bool group_version_exists(const char *group, const char *version, const struct discovery_extra *extra)
{
        for (unsigned i = 0; i < n_builtin_groups; i++) {
                if (!streq(builtin_groups[i].name, group))
                        continue;
                for (const char *const *v = builtin_groups[i].versions; *v; v++)
                        if (!version[0] || streq(*v, version))
                                return true;
        }
        for (size_t i = 0; extra && i < extra->n; i++)
                if (streq(extra->list[i]->group, group) && (!version[0] || streq(extra->list[i]->version, version)))
                        return true;
        return false;
}

bool openapi_v3_hash(const char *path, const struct discovery_extra *extra, char ret_hash[OPENAPI_HASH])
{
        char group[256], version[64];

        if (find_single(path)) {
                make_hash(path, "-", NULL, extra, ret_hash);
                return true;
        }
        if (!split_path(path, group, version) || !group_version_exists(group, version, extra) ||
            (!version[0] && !group[0]))
                return false;
        make_hash(path, group, version[0] ? version : NULL, extra, ret_hash);
        return true;
}

/* --- the index --- */

struct index {
        struct strbuf out;
        const struct discovery_extra *extra;
        bool any;
};

static void index_document(const char *path, void *userdata)
{
        struct index *x = userdata;
        char hash[OPENAPI_HASH];

        if (!openapi_v3_hash(path, x->extra, hash))
                return;
        strbuf_printf(&x->out, "%s\"%s\":{\"serverRelativeURL\":\"/openapi/v3/%s?hash=%s\"}", x->any ? "," : "", path, path,
                      hash);
        x->any = true;
}

/* Documents of aggregated servers have those servers' hashes. */
static void index_remotes(struct index *x)
{
        for (size_t i = 0; x->extra && i < x->extra->n_remotes; i++) {
                const struct discovery_remote *remote = x->extra->remotes[i];

                if (!remote->openapi_v3_hash[0])
                        continue;
                strbuf_printf(&x->out, "%s\"apis/%s/%s\":{\"serverRelativeURL\":\"/openapi/v3/apis/%s/%s?hash=%s\"}",
                              x->any ? "," : "", remote->group, remote->version, remote->group, remote->version,
                              remote->openapi_v3_hash);
                x->any = true;
        }
}

static struct buffer *finish(struct strbuf *out)
{
        struct buffer *b = buffer_new_copy(strbuf_str(out), out->len);

        strbuf_deinit(out);
        return b;
}

struct buffer *openapi_v3_index(const struct discovery_extra *extra)
{
        struct index x = { .out = STRBUF_INIT, .extra = extra };

        strbuf_puts(&x.out, "{\"paths\":{");
        for (size_t i = 0; i < ARRAY_SIZE(singles); i++)
                index_document(singles[i].document, &x);
        index_document("api/v1", &x);
        each_group_document(extra, index_document, &x);
        index_remotes(&x);
        strbuf_puts(&x.out, "}}");
        return finish(&x.out);
}

/* --- documents --- */

/* What paths and definitions go into: v2 and v3 as JSON text, v2 as protobuf. */
struct sink {
        struct strbuf *out;
        struct strbuf paths, definitions; /* protobuf only */
        bool protobuf;
        bool any;
};

static struct json *parse_item(struct arena *a, const char *text, size_t len)
{
        struct json *j = NULL;

        return json_parse(a, text, len, NULL, &j, NULL) < 0 ? NULL : j;
}

static void add_path(const char *path, const char *item, size_t len, void *userdata)
{
        struct sink *sink = userdata;

        if (sink->protobuf) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                gnostic_path(&sink->paths, path, parse_item(a, item, len));
                return;
        }
        strbuf_printf(sink->out, "%s\"%s\":", sink->any ? "," : "", path);
        strbuf_append(sink->out, item, len);
        sink->any = true;
}

static void add_definition(struct sink *sink, const char *name, const struct strbuf *text)
{
        if (sink->protobuf) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                gnostic_definition(&sink->definitions, name, parse_item(a, strbuf_str(text), text->len));
                return;
        }
        strbuf_printf(sink->out, "%s\"%s\":", sink->any ? "," : "", name);
        strbuf_append(sink->out, strbuf_str(text), text->len);
        sink->any = true;
}

static bool belongs(const struct resource *r, const char *group, const char *version)
{
        return !group || (streq(r->group, group) && streq(r->version, version));
}

static void each_resource(struct openapi_doc *doc, const char *group, const char *version,
                          void (*fn)(struct openapi_doc *doc, const struct resource *r, struct sink *sink),
                          struct sink *sink)
{
        for (unsigned i = 0; i < n_builtin_resources; i++)
                if (belongs(builtin_resources[i], group, version))
                        fn(doc, builtin_resources[i], sink);
        for (size_t i = 0; doc->extra && i < doc->extra->n; i++)
                if (belongs(doc->extra->list[i], group, version))
                        fn(doc, doc->extra->list[i], sink);
}

static void add_resource_paths(struct openapi_doc *doc, const struct resource *r, struct sink *sink)
{
        openapi_resource_paths(doc, r, add_path, sink);
}

static void add_custom_definitions(struct openapi_doc *doc, const struct resource *r, struct sink *sink)
{
        char name[512];

        if (!r->crd)
                return;
        for (int list = 0; list < 2; list++) {
                openapi_custom_name(r, list, name, sizeof(name));
                strbuf_reset(doc->out);
                openapi_custom_schema(doc, r, list);
                add_definition(sink, name, doc->out);
        }
}

/* The types that were named, and those they name in turn. */
static void add_used_definitions(struct openapi_doc *doc, struct sink *sink)
{
        uint64_t done[OPENAPI_USED_WORDS] = { 0 };
        bool more = true;

        while (more) {
                more = false;
                for (unsigned i = 0; i < n_builtin_schemas; i++) {
                        if (!openapi_used(doc, i) || done[i / 64] >> i % 64 & 1)
                                continue;
                        done[i / 64] |= UINT64_C(1) << i % 64;
                        more = true;
                        strbuf_reset(doc->out);
                        openapi_schema(doc, &builtin_schemas[i]);
                        add_definition(sink, builtin_schemas[i].name, doc->out);
                }
        }
}

static void write_info(struct strbuf *out, const struct openapi_doc *doc)
{
        strbuf_printf(out, "\"info\":{\"title\":\"%s\",\"version\":\"%s\"}", doc->custom ? "Kubernetes CRD Swagger" : "Kubernetes",
                      doc->custom ? "v0.1.0" : VERSION_GIT);
}

static bool builtin_version(const char *group, const char *version)
{
        for (unsigned i = 0; i < n_builtin_groups; i++)
                for (const char *const *v = builtin_groups[i].versions; streq(builtin_groups[i].name, group) && *v; v++)
                        if (streq(*v, version))
                                return true;
        return false;
}

struct buffer *openapi_v3(const char *path, const struct discovery_extra *extra, char ret_hash[OPENAPI_HASH])
{
        _cleanup_strbuf_ struct strbuf item = STRBUF_INIT;
        struct strbuf out = STRBUF_INIT;
        uint64_t used[OPENAPI_USED_WORDS] = { 0 };
        struct openapi_doc doc = { .out = &item, .used = used, .extra = extra };
        struct sink sink = { .out = &out };
        const struct openapi_plain *single = find_single(path);
        char group[256] = "", version[64] = "", hash[OPENAPI_HASH];

        if (!openapi_v3_hash(path, extra, ret_hash ? ret_hash : hash))
                return NULL;
        if (!single) {
                split_path(path, group, version);
                doc.group = group;
                doc.version = version;
                doc.custom = version[0] && !builtin_version(group, version);
        }
        strbuf_puts(&out, "{\"openapi\":\"3.0.0\",");
        write_info(&out, &doc);
        strbuf_puts(&out, ",\"paths\":{");
        if (single) {
                openapi_plain_path(&doc, single, add_path, &sink);
        } else {
                if (!doc.custom) /* definitions publish their resources alone */
                        openapi_group_path(&doc, group, version, add_path, &sink);
                if (version[0])
                        each_resource(&doc, group, version, add_resource_paths, &sink);
        }
        strbuf_puts(&out, "},\"components\":{");
        if (version[0] || (single && single->type) || group[0]) {
                strbuf_puts(&out, "\"schemas\":{");
                sink.any = false;
                if (version[0])
                        each_resource(&doc, group, version, add_custom_definitions, &sink);
                add_used_definitions(&doc, &sink);
                strbuf_puts(&out, doc.custom ? "}}}" : "},");
        }
        if (!doc.custom)
                strbuf_puts(&out, "\"securitySchemes\":{\"BearerToken\":{\"type\":\"apiKey\",\"description\":\"A bearer token.\","
                                  "\"name\":\"authorization\",\"in\":\"header\"}}}}");
        return finish(&out);
}

struct buffer *openapi_v3_protobuf(struct buffer *document)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct strbuf out = STRBUF_INIT;

        gnostic_v3(&out, parse_item(a, document->data, document->len));
        buffer_unref(document);
        return finish(&out);
}

/* --- v2 --- */

void openapi_v2_hash(const struct discovery_extra *extra, char ret_hash[OPENAPI_HASH])
{
        make_hash("v2", NULL, NULL, extra, ret_hash);
}

static void add_group_path(const char *path, void *userdata)
{
        struct {
                struct openapi_doc *doc;
                struct sink *sink;
        } *x = userdata;
        char group[256], version[64];

        split_path(path, group, version);
        openapi_group_path(x->doc, group, version, add_path, x->sink);
}

/* What aggregated servers say of theirs, as they say it. */
static void add_remote_paths(struct openapi_doc *doc, struct sink *sink)
{
        for (size_t i = 0; doc->extra && i < doc->extra->n_remotes; i++)
                json_foreach_member(json_get(doc->extra->remotes[i]->openapi_v2, "paths"), m) {
                        strbuf_reset(doc->out);
                        json_write(doc->out, m->value);
                        add_path(m->key, strbuf_str(doc->out), doc->out->len, sink);
                }
}

static bool defined_before(const struct openapi_doc *doc, const char *name, size_t remotes)
{
        for (unsigned i = 0; i < n_builtin_schemas; i++)
                if (openapi_used(doc, i) && streq(builtin_schemas[i].name, name))
                        return true;
        for (size_t i = 0; i < remotes; i++)
                if (json_get(json_get(doc->extra->remotes[i]->openapi_v2, "definitions"), name))
                        return true;
        return false;
}

/* Types that go by the name of one that is there already are taken to be that one: they come from the same libraries. */
static void add_remote_definitions(struct openapi_doc *doc, struct sink *sink)
{
        for (size_t i = 0; doc->extra && i < doc->extra->n_remotes; i++)
                json_foreach_member(json_get(doc->extra->remotes[i]->openapi_v2, "definitions"), m) {
                        if (defined_before(doc, m->key, i))
                                continue;
                        strbuf_reset(doc->out);
                        json_write(doc->out, m->value);
                        add_definition(sink, m->key, doc->out);
                }
}

static void add_v2_paths(struct openapi_doc *doc, struct sink *sink)
{
        struct {
                struct openapi_doc *doc;
                struct sink *sink;
        } x = { doc, sink };

        for (size_t i = 0; i < ARRAY_SIZE(singles); i++)
                openapi_plain_path(doc, &singles[i].plain, add_path, sink);
        add_group_path("api/v1", &x);
        each_group_document(NULL, add_group_path, &x); /* definitions publish their resources alone */
        each_resource(doc, NULL, NULL, add_resource_paths, sink);
        add_remote_paths(doc, sink);
}

struct buffer *openapi_v2(enum openapi_v2_form form, const struct discovery_extra *extra)
{
        _cleanup_strbuf_ struct strbuf item = STRBUF_INIT;
        struct strbuf out = STRBUF_INIT;
        uint64_t used[OPENAPI_USED_WORDS] = { 0 };
        struct openapi_doc doc = { .out = &item, .v2 = true, .used = used, .extra = extra };
        struct sink sink = { .out = &out, .protobuf = form == OPENAPI_V2_PROTOBUF };

        if (sink.protobuf) {
                gnostic_head(&out);
        } else {
                strbuf_puts(&out, "{\"swagger\":\"2.0\",");
                write_info(&out, &doc);
                strbuf_puts(&out, ",\"paths\":{");
        }
        add_v2_paths(&doc, &sink);
        if (!sink.protobuf)
                strbuf_puts(&out, "},\"definitions\":{");
        sink.any = false;
        each_resource(&doc, NULL, NULL, add_custom_definitions, &sink);
        add_used_definitions(&doc, &sink);
        add_remote_definitions(&doc, &sink);
        if (sink.protobuf)
                gnostic_finish(&out, &sink.paths, &sink.definitions);
        else
                strbuf_puts(&out, "},\"securityDefinitions\":{\"BearerToken\":{\"description\":\"A bearer token.\","
                                  "\"type\":\"apiKey\",\"name\":\"authorization\",\"in\":\"header\"}},"
                                  "\"security\":[{\"BearerToken\":[]}]}");
        strbuf_deinit(&sink.paths);
        strbuf_deinit(&sink.definitions);
        return finish(&out);
}
