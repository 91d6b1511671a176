/* Definitions themselves: names, versions, and whether a schema is structural (apiextensions' validation).
 *
 * What all versions have alike upstream moves to the top of its internal form, and errors then stand there:
 * "spec.validation.openAPIV3Schema" instead of "spec.versions[0].schema.openAPIV3Schema".
 */
#include "crd-internal.h"

#include <ctype.h>

#include "../../lib/base/encode.h"
#include "../validation/names.h"
#include "../validation/pem.h"
#include "../validation/webhook-client.h"

struct judge {
        struct arena *a;
        struct field_errors *errs;
        const struct json *old; /* the stored definition; NULL on create */
        void (*warn)(const char *text, void *userdata);
        void *userdata;
};

/* --- versions --- */

static void check_path(struct judge *j, const char *at, const char *path, const char *const *under, const char *detail)
{
        bool fits = false;

        if (*path != '.') {
                invalid_text(j->errs, at, path, "must be a simple json path starting with .");
                return;
        }
        for (; *under; under++)
                fits |= str_has_prefix(path, *under);
        if (!fits)
                invalid_text(j->errs, at, path, detail);
}

static void check_scale(struct judge *j, const struct json *scale, const char *path)
{
        static const char *const spec[] = {".spec.", NULL}, *const status[] = {".status.", NULL};
        static const char *const both[] = {".spec.", ".status.", NULL};
        const char *s = text(scale, "specReplicasPath"), *t = text(scale, "statusReplicasPath"), *l = text(scale, "labelSelectorPath");

        if (!*s)
                required(j->errs, join(j->a, path, "specReplicasPath"), "");
        else
                check_path(j, join(j->a, path, "specReplicasPath"), s, spec, "should be a json path under .spec");
        if (!*t)
                required(j->errs, join(j->a, path, "statusReplicasPath"), "");
        else
                check_path(j, join(j->a, path, "statusReplicasPath"), t, status, "should be a json path under .status");
        if (*l)
                check_path(j, join(j->a, path, "labelSelectorPath"), l, both, "should be a json path under either .spec or .status");
}

static bool one_of(const char *s, const char *const *words)
{
        for (; *words; words++)
                if (streq(s, *words))
                        return true;
        return false;
}

static void check_columns(struct judge *j, const struct json *columns, const char *path)
{
        static const char *const types[] = {"boolean", "date", "integer", "number", "string", NULL};
        static const char *const formats[] = {"byte", "date", "date-time", "double", "float", "int32", "int64", "password", NULL};

        json_foreach_item(columns, c) {
                const char *at = indexed(j->a, path, "additionalPrinterColumns", c_i), *where = text(c, "jsonPath");
                if (!*text(c, "name"))
                        required(j->errs, join(j->a, at, "name"), "");
                if (!*text(c, "type"))
                        required(j->errs, join(j->a, at, "type"), "must be one of boolean,date,integer,number,string");
                else if (!one_of(text(c, "type"), types))
                        invalid(j->errs, join(j->a, at, "type"), json_get(c, "type"), "must be one of boolean,date,integer,number,string");
                if (*text(c, "format") && !one_of(text(c, "format"), formats))
                        invalid(j->errs, join(j->a, at, "format"), json_get(c, "format"),
                                "must be one of byte,date,date-time,double,float,int32,int64,password");
                if (!*where)
                        required(j->errs, join(j->a, at, "JSONPath"), "");
                else if (*where != '.')
                        invalid_text(j->errs, join(j->a, at, "JSONPath"), where, "must be a simple json path starting with .");
        }
}

static void check_selectable(struct judge *j, const struct json *list, const struct json *schema, const char *path)
{
        size_t unique = 0;

        json_foreach_item(list, f) {
                const char *at = join(j->a, indexed(j->a, path, "selectableFields", f_i), "jsonPath"), *where = text(f, "jsonPath"), *shown, *why;
                const struct json *s;
                const char *type;
                bool twice = false;

                if (!*where) {
                        required(j->errs, at, "");
                        continue;
                }
                if (!(s = crd_field_at(j->a, schema, where, false, &shown, &why))) {
                        invalid_text(j->errs, at, where, arena_printf(j->a, "is an invalid path: %s", why));
                        continue;
                }
                if (str_has_prefix(shown, "metadata") && (!shown[8] || shown[8] == '.'))
                        invalid_text(j->errs, at, where, "must not point to fields in metadata");
                type = text(s, "type");
                if (!streq(type, "string") && !streq(type, "boolean") && !streq(type, "integer"))
                        invalid_text(j->errs, at, where,
                                     "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                                     "formats are allowed.");
                for (size_t k = 0; k < f_i; k++)
                        twice |= streq(text(json_at(list, k), "jsonPath"), where);
                if (twice)
                        field_error_add(j->errs, FIELD_DUPLICATE, at, json_get(f, "jsonPath"), NULL);
                unique += !twice;
        }
        if (unique > 8)
                field_error_add(j->errs, FIELD_TOO_MANY, join(j->a, path, "selectableFields"), json_new_int(j->a, (int64_t)unique),
                                "must have at most 8 items");
}

static bool same_in_all(const struct json *versions, const char *key)
{
        json_foreach_item(versions, v) {
                const struct json *x = json_get(v, key), *y = json_get(json_at(versions, 0), key);
                if (!(!x && !y) && !json_equal(x, y))
                        return false;
        }
        return true;
}

/* What is alike in all versions: it moves to the top, and per version there is none. */
struct alike {
        bool schema, subresources, columns, fields;
};

/* Which version has a schema as it was before: its costs are known. */
static bool schema_known(const struct json *old, const struct json *version)
{
        json_foreach_item(json_path(old, "spec.versions"), v)
                if (streq(text(v, "name"), text(version, "name")))
                        return json_equal(json_path(v, "schema.openAPIV3Schema"), json_path(version, "schema.openAPIV3Schema"));
        return false;
}

static bool any_status(const struct json *versions)
{
        json_foreach_item(versions, v)
                if (json_path(v, "subresources.status"))
                        return true;
        return false;
}

static void check_deprecation(struct judge *j, const struct json *v, const char *at)
{
        const struct json *warning = json_get(v, "deprecationWarning");
        const char *path = join(j->a, at, "deprecationWarning"), *s = json_string(warning);

        if (!s)
                return;
        if (!json_get_bool(v, "deprecated", false)) {
                invalid(j->errs, path, warning, "can only be set for deprecated versions");
                return;
        }
        if (warning->len > 256)
                invalid(j->errs, path, warning, "must be <= 256 characters long");
        if (!warning->len)
                invalid(j->errs, path, warning, "must not be an empty string");
        for (size_t i = 0; i < warning->len; i++)
                if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
                        invalid(j->errs, path, warning,
                                arena_printf(j->a, "must only contain printable UTF-8 characters; non-printable character found at index %zu",
                                             i));
                        break;
                }
}

/* What stands at the top or in a version (AT: "spec" or "spec.versions[0]"). */
static void check_parts(struct judge *j, const struct json *versions, const struct json *v, const char *at, struct alike which,
                        const char *schema_at)
{
        const struct json *schema = json_path(v, "schema.openAPIV3Schema");
        bool status = which.subresources ? json_path(v, "subresources.status") != NULL : any_status(versions);

        if (which.schema && json_is_object(schema))
                crd_check_schema(schema, schema_at, status, schema_known(j->old, v), j->errs);
        if (which.subresources && json_path(v, "subresources.scale"))
                check_scale(j, json_path(v, "subresources.scale"), join(j->a, at, "subresources.scale"));
        if (which.columns)
                check_columns(j, json_get(v, "additionalPrinterColumns"), at);
        if (!which.fields || !json_len(json_get(v, "selectableFields")))
                return;
        /* A schema that moved to the top is not where these look for it, and the other way round. */
        if (streq(at, "spec") && !which.schema)
                invalid_text(j->errs, join(j->a, at, "selectableFields"), "", "may only be set when validations.schema is included");
        else if (json_is_object(schema) && which.schema)
                check_selectable(j, json_get(v, "selectableFields"), schema, at);
        else
                invalid_text(j->errs, join(j->a, at, "selectableFields"), "",
                             "may only be set when `version.schema.openAPIV3Schema` is not included");
}

static void check_version(struct judge *j, const struct json *versions, size_t i, const struct alike *alike)
{
        const struct json *v = json_at(versions, i);
        const char *at = arena_printf(j->a, "spec.versions[%zu]", i);
        struct alike own = {!alike->schema, !alike->subresources, !alike->columns, !alike->fields};

        name_validate_joined(j->errs, NAME_DNS1035_LABEL, join(j->a, at, "name"), text(v, "name"), text(v, "name"), "");
        check_deprecation(j, v, at);
        check_parts(j, versions, v, at, own, join(j->a, at, "schema.openAPIV3Schema"));
}

static void check_versions(struct judge *j, const struct json *spec, const struct alike *alike)
{
        const struct json *versions = json_get(spec, "versions");
        const char *shown = json_is_array(versions) ? crd_go_versions(j->a, versions, alike->schema, alike->subresources, alike->columns,
                                                                      alike->fields)
                                                    : "null";
        size_t storage = 0;
        bool twice = false;

        for (size_t i = 0; i < json_len(versions); i++)
                if (!json_is_object(json_path(json_at(versions, i), "schema.openAPIV3Schema")))
                        required(j->errs, arena_printf(j->a, "spec.versions[%zu].schema.openAPIV3Schema", i), "");
        for (size_t i = 0; i < json_len(versions); i++) {
                const struct json *v = json_at(versions, i);
                storage += json_get_bool(v, "storage", false);
                for (size_t k = 0; k < i; k++)
                        twice |= streq(text(v, "name"), text(json_at(versions, k), "name"));
                check_version(j, versions, i, alike);
        }
        if (twice)
                field_error_add_text(j->errs, FIELD_INVALID, "spec.versions", shown, "must contain unique version names");
        if (storage != 1)
                field_error_add_text(j->errs, FIELD_INVALID, "spec.versions", shown,
                                     "must have exactly one version marked as storage version");
}

/* --- the rest of the spec --- */

static void check_label(struct judge *j, const char *path, const char *s)
{
        name_validate_joined(j->errs, NAME_DNS1035_LABEL, path, s, s, "");
}

static void check_mixed_case(struct judge *j, const char *path, const char *s)
{
        char *lower = arena_strdup(j->a, s);

        for (char *p = lower; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        name_validate_joined(j->errs, NAME_DNS1035_LABEL, path, lower, s, "may have mixed case, but should otherwise match: ");
}

/* The names at PATH, as far as there are any. */
static void check_names(struct judge *j, const struct json *names, const char *path)
{
        static const char *const fields[] = {"plural", "singular", "kind", "listKind"};

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const char *s = text(names, fields[i]);

                if (*s)
                        (i < 2 ? check_label : check_mixed_case)(j, join(j->a, path, fields[i]), s);
        }
        json_foreach_item(json_get(names, "shortNames"), n)
                check_label(j, indexed(j->a, path, "shortNames", n_i), json_string(n) ?: "");
        if (*text(names, "kind") && streq(text(names, "kind"), text(names, "listKind")))
                invalid(j->errs, join(j->a, path, "listKind"), json_get(names, "listKind"), "kind and listKind may not be the same");
        json_foreach_item(json_get(names, "categories"), n)
                check_label(j, indexed(j->a, path, "categories", n_i), json_string(n) ?: "");
}

static void check_own_names(struct judge *j, const struct json *names)
{
        static const char *const fields[] = {"plural", "singular", "kind", "listKind"};

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!*text(names, fields[i]))
                        required(j->errs, join(j->a, "spec.names", fields[i]), "");
        check_names(j, names, "spec.names");
}

static void check_review_versions(struct judge *j, const struct json *list)
{
        const char *path = "spec.conversion.conversionReviewVersions";
        bool known = false;

        if (!json_len(list)) {
                required(j->errs, path, "");
                return;
        }
        json_foreach_item(list, v) {
                const char *at = arena_printf(j->a, "%s[%zu]", path, v_i);
                bool twice = false;

                for (size_t k = 0; k < v_i; k++)
                        twice |= json_equal(json_at(list, k), v);
                if (twice) {
                        invalid(j->errs, at, v, "duplicate version");
                        continue;
                }
                name_validate(j->errs, NAME_DNS1035_LABEL, at, v);
                known |= streq(json_string(v), "v1") || streq(json_string(v), "v1beta1");
        }
        if (!known)
                invalid(j->errs, path, list, "must include at least one of v1, v1beta1");
}

#define CLIENT "spec.conversion.webhookClientConfig"

static bool established(const struct json *crd)
{
        json_foreach_item(json_path(crd, "status.conditions"), c)
                if (streq(text(c, "type"), "Established"))
                        return streq(text(c, "status"), "True");
        return false;
}

/* NULL: nothing is wrong, or there is none. */
static const char *bundle_error(struct judge *j, const struct json *bundle)
{
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
        const char *s = json_string(bundle);

        return str_empty(s) || base64_decode(&pem, s, strlen(s), NULL) < 0 ? NULL : pem_bundle_error(j->a, strbuf_str(&pem));
}

static void check_service(struct judge *j, const struct json *service)
{
        const struct json *port = json_get(service, "port");

        if (!*text(service, "namespace")) /* upstream takes the one for the other */
                required(j->errs, CLIENT ".service.name", "");
        if (!*text(service, "name"))
                required(j->errs, CLIENT ".service.namespace", "");
        if (port && (json_get_int(service, "port", 0) < 1 || json_get_int(service, "port", 0) > 65535))
                field_error_add(j->errs, FIELD_INVALID, CLIENT ".service.port", port,
                                "port is not valid: must be between 1 and 65535, inclusive");
        webhook_check_path(j->errs, CLIENT ".service.path", text(service, "path"));
}

/* A bundle of certificates may go on being as bad as the stored one, and anything before the definition is established. */
static void check_client(struct judge *j, const struct json *client)
{
        const struct json *service = json_get(client, "service"), *bundle = json_get(client, "caBundle");
        const char *url = json_get_string(client, "url"), *wrong = bundle_error(j, bundle);

        if (!client) {
                required(j->errs, CLIENT, "required when strategy is set to Webhook");
                return;
        }
        if (!url == !service)
                required(j->errs, CLIENT, "exactly one of url or service is required");
        else if (url)
                webhook_check_url(j->errs, CLIENT ".url", url);
        else
                check_service(j, service);
        if (wrong && established(j->old) && !bundle_error(j, json_path(j->old, "spec.conversion.webhook.clientConfig.caBundle")))
                invalid(j->errs, CLIENT ".caBundle", bundle, wrong);
}

static void check_conversion(struct judge *j, const struct json *conversion)
{
        static const char *const strategies[] = {"None", "Webhook", NULL};
        const struct json *webhook = json_get(conversion, "webhook");
        const char *strategy = text(conversion, "strategy");

        if (!conversion)
                return;
        if (!*strategy)
                required(j->errs, "spec.conversion.strategy", "");
        else if (!one_of(strategy, strategies))
                field_error_not_supported(j->errs, "spec.conversion.strategy", json_get(conversion, "strategy"), strategies);
        if (streq(strategy, "Webhook")) {
                check_client(j, json_get(webhook, "clientConfig"));
                check_review_versions(j, json_get(webhook, "conversionReviewVersions"));
                return;
        }
        if (json_get(webhook, "clientConfig"))
                forbidden(j->errs, "spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook");
        if (json_len(json_get(webhook, "conversionReviewVersions")))
                forbidden(j->errs, "spec.conversion.conversionReviewVersions", "should not be set when strategy is not set to Webhook");
}

static void check_stored(struct judge *j, const struct json *crd)
{
        const struct json *list = json_path(crd, "status.storedVersions");

        if (!json_len(list))
                invalid(j->errs, "status.storedVersions", json_new_null(j->a), "must have at least one stored version");
        json_foreach_item(json_len(list) ? json_path(crd, "spec.versions") : NULL, v) {
                bool there = !json_get_bool(v, "storage", false);
                json_foreach_item(list, stored)
                        there |= streq(json_string(stored), text(v, "name"));
                if (!there)
                        invalid(j->errs, "status.storedVersions", list, arena_printf(j->a, "must have the storage version %s", text(v, "name")));
        }
        json_foreach_item(list, stored) {
                bool there = false;
                const char *s = json_string(stored) ? json_string(stored) : "";
                json_foreach_item(json_path(crd, "spec.versions"), v)
                        there |= streq(text(v, "name"), s);
                if (!there)
                        invalid(j->errs, arena_printf(j->a, "status.storedVersions[%zu]", stored_i), stored,
                                arena_printf(j->a,
                                             "missing from spec.versions; %s was previously a storage version, and must remain in "
                                             "spec.versions until a storage migration ensures no data remains persisted in %s and "
                                             "removes %s from status.storedVersions", s, s, s));
        }
}

/* What objects are stored under cannot move: the group and the plural ever, the rest once it is established. */
static void check_immutable(struct judge *j, const struct json *crd, const struct json *old)
{
        static const struct {
                const char *path;
                bool always;
        } fields[] = {{"spec.group", true}, {"spec.scope", false}, {"spec.names.kind", false}, {"spec.names.plural", true}};

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const struct json *x = json_path(crd, fields[i].path), *y = json_path(old, fields[i].path);
                if ((fields[i].always || established(old)) && x && y && !json_equal(x, y))
                        invalid(j->errs, fields[i].path, x, "field is immutable");
        }
}

enum approval { APPROVAL_MISSING, APPROVAL_BYPASSED, APPROVAL_GIVEN, APPROVAL_INVALID };

static enum approval approval_of(const struct json *crd)
{
        const char *s = text(json_path(crd, "metadata.annotations"), "api-approved.kubernetes.io"), *colon = strstr(s, "://");

        if (!*s)
                return APPROVAL_MISSING;
        if (str_has_prefix(s, "unapproved"))
                return APPROVAL_BYPASSED;
        return colon && colon > s && colon[3] && !strchr("/?#", colon[3]) && !strpbrk(s, " \t\n") ? APPROVAL_GIVEN : APPROVAL_INVALID;
}

bool crd_group_protected(const char *group)
{
        return streq(group, "k8s.io") || streq(group, "kubernetes.io") || str_has_suffix(group, ".k8s.io") ||
               str_has_suffix(group, ".kubernetes.io");
}

/* What had no approval may go on without. */
static void check_approval(struct judge *j, const struct json *crd, const struct json *old)
{
        const char *group = text(json_get(crd, "spec"), "group"), *at = "metadata.annotations[api-approved.kubernetes.io]";
        enum approval is = approval_of(crd);

        if (!crd_group_protected(group) || (old && approval_of(old) == is))
                return;
        if (is == APPROVAL_MISSING)
                required(j->errs, at,
                         "protected groups must have approval annotation \"api-approved.kubernetes.io\", see "
                         "https://github.com/kubernetes/enhancements/pull/1111");
        else if (is == APPROVAL_INVALID)
                invalid_text(j->errs, at, text(json_path(crd, "metadata.annotations"), "api-approved.kubernetes.io"),
                             "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason "
                             "starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111");
}

/* --- warnings --- */

static void warn_formats(struct judge *j, const struct json *s)
{
        static const char *const lists[] = {"allOf", "anyOf", "oneOf"}, *const single[] = {"items", "additionalProperties", "not"};

        if (!json_is_object(s))
                return;
        if (*text(s, "format") && !crd_format_known(text(s, "type"), text(s, "format")))
                j->warn(arena_printf(j->a, "unrecognized format \"%s\"", text(s, "format")), j->userdata);
        json_foreach_member(json_get(s, "properties"), m)
                warn_formats(j, m->value);
        for (size_t i = 0; i < ARRAY_SIZE(single); i++)
                warn_formats(j, json_get(s, single[i]));
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(s, lists[i]), part)
                        warn_formats(j, part);
}

/* --- all together --- */

/* Whether a schema, or one below V, has a default. */
static bool has_default(const struct json *v)
{
        bool found = false;

        json_foreach_item(v, item)
                found |= has_default(item);
        json_foreach_member(v, m) {
                if (streq(m->key, "default"))
                        found |= !json_is_null(m->value);
                else if (streq(m->key, "properties"))
                        json_foreach_member(m->value, p)
                                found |= has_default(p->value);
                else
                        found |= has_default(m->value);
        }
        return found;
}

static void check_spec(struct judge *j, const struct json *spec)
{
        static const char *const scopes[] = {"Cluster", "Namespaced", NULL};
        const struct json *versions = json_get(spec, "versions"), *first = json_at(versions, 0);
        const struct json *conversion = json_get(spec, "conversion");
        const char *group = text(spec, "group"), *scope = text(spec, "scope");
        bool unpruned = json_get_bool(spec, "preserveUnknownFields", false);
        size_t before = j->errs->n;
        struct alike alike = {same_in_all(versions, "schema"), same_in_all(versions, "subresources"),
                              same_in_all(versions, "additionalPrinterColumns"), same_in_all(versions, "selectableFields")};

        if (!*group)
                required(j->errs, "spec.group", "");
        else
                name_validate_joined(j->errs, NAME_DNS1123_SUBDOMAIN, "spec.group", text(spec, "group"), text(spec, "group"), "");
        if (j->errs->n == before && !strchr(group, '.'))
                invalid_text(j->errs, "spec.group", group, "should be a domain with at least one dot");
        if (!*scope)
                required(j->errs, "spec.scope", "");
        else if (!one_of(scope, scopes))
                field_error_not_supported(j->errs, "spec.scope", json_get(spec, "scope"), scopes);
        if (unpruned && has_default(versions))
                invalid(j->errs, "spec.preserveUnknownFields", json_get(spec, "preserveUnknownFields"),
                        "must be false in order to use defaults in the schema");
        check_versions(j, spec, &alike);
        if (first && *text(first, "name"))
                check_label(j, "spec.version", text(first, "name"));
        check_own_names(j, json_get(spec, "names"));
        if (first)
                check_parts(j, versions, first, "spec", alike, "spec.validation.openAPIV3Schema");
        if (unpruned && conversion && !streq(text(conversion, "strategy"), "None"))
                invalid_text(j->errs, "spec.conversion.strategy", text(conversion, "strategy"), "must be None if spec.preserveUnknownFields is true");
        check_conversion(j, conversion);
}

void crd_validate_definition(const struct json *crd, const struct json *old, struct field_errors *errs,
                             void (*warn)(const char *text, void *userdata), void *userdata)
{
        struct judge j = {.a = errs->arena, .errs = errs, .old = old, .warn = warn, .userdata = userdata};
        const struct json *spec = json_get(crd, "spec");

        if (!old || !json_equal(spec, json_get(old, "spec"))) { /* else it was let in as it is */
                check_spec(&j, spec);
                if (old)
                        check_immutable(&j, crd, old);
        }
        check_names(&j, json_path(crd, "status.acceptedNames"), "status.acceptedNames");
        check_stored(&j, crd);
        check_approval(&j, crd, old);
        if (json_get_bool(spec, "preserveUnknownFields", false))
                invalid(j.errs, "spec.preserveUnknownFields", json_get(spec, "preserveUnknownFields"),
                        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
        if (!errs->n && warn)
                json_foreach_item(json_get(spec, "versions"), v)
                        if (v_i == 0 || !same_in_all(json_get(spec, "versions"), "schema"))
                                warn_formats(&j, json_path(v, "schema.openAPIV3Schema"));
}

void crd_validate_definition_status(const struct json *crd, struct field_errors *errs)
{
        struct judge j = {.a = errs->arena, .errs = errs};

        check_names(&j, json_path(crd, "status.acceptedNames"), "status.acceptedNames");
}
