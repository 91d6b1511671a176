/* Bodies: decoded once, strictly watched, in upstream's words.
 *
 * A body may be of another kind or version than the URL: Go then fails when it converts one type to the
 * other, and its text names both types. Which of the texts comes is decided by what is registered.
 */
#include "body.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "../../lib/json/yaml.h"
#include "../audit/audit.h"
#include "../schema/crd.h"
#include "../schema/default.h"
#include "../schema/protobuf.h"
#include "../schema/table.h"
#include "../../lib/base/encode.h"
#include "request-info.h"

#define SUMMARY 30
#define MANAGER_MAX 128

static const char *group_version(struct arena *a, const struct resource *res)
{
        return *res->group ? arena_printf(a, "%s/%s", res->group, res->version) : res->version;
}

struct body_type body_type_of(struct arena *a, const struct resource *res)
{
        return (struct body_type){
                .group_version = group_version(a, res),
                .version = res->version,
                .kind = res->kind,
                .schema = res->schema,
                .res = res,
        };
}

struct body_type body_type_named(const char *gv, const char *kind)
{
        const char *slash = strchr(gv, '/');

        return (struct body_type){
                .group_version = gv,
                .version = slash ? slash + 1 : gv,
                .kind = kind,
                .schema = builtin_body(gv, kind),
        };
}

static const struct subresource *subresource_of(const struct api_request *r)
{
        for (unsigned i = 0; *r->subresource && i < r->res->n_subresources; i++)
                if (streq(r->res->subresources[i].name, r->subresource))
                        return &r->res->subresources[i];
        return NULL;
}

struct body_type body_type_target(struct api_request *r)
{
        const struct subresource *sub = subresource_of(r);

        if (!sub || str_empty(sub->kind) || streq(sub->kind, r->res->kind))
                return body_type_of(r->arena, r->res);
        return body_type_named(str_empty(sub->group) ? sub->version
                                                     : arena_printf(r->arena, "%s/%s", sub->group, sub->version),
                               sub->kind);
}

const struct resource *answer_resource(struct api_request *r)
{
        const struct subresource *sub = subresource_of(r);

        if (!sub || str_empty(sub->kind) || streq(sub->kind, r->res->kind))
                return r->res;
        return !streq(sub->name, "scale") ? NULL : r->res->crd ? &table_custom_scale : &table_scale;
}

const struct resource *meta_kind(struct arena *a, const char *kind)
{
        struct resource *res = arena_calloc(a, sizeof(*res));

        res->group = "meta.k8s.io";
        res->version = "v1";
        res->kind = kind;
        res->name = kind;
        return res;
}

/* --- what went wrong --- */

static const char *summary(struct arena *a, const char *body, size_t len)
{
        size_t n = MIN(len, SUMMARY);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!len)
                return "<empty>";
        if (*body == '{')
                strbuf_append(&b, body, n);
        else
                hex_encode(&b, body, n);
        if (len > n)
                strbuf_puts(&b, " ...");
        return arena_strndup(a, b.data, b.len);
}

static const struct status *unrecognized(struct api_request *r, const struct body_type *type, const char *why)
{
        return status_bad_request(r->arena, "the object provided is unrecognized (must be of type %s): %s (%s)",
                                  type->kind, why, summary(r->arena, r->http->body, r->http->body_len));
}

static const struct status *unhandled(struct api_request *r, const struct body_type *type, const char *kind,
                                      const char *version, const char *why)
{
        if (streq(type->kind, "DeleteOptions"))
                return status_bad_request(r->arena, "%s", why);
        return status_bad_request(r->arena, "%s in version \"%s\" cannot be handled as a %s: %s", kind, version,
                                  type->kind, why);
}

const char *go_package(struct arena *a, const char *gv)
{
        const char *slash = strchr(gv, '/');

        if (!slash || str_has_prefix(gv, "events.k8s.io/"))
                return "core";
        return arena_strndup(a, gv, strcspn(gv, "./"));
}

/* --- kind and version --- */

static bool is_body(const char *gv, const char *kind)
{
        return builtin_body(gv, kind) != NULL;
}

/* Kinds of the machinery: some belong to no version, others to each that is served; a list of anything to the core. */
static bool is_machinery(const struct body_type *type, const char *gv, const char *kind)
{
        static const char *const unversioned[] = { "Status", "APIVersions", "APIGroupList", "APIGroup", "APIResourceList" };
        static const char *const options[] = { "WatchEvent", "ListOptions", "CreateOptions", "DeleteOptions", "GetOptions", "PatchOptions",
                                               "UpdateOptions" };
        bool served = streq(gv, type->group_version);

        for (size_t i = 0; i < ARRAY_SIZE(unversioned); i++)
                if (streq(kind, unversioned[i]))
                        return true;
        for (size_t i = 0; i < ARRAY_SIZE(options) && served; i++)
                if (streq(kind, options[i]))
                        return true;
        return streq(gv, "v1") && streq(kind, "List");
}

/* Whether GV is of the definition's group, but none of its versions. */
static bool no_version(const struct body_type *type, const char *gv)
{
        size_t len = strlen(type->res->group);

        if (strncmp(gv, type->res->group, len) != 0 || gv[len] != '/')
                return false;
        json_foreach_item(json_path(type->res->crd->crd->definition, "spec.versions"), v)
                if (streq(json_get_string(v, "name"), gv + len + 1))
                        return false;
        return true;
}

static const struct status *check_type(struct api_request *r, const struct body_type *type, const char *gv,
                                       const char *kind, const struct json *obj)
{
        const char *version = strchr(gv, '/') ? strchr(gv, '/') + 1 : gv;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct arena *a = r->arena;

        if (streq(gv, type->group_version) && streq(kind, type->kind))
                return NULL;
        /* The one body of an older version that is still taken: kubectl before 1.22 drains with it. */
        if (streq(gv, "policy/v1beta1") && streq(kind, "Eviction") && streq(type->kind, "Eviction"))
                return NULL;
        if (strchr(gv, '/') && strchr(strchr(gv, '/') + 1, '/'))
                return unrecognized(r, type, arena_printf(a, "unexpected GroupVersion string: %s", gv));
        if (type->res && type->res->crd && streq(gv, type->group_version)) {
                struct resource by_kind = *type->res;
                struct field_errors errs = {.arena = a};
                const char *name = json_path_string(obj, "metadata.name");

                if (streq(r->verb, "update") && str_empty(name))
                        return status_bad_request(a, "the name of the object (%s based on URL) was undeterminable: name must be provided", r->name);
                if (streq(r->verb, "update") && !streq(name, r->name))
                        return status_bad_request(a, "the name of the object (%s) does not match the name on the URL (%s)", name, r->name);
                by_kind.kind = kind;
                field_error_add(&errs, FIELD_INVALID, "kind", json_new_string(a, kind), "must be %s", type->kind);
                return status_invalid(a, &by_kind, json_path_string(obj, "metadata.name"), &errs);
        }
        if (type->res && type->res->crd && r->field_validation != FIELD_VALIDATION_IGNORE && no_version(type, gv))
                json_foreach_member(obj, m) /* no version's schema knows them */
                        if (!streq(m->key, "apiVersion") && !streq(m->key, "kind") && !streq(m->key, "metadata"))
                                request_warn(r, "unknown field \"%s\"", m->key);
        if (type->res && type->res->crd && json_is_null(json_get(obj, "apiVersion")))
                return unhandled(r, type, kind, "", ".apiVersion accessor error: <nil> is of the type <nil>, expected string");
        if (type->res && type->res->crd)
                return status_bad_request(a, "the API version in the data (%s) does not match the expected API version (%s)",
                                          gv, type->group_version);
        if (is_machinery(type, gv, kind) && !streq(kind, type->kind))
                return unhandled(r, type, kind, version,
                                 arena_printf(a, "converting (v1.%s) to (%s.%s): unknown conversion", kind,
                                              go_package(a, type->group_version), type->kind));
        if (!is_body(gv, kind))
                return unhandled(r, type, kind, version,
                                 arena_printf(a,
                                              "no kind \"%s\" is registered for version \"%s\" in scheme "
                                              "\"pkg/api/legacyscheme/scheme.go:30\"",
                                              kind, gv));
        /* It is read as what it says it is, before it turns out to be something else. */
        if (obj && schema_decode(a, builtin_body(gv, kind), json_clone(a, obj), NULL, &err) < 0)
                return unhandled(r, type, kind, version, error_text(&err));
        if (streq(kind, type->kind))
                return status_bad_request(a, "the API version in the data (%s) does not match the expected API version (%s)",
                                          gv, type->group_version);
        return unhandled(r, type, kind, version,
                         arena_printf(a, "converting (%s.%s) to (%s.%s): unknown conversion", version, kind,
                                      go_package(a, type->group_version), type->kind));
}

/* OBJ with kind and apiVersion in front: lists leave them out by cutting the front off. */
static struct json *type_first(struct arena *a, struct json *obj, const struct body_type *type)
{
        struct json *out = json_new_object(a);

        json_set_string(a, out, "kind", type->kind);
        json_set_string(a, out, "apiVersion", type->group_version);
        json_foreach_member(obj, m)
                if (!streq(m->key, "kind") && !streq(m->key, "apiVersion"))
                        json_setn(a, out, m->key, m->key_len, m->value);
        return out;
}

/* --- decoding --- */

static const struct status *strict_outcome(struct api_request *r, const struct body_type *type,
                                           const struct strict_errors *strict)
{
        if (!strict->n || r->field_validation == FIELD_VALIDATION_IGNORE)
                return NULL;
        if (r->field_validation == FIELD_VALIDATION_STRICT)
                return unhandled(r, type, type->kind, type->version, strict_errors_print(r->arena, strict));
        for (size_t i = 0; i < strict->n; i++)
                request_warn(r, "%s", strict->list[i]);
        return NULL;
}

/* What upstream reads a number from where it turns a DaemonSet into its own form; why it cannot; NULL: it can. */
static const char *bad_template_generation(struct arena *a, const struct json *obj)
{
        const char *text = json_get_string(json_path(obj, "metadata.annotations"), "deprecated.daemonset.template.generation");
        const char *digits = text && (*text == '+' || *text == '-') ? text + 1 : text;

        if (!text)
                return NULL;
        if (!*digits || digits[strspn(digits, "0123456789")])
                return arena_printf(a, "strconv.ParseInt: parsing %s: invalid syntax", json_print(a, json_new_string(a, text)));
        errno = 0;
        strtoll(text, NULL, 10);
        return errno ? arena_printf(a, "strconv.ParseInt: parsing \"%s\": value out of range", text) : NULL;
}

const struct status *body_check(struct api_request *r, const struct body_type *type, struct json *obj,
                                struct strict_errors *strict, struct json **ret)
{
        _cleanup_error_ struct error err = ERROR_INIT;

        obj = type_first(r->arena, obj, type);
        if (type->schema && schema_decode(r->arena, type->schema, obj, strict, &err) < 0)
                return unhandled(r, type, type->kind, type->version, err.message);
        if (streq(type->group_version, "apps/v1") && streq(type->kind, "DaemonSet")) {
                const char *why = bad_template_generation(r->arena, obj);

                if (why)
                        return unhandled(r, type, type->kind, type->version, why);
        }
        if (type->res)
                schema_default(r->arena, type->res, obj);
        else if (type->schema)
                schema_default_type(r->arena, type->schema, obj);
        *ret = obj;
        return NULL;
}

const char *go_type_name(const struct json *j)
{
        static const char *const names[] = {
                [JSON_NULL] = "null",     [JSON_BOOL] = "bool",   [JSON_NUMBER] = "number",
                [JSON_STRING] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object",
        };
        return names[j->type];
}

const char *body_find_type(struct arena *a, const struct json *obj, const char **ret_gv, const char **ret_kind)
{
        static const char prefix[] = "couldn't get version/kind; json parse error: json: cannot unmarshal";

        *ret_gv = *ret_kind = NULL;
        if (!json_is_object(obj))
                return json_is_null(obj) ? NULL :
                       arena_printf(a, "%s %s into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; "
                                       "Kind string \"json:\\\"kind,omitempty\\\"\" }", prefix, go_type_name(obj));
        json_foreach_member(obj, m) {
                bool gv = strcasecmp(m->key, "apiVersion") == 0;

                if (!gv && strcasecmp(m->key, "kind") != 0)
                        continue;
                if (json_is_string(m->value))
                        *(gv ? ret_gv : ret_kind) = m->value->str;
                else if (!json_is_null(m->value))
                        return arena_printf(a, "%s %s into Go struct field .%s of type string", prefix, go_type_name(m->value),
                                            gv ? "apiVersion" : "kind");
        }
        return NULL;
}

static const struct status *decode_text(struct api_request *r, const struct body_type *type, bool yaml,
                                        struct strict_errors *strict, struct json **ret)
{
        struct json_limits limits = {.on_duplicate = yaml ? strict_errors_yaml : strict_errors_duplicate, .userdata = strict};
        _cleanup_error_ struct error err = ERROR_INIT;
        const char *gv, *kind, *why;
        struct json *obj;
        int e = yaml ? yaml_parse(r->arena, r->http->body, r->http->body_len, &limits, &obj, &err)
                     : json_parse(r->arena, r->http->body, r->http->body_len, &limits, &obj, &err);

        if (e < 0 && yaml)
                return unrecognized(r, type, error_text(&err));
        if (yaml) /* it becomes JSON by way of Go's maps: the decoder sees keys in order, and of several errors names the first */
                json_sort_keys(obj);
        if (e < 0)
                return unrecognized(r, type, arena_printf(r->arena, "couldn't get version/kind; json parse error: %s",
                                                          error_text(&err)));
        why = body_find_type(r->arena, obj, &gv, &kind);
        if (why)
                return unrecognized(r, type, why);
        if (!json_is_object(obj)) /* null */
                obj = json_new_object(r->arena);
        if (type->res && type->res->crd && str_empty(kind))
                return unrecognized(r, type, arena_printf(r->arena, "Object 'Kind' is missing in '%s'", r->http->body));
        const struct status *st = check_type(r, type, str_empty(gv) && !(type->res && type->res->crd) ? type->group_version
                                             : gv ? gv : "",
                                             str_empty(kind) ? type->kind : kind, obj);
        if (st)
                return st;
        *ret = obj;
        return NULL;
}

static const char *version_of(const char *gv)
{
        return strchr(gv, '/') ? strchr(gv, '/') + 1 : gv;
}

static const struct status *decode_protobuf(struct api_request *r, const struct body_type *type, struct json **ret)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        const char *gv, *kind;
        struct json *obj;
        int e;

        if (type->res && type->res->crd)
                return status_unsupported_media_type(r->arena, "application/json, application/yaml");
        e = protobuf_decode(r->arena, r->http->body, r->http->body_len, type->schema, &obj, &err);
        if (e < 0 && e != -EBADMSG && e != -ENOENT)
                return unrecognized(r, type, error_text(&err));
        gv = json_get_string(obj, "apiVersion");
        kind = json_get_string(obj, "kind");
        if (e < 0)
                return unhandled(r, type, str_empty(kind) ? type->kind : kind, str_empty(gv) ? type->version : version_of(gv),
                                 error_text(&err));
        *ret = obj;
        return check_type(r, type, str_empty(gv) ? type->group_version : gv, str_empty(kind) ? type->kind : kind, NULL);
}

const struct status *body_decode(struct api_request *r, const struct body_type *type, struct json **ret)
{
        const char *media = content_type_of_body(r->arena, http_header(r->http, "Content-Type"));
        struct strict_errors strict = {.arena = r->arena};
        const struct status *st;
        struct json *obj;

        if (!*media || streq(media, "application/json"))
                st = decode_text(r, type, false, &strict, &obj);
        else if (streq(media, "application/yaml"))
                st = decode_text(r, type, true, &strict, &obj);
        else if (streq(media, PROTOBUF_MEDIA_TYPE))
                st = decode_protobuf(r, type, &obj);
        else
                st = status_unsupported_media_type(r->arena, NULL);
        if (!st)
                st = body_check(r, type, obj, &strict, &obj);
        if (!st)
                st = strict_outcome(r, type, &strict);
        if (st)
                return st;
        audit_request_object(r, obj, false);
        *ret = obj;
        return NULL;
}

/* --- options --- */

static void check_dry_run(struct api_request *r, const char *const *values, size_t n, struct field_errors *errs)
{
        static const char *const supported[] = {"All", NULL};
        struct json *all = json_new_array(r->arena);
        bool bad = false;

        for (size_t i = 0; i < n; i++) {
                json_append(r->arena, all, json_new_string(r->arena, values[i]));
                bad |= !streq(values[i], "All");
        }
        if (bad)
                field_error_not_supported(errs, "dryRun", all, supported);
        r->dry_run = n && !bad;
}

static void check_manager(struct api_request *r, const char *manager, struct field_errors *errs)
{
        size_t len = strlen(manager);
        unsigned n;
        uint32_t c;

        if (len > MANAGER_MAX)
                field_error_add(errs, FIELD_TOO_LONG, "fieldManager", NULL, "may not be more than %d bytes", MANAGER_MAX);
        for (size_t i = 0; i < len; i += n ? n : 1) {
                n = utf8_decode(manager + i, len - i, &c);
                if (n && !go_printable(c))
                        field_error_add(errs, FIELD_INVALID, "fieldManager", json_new_string(r->arena, manager),
                                        "invalid character U+%04X (at position %zu)", c, i);
        }
}

#define REPLACEMENT "\xef\xbf\xbd" /* what Go makes of a byte that is no UTF-8 */

/* What of the User-Agent comes before a slash and can be printed, as far as there is room. */
static const char *manager_of_agent(struct api_request *r)
{
        const char *agent = http_header(r->http, "User-Agent");
        size_t len = agent ? strcspn(agent, "/") : 0, kept = 0;
        char *out = arena_alloc(r->arena, MANAGER_MAX + 1);
        unsigned n;
        uint32_t c;

        for (size_t i = 0; i < len; i += n ? n : 1) {
                size_t size;

                n = utf8_decode(agent + i, len - i, &c);
                if (n && !go_printable(c))
                        continue;
                size = n ? n : strlen(REPLACEMENT);
                if (kept + size > MANAGER_MAX)
                        break;
                memcpy(out + kept, n ? agent + i : REPLACEMENT, size);
                kept += size;
        }
        out[kept] = '\0';
        return kept ? out : "unknown";
}

void write_options_take(struct api_request *r, struct field_errors *errs)
{
        static const char *const validations[] = {"", "Ignore", "Strict", "Warn", NULL};
        const char **dry, *manager = http_query(r->http, "fieldManager");
        const char *validation = http_query(r->http, "fieldValidation");
        size_t n_dry = http_query_all(r->http, "dryRun", &dry);

        if (!str_empty(manager))
                check_manager(r, manager, errs);
        r->dry_run = false;
        if (n_dry)
                check_dry_run(r, dry, n_dry, errs);
        r->field_manager = str_empty(manager) ? manager_of_agent(r) : manager;
        r->field_validation = FIELD_VALIDATION_WARN;
        if (streq(validation, "Strict"))
                r->field_validation = FIELD_VALIDATION_STRICT;
        else if (streq(validation, "Ignore"))
                r->field_validation = FIELD_VALIDATION_IGNORE;
        else if (!str_empty(validation) && !streq(validation, "Warn"))
                field_error_not_supported(errs, "fieldValidation", json_new_string(r->arena, validation), validations);
}

const struct status *write_options(struct api_request *r, const char *kind)
{
        struct field_errors errs = {.arena = r->arena};

        write_options_take(r, &errs);
        return errs.n ? status_invalid(r->arena, meta_kind(r->arena, kind), "", &errs) : NULL;
}

/* DeleteOptions written in the query. */
static const struct status *delete_options_of_query(struct api_request *r, struct json **ret)
{
        static const char *const names[] = {"gracePeriodSeconds", "orphanDependents", "propagationPolicy", NULL};
        struct json *o = json_new_object(r->arena);
        const char **dry, *v;
        size_t n_dry = http_query_all(r->http, "dryRun", &dry);
        char *end;

        v = http_query(r->http, names[0]);
        if (!str_empty(v)) {
                errno = 0;
                long long n = strtoll(v, &end, 10);
                if (*end || errno)
                        return status_bad_request(r->arena, "strconv.ParseInt: parsing \"%s\": invalid syntax", v);
                json_set_int(r->arena, o, names[0], n);
        }
        if (http_query(r->http, names[1]))
                json_set_bool(r->arena, o, names[1], query_bool(r->http, names[1]));
        v = http_query(r->http, names[2]);
        if (!str_empty(v))
                json_set_string(r->arena, o, names[2], v);
        for (size_t i = 0; i < n_dry; i++)
                json_append(r->arena, json_ensure_array(r->arena, o, "dryRun"), json_new_string(r->arena, dry[i]));
        *ret = json_len(o) ? o : NULL;
        return NULL;
}

/* Other kinds that the decoder of options knows: in any version, or in that of meta.k8s.io alone. */
static bool is_meta_kind(const char *gv, const char *kind)
{
        static const char *const anywhere[] = { "Status", "APIVersions", "APIGroupList", "APIGroup", "APIResourceList", "CreateOptions",
                                                "UpdateOptions" };
        static const char *const here[] = { "WatchEvent", "ListOptions", "GetOptions", "PatchOptions", "Table", "TableOptions",
                                            "PartialObjectMetadata", "PartialObjectMetadataList" };

        for (size_t i = 0; i < ARRAY_SIZE(anywhere); i++)
                if (streq(kind, anywhere[i]))
                        return true;
        for (size_t i = 0; i < ARRAY_SIZE(here) && streq(gv, "meta.k8s.io/v1"); i++)
                if (streq(kind, here[i]))
                        return true;
        return false;
}

/* Why a body that says GV and KIND is no DeleteOptions; every group version has one. NULL: it is. */
static const char *not_delete_options(struct arena *a, const char *gv, const char *kind)
{
        gv = str_empty(gv) ? "v1" : gv;
        if (strchr(gv, '/') && strchr(strchr(gv, '/') + 1, '/'))
                return arena_printf(a, "unexpected GroupVersion string: %s", gv);
        if (str_empty(kind) || streq(kind, "DeleteOptions"))
                return NULL;
        if (is_meta_kind(gv, kind))
                return arena_printf(a, "converting (v1.%s) to (v1.DeleteOptions): unknown conversion", kind);
        return arena_printf(a, "no kind \"%s\" is registered for version \"%s\" in scheme "
                               "\"pkg/apis/meta/internalversion/scheme/register.go:27\"", kind, gv);
}

static const struct status *delete_options_of_body(struct api_request *r, struct json **ret)
{
        struct body_type type = body_type_named("meta.k8s.io/v1", "DeleteOptions");
        const char *media = content_type_of_body(r->arena, http_header(r->http, "Content-Type")), *gv = NULL, *kind = NULL, *why = NULL;
        bool yaml = streq(media, "application/yaml"), protobuf = streq(media, PROTOBUF_MEDIA_TYPE);
        const void *body = r->http->body;
        size_t len = r->http->body_len;
        struct strict_errors strict = {.arena = r->arena};
        _cleanup_error_ struct error err = ERROR_INIT;
        const struct status *st;
        struct json *obj = NULL;
        int e;

        if (*media && !yaml && !protobuf && !streq(media, "application/json"))
                return status_unsupported_media_type(r->arena, NULL);
        e = yaml       ? yaml_parse(r->arena, body, len, NULL, &obj, &err)
            : protobuf ? protobuf_decode(r->arena, body, len, type.schema, &obj, &err)
                       : json_parse(r->arena, body, len, NULL, &obj, &err);
        if (e == -EBADMSG) { /* other kinds are refused before their message is read */
                body_find_type(r->arena, obj, &gv, &kind);
                why = not_delete_options(r->arena, gv, kind) ?: error_text(&err);
        } else if (e < 0 && e != -ENOENT) /* a kind that has no numbers is another kind */
                why = yaml || protobuf ? error_text(&err)
                                       : arena_printf(r->arena, "couldn't get version/kind; json parse error: %s", error_text(&err));
        else
                why = body_find_type(r->arena, obj, &gv, &kind);
        why = why ? why : not_delete_options(r->arena, gv, kind);
        if (why) /* not in the words that other bodies get */
                return status_bad_request(r->arena, "%s", why);
        if (!json_is_object(obj)) /* null */
                obj = json_new_object(r->arena);
        st = body_check(r, &type, obj, &strict, &obj);
        json_del(obj, "kind");
        json_del(obj, "apiVersion");
        *ret = obj;
        return st;
}

static void check_delete_options(struct api_request *r, const struct json *o, struct field_errors *errs)
{
        static const char *const policies[] = {"Foreground", "Background", "Orphan", "nil", NULL};
        struct json *policy = json_get(o, "propagationPolicy");
        const char *p = json_string(policy), *values[16];
        size_t n = 0;

        if (p && json_get(o, "orphanDependents"))
                field_error_add(errs, FIELD_INVALID, "propagationPolicy", policy,
                                "orphanDependents and deletionPropagation cannot be both set");
        if (p && !streq(p, "Foreground") && !streq(p, "Background") && !streq(p, "Orphan"))
                field_error_not_supported(errs, "propagationPolicy", policy, policies);
        json_foreach_item(json_get(o, "dryRun"), item)
                if (n < ARRAY_SIZE(values) && json_is_string(item))
                        values[n++] = item->str;
        check_dry_run(r, values, n, errs);
}

const struct status *delete_options(struct api_request *r, struct json **ret)
{
        struct field_errors errs = {.arena = r->arena};
        const struct status *st;
        struct json *o = NULL;

        st = r->http->body_len ? delete_options_of_body(r, &o) : delete_options_of_query(r, &o);
        if (st)
                return st;
        if (o && r->http->body_len)
                audit_request_object(r, o, true);
        if (o)
                check_delete_options(r, o, &errs);
        if (errs.n)
                return status_invalid(r->arena, meta_kind(r->arena, "DeleteOptions"), "", &errs);
        r->field_manager = manager_of_agent(r);
        *ret = o;
        return NULL;
}
