/* What rules about devices (resource.k8s.io) cannot say: names with a domain, references to a claim's requests,
 * and which nodes a slice is for. */
#include "metadata.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "resources.h"

#define DEVICE_NAME_MAX 32
#define POOL_NAME_MAX 253
#define PARAMETERS_MAX 10240
#define OPTIONS_MAX 10
#define SLICE_DEVICES_MAX 128 /* 64 where devices have taints or use counters */
#define REQUEST_REFERENCE "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

static void too_long(struct check *c, const struct at *at, size_t len, unsigned max)
{
        if (len > max)
                field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, at), NULL, "may not be more than %u bytes", max);
}

static void invalid_text(struct check *c, const struct at *at, const char *value, const char *detail)
{
        field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, value), "%s", detail);
}

/* --- names --- */

static void check_identifier(struct check *c, const struct at *at, const char *s)
{
        too_long(c, at, strlen(s), DEVICE_NAME_MAX);
        name_validate_string(c->errs, NAME_C_IDENTIFIER, at_path(c, at), s);
}

/* "memory" or "dra.example.com/memory" */
static void check_qualified_name(struct check *c, const struct at *at, const char *s)
{
        const char *slash = strchr(s, '/'), *domain;

        if (!slash) {
                check_identifier(c, at, s);
                return;
        }
        if (strchr(slash + 1, '/')) /* three parts are nobody's business upstream */
                return;
        domain = arena_strndup(c->a, s, (size_t)(slash - s));
        if (!*domain) {
                invalid_text(c, at, "", "the domain must not be empty");
        } else {
                check_driver_name(c, at, domain);
        }
        if (!slash[1])
                invalid_text(c, at, "", "the name must not be empty");
        else
                check_identifier(c, at, slash + 1);
}

void check_qualified_attribute(struct check *c, const struct at *at)
{
        const char *s = text_at(at);

        check_qualified_name(c, at, s);
        if (!strchr(s, '/'))
                check_invalid(c, at, "a fully qualified name must be a domain and a name separated by a slash");
}

/* Subdomains with slashes between them. */
void check_pool_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at);

        if (!*s) {
                check_required(c, at, NULL);
                return;
        }
        too_long(c, at, strlen(s), POOL_NAME_MAX);
        for (;;) {
                size_t len = strcspn(s, "/");

                name_validate_string(c->errs, NAME_DNS1123_SUBDOMAIN, at_path(c, at), arena_strndup(c->a, s, len));
                if (!s[len])
                        return;
                s += len + 1;
        }
}

void check_extended_resource_name(struct check *c, const struct at *at)
{
        if (at_set(at) && !resource_extended(text_at(at)))
                check_invalid(c, at, "must be a valid extended resource name");
}

/* [A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])? */
void check_condition_reason(struct check *c, const struct at *at)
{
        const char *s = text_at(at);
        bool ok = isalpha((unsigned char)*s);

        for (const char *p = s; *p; p++)
                ok &= isalnum((unsigned char)*p) || *p == '_' || (p[1] && (*p == ',' || *p == ':'));
        if (!ok)
                check_invalid(c, at,
                              "a condition reason must start with alphabetic character, optionally followed by a string of "
                              "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. "
                              "'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex "
                              "used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
}

/* --- drivers and their parameters --- */

void check_driver_in_capitals(struct check *c, const struct at *at)
{
        const char *s = text_at(at);

        if (s[strcspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
                check_warn(c, at, "driver names should be lowercase; %s contains uppercase characters",
                           json_print(c->a, json_new_string(c->a, s)));
}

/* Parameters that a class has had may be longer than what is let in now, as long as none of its configurations changes. */
void check_device_parameters(struct check *c, const struct at *at)
{
        size_t len = at_set(at) ? strlen(json_print(c->a, at->j)) : 0;
        const struct json *config = json_path(c->obj, "spec.config"), *was = json_path(c->old, "spec.config");

        if (!at_set(at))
                check_required(c, at, NULL);
        else if (len > PARAMETERS_MAX && !(was && json_equal(config, was)))
                too_long(c, at, len, PARAMETERS_MAX);
        else if (!json_is_object(at->j))
                invalid_text(c, at, "<value omitted>", "must be a valid JSON object");
}

/* --- claims --- */

void check_request_of_two_kinds(struct check *c, const struct at *at)
{
        field_error_add(c->errs, FIELD_INVALID, at_path(c, at), NULL,
                        "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set");
}

static bool claim_has_request(struct check *c, const char *name)
{
        const struct json *requests = json_path(c->obj, "spec.devices.requests");

        if (!requests)
                requests = json_path(c->obj, "spec.spec.devices.requests");
        json_foreach_item(requests, r) {
                const char *main = json_get_string(r, "name");

                if (streq(main, name))
                        return true;
                json_foreach_item(json_get(r, "firstAvailable"), sub)
                        if (streq(arena_printf(c->a, "%s/%s", main ? main : "", json_get_string(sub, "name") ?: ""), name))
                                return true;
        }
        return false;
}

void check_request_reference(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '/');

        if (slash && strchr(slash + 1, '/')) {
                check_invalid(c, at, REQUEST_REFERENCE);
                return;
        }
        name_validate_string(c->errs, NAME_DNS1123_LABEL, at_path(c, at), arena_strndup(c->a, s, strcspn(s, "/")));
        if (slash)
                name_validate_string(c->errs, NAME_DNS1123_LABEL, at_path(c, at), slash + 1);
        if (!claim_has_request(c, s))
                check_invalid(c, at, REQUEST_REFERENCE);
}

/* Of a template's metadata only labels and annotations go to the claims. */
void check_template_object_meta(struct check *c, const struct at *at)
{
        static const char *const others[] = { "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion",
                                              "generation", "creationTimestamp", "deletionTimestamp",
                                              "deletionGracePeriodSeconds", "ownerReferences", "finalizers", "managedFields" };

        check_annotations(c, at_field(c, at, "annotations"));
        check_labels(c, at_field(c, at, "labels"));
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                if (!at_empty(at_field(c, at, others[i])) || json_is_array(at_shown(c, at_field(c, at, others[i]))))
                        field_error_add(c->errs, FIELD_FORBIDDEN,
                                        arena_printf(c->a, "%s.%s", at_path(c, at), streq(others[i], "uid") ? "uID" : others[i]),
                                        NULL, "cannot be set");
}

bool cond_was_allocated(struct check *c, const struct at *at)
{
        unused(at);
        return json_is_object(json_path(c->old, "status.allocation"));
}

void check_reserved_for(struct check *c, const struct at *at)
{
        const struct json *was = json_path(c->old, "status.reservedFor");
        bool added = false;

        if (!json_len(at->j))
                return;
        if (!json_is_object(json_path(c->obj, "status.allocation"))) {
                check_forbidden(c, at, "may not be specified when `allocated` is not set");
                return;
        }
        if (!json_path_string(c->obj, "metadata.deletionTimestamp"))
                return;
        json_foreach_item(at->j, e) {
                bool found = false;

                json_foreach_item(was, o)
                        found |= json_equal(e, o);
                added |= !found;
        }
        if (added)
                check_forbidden(c, at, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set");
}

/* What Go's parser of UUIDs says of S; NULL: nothing. */
static const char *bad_uuid(struct arena *a, const char *s)
{
        size_t n = strlen(s), digits = 0;

        if (n == 45 && strncasecmp(s, "urn:uuid:", 9) != 0)
                return arena_printf(a, "invalid urn prefix: %s", json_print(a, json_new_string(a, arena_strndup(a, s, 9))));
        if (n == 38 && (s[0] != '{' || s[37] != '}'))
                return "invalid bracketed UUID format";
        if (n != 32 && n != 36 && n != 38 && n != 45)
                return arena_printf(a, "invalid UUID length: %zu", n);
        if (n != 32)
                s = arena_strndup(a, s + (n == 38 ? 1 : n == 45 ? 9 : 0), 36);
        for (size_t i = 0; s[i]; i++) {
                bool dash = n != 32 && (i == 8 || i == 13 || i == 18 || i == 23);

                if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
                        return "invalid UUID format";
                digits += !dash;
        }
        return digits == 32 ? NULL : "invalid UUID format";
}

/* A UUID in lower case, dashes and all. */
void check_share_id(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *wrong;
        bool normal = strlen(s) == 36;

        if (!at_set(at))
                return;
        for (const char *p = s; *p; p++)
                normal &= !isupper((unsigned char)*p);
        wrong = bad_uuid(c->a, s);
        if (wrong)
                check_invalid(c, at, "error validating uid: %s", wrong);
        else if (!normal)
                check_invalid(c, at, "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with "
                                     "lowercase hexadecimal characters");
}

/* "driver/pool/device", and the share where the device is shared */
static const char *device_id(struct arena *a, const struct json *device)
{
        const char *share = json_get_string(device, "shareID");
        const char *id = arena_printf(a, "%s/%s/%s", json_get_string(device, "driver") ?: "", json_get_string(device, "pool") ?: "",
                                      json_get_string(device, "device") ?: "");

        return str_empty(share) ? id : arena_printf(a, "%s/%s", id, share);
}

/* As errors show it: upstream compares structs of these names. */
static const char *shown_id(struct arena *a, const struct json *device)
{
        static const char *const fields[][2] = { { "Driver", "driver" }, { "Pool", "pool" }, { "Device", "device" }, { "ShareID", "shareID" } };
        struct json *j = json_new_object(a);

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                json_set_string(a, j, fields[i][0], json_get_string(device, fields[i][1]) ?: "");
        return json_print(a, j);
}

void check_allocated_device(struct check *c, const struct at *at)
{
        const char *id = device_id(c->a, at->j);

        json_foreach_item(json_path(c->obj, "status.allocation.devices.results"), r)
                if (streq(device_id(c->a, r), id))
                        return;
        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), shown_id(c->a, at->j), "must be an allocated device in the claim");
}

/* AT is the list of devices: none is there twice. */
void check_devices_once(struct check *c, const struct at *at)
{
        for (size_t i = 1; i < json_len(at->j); i++) {
                const char *id = device_id(c->a, json_at(at->j, i));

                for (size_t k = 0; k < i; k++)
                        if (streq(device_id(c->a, json_at(at->j, k)), id)) {
                                field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, at_item(c, at, i)),
                                                     shown_id(c->a, json_at(at->j, i)), NULL);
                                break;
                        }
        }
}

/* The address HOST as Go prints it; it may have zeros in front of its numbers, as once was allowed. */
static bool parse_address(struct arena *a, const char *host, const char **ret_text, bool *ret_v4, bool *ret_mapped)
{
        static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
        char text[INET6_ADDRSTRLEN];
        unsigned char raw[16];
        const char *plain = "";

        *ret_v4 = !strchr(host, ':');
        *ret_mapped = false;
        if (!name_is_address(host))
                return false;
        for (const char *p = host; *ret_v4 && *p; p += *p == '.') {
                plain = arena_printf(a, "%s%s%lu", plain, *plain ? "." : "", strtoul(p, NULL, 10));
                p += strcspn(p, ".");
        }
        if (inet_pton(*ret_v4 ? AF_INET : AF_INET6, *ret_v4 ? plain : host, raw) != 1)
                return false;
        *ret_mapped = !*ret_v4 && memcmp(raw, mapped, sizeof(mapped)) == 0;
        inet_ntop(*ret_v4 || *ret_mapped ? AF_INET : AF_INET6, raw + (*ret_mapped ? 12 : 0), text, sizeof(text));
        *ret_text = arena_strdup(a, text);
        return true;
}

void check_interface_address(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '/'), *address = "";
        size_t digits = slash ? strspn(slash + 1, "0123456789") : 0;
        unsigned long bits = slash ? strtoul(slash + 1, NULL, 10) : 0;
        bool v4, mapped;

        if (!digits || slash[1 + digits] || digits > 8 ||
            !parse_address(c->a, arena_strndup(c->a, s, (size_t)(slash - s)), &address, &v4, &mapped) || bits > (v4 ? 32 : 128)) {
                check_invalid(c, at, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)");
                return;
        }
        if (mapped && bits > 32)
                bits -= 96;
        if (!streq(s, arena_printf(c->a, "%s/%lu", address, bits)))
                check_invalid(c, at, "must be in canonical form (\"%s/%lu\")", address, bits);
}

/* --- slices --- */

static bool flag(const struct json *j, const char *name)
{
        return json_get_bool(j, name, false);
}

/* Which of the ways to name nodes are used: "{`nodeName`, `allNodes`}". */
static const char *node_fields(struct check *c, const struct json *j, bool per_device, unsigned *ret_n)
{
        const char *name = json_get_string(j, "nodeName");
        const char *set[4], *text = "";
        unsigned n = 0;

        if (!str_empty(name))
                set[n++] = "`nodeName`";
        if (json_is_object(json_get(j, "nodeSelector")))
                set[n++] = "`nodeSelector`";
        if (flag(j, "allNodes"))
                set[n++] = "`allNodes`";
        if (!per_device && flag(j, "perDeviceNodeSelection"))
                set[n++] = "`perDeviceNodeSelection`";
        for (unsigned i = 0; i < n; i++)
                text = arena_printf(c->a, "%s%s%s", text, i ? ", " : "", set[i]);
        *ret_n = n;
        return arena_printf(c->a, "{%s}", text);
}

void check_slice_nodes(struct check *c, const struct at *spec)
{
        unsigned n;
        const char *set = node_fields(c, spec->j, false, &n);
        const char *detail = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

        if (n == 0)
                check_required(c, spec, detail);
        else if (n > 1)
                invalid_text(c, spec, set, arena_printf(c->a, "%s, but multiple fields are set", detail));
        if (json_is_array(at_shown(c, at_field(c, spec, "sharedCounters"))) && json_is_array(at_shown(c, at_field(c, spec, "devices"))))
                invalid_text(c, spec, "", "only one of `sharedCounters` or `devices` is allowed");
}

void check_device_nodes(struct check *c, const struct at *device)
{
        const struct at *spec = device->up->up;
        const struct at *name = at_field(c, device, "nodeName"), *all = at_field(c, device, "allNodes");
        const struct at *selector = at_field(c, device, "nodeSelector");
        const char *detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when "
                             "`perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        unsigned n;
        const char *set = node_fields(c, device->j, true, &n);

        if (!flag(spec->j, "perDeviceNodeSelection")) {
                if (at_set(name) || at_set(all) || at_set(selector))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, device), NULL,
                                        "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` "
                                        "is set to true in the ResourceSlice spec");
                return;
        }
        if (at_set(name) && !*text_at(name))
                check_invalid(c, name, "must not be empty");
        else if (at_set(name))
                check_name(c, name, NAME_DNS1123_SUBDOMAIN);
        if (at_set(selector))
                rules_use(c, "NodeSelector", selector);
        if (json_is_bool(all->j) && !all->j->boolean)
                check_invalid(c, all, "must be either unset or set to true");
        if (n == 0)
                check_required(c, device, detail);
        else if (n > 1)
                invalid_text(c, device, set, detail);
}

void check_one_node_selector_term(struct check *c, const struct at *at)
{
        if (json_len(at->j) != 1)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at),
                                     "must have exactly one node selector term");
}

/* Labels of nodes, or a node's name. */
void check_node_selector_term(struct check *c, const struct at *at)
{
        const struct at *labels = at_field(c, at, "matchExpressions"), *fields = at_field(c, at, "matchFields");

        for (size_t i = 0; i < json_len(labels->j); i++) {
                const struct at *e = at_item(c, labels, i), *values = at_field(c, e, "values");

                check_node_requirement(c, e);
                for (size_t k = 0; k < json_len(values->j); k++)
                        check_name(c, at_item(c, values, k), NAME_LABEL_VALUE);
        }
        for (size_t i = 0; i < json_len(fields->j); i++) {
                const struct at *e = at_item(c, fields, i), *values = at_field(c, e, "values");
                const char *op = json_get_string(e->j, "operator");

                if (!streq(op, "In") && !streq(op, "NotIn"))
                        check_invalid(c, at_field(c, e, "operator"), "not a valid selector operator");
                else if (json_len(values->j) != 1)
                        check_required(c, values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
                if (!streq(json_get_string(e->j, "key"), "metadata.name")) {
                        check_invalid(c, at_field(c, e, "key"), "not a valid field selector key");
                        continue;
                }
                for (size_t k = 0; k < json_len(values->j); k++)
                        check_name(c, at_item(c, values, k), NAME_DNS1123_SUBDOMAIN);
        }
}

void check_device_limit(struct check *c, const struct at *list)
{
        int max = SLICE_DEVICES_MAX;

        json_foreach_item(list->j, d)
                if (json_len(json_get(d, "taints")) || json_len(json_get(d, "consumesCounters")))
                        max = SLICE_DEVICES_MAX / 2;
        if (json_len(list->j) > (size_t)max)
                field_error_add(c->errs, FIELD_TOO_MANY, at_path(c, list), json_new_int(c->a, (int64_t)json_len(list->j)),
                                "must have at most %d items", max);
}

/* Taints that a device of that name has had already are not looked at again. */
bool cond_taints_changed(struct check *c, const struct at *device)
{
        const char *name = json_get_string(device->j, "name") ?: "";

        json_foreach_item(json_path(c->old, "spec.devices"), old)
                if (streq(json_get_string(old, "name") ?: "", name))
                        return !json_equal(json_get(old, "taints"), json_get(device->j, "taints"));
        return true;
}

void check_device_attributes(struct check *c, const struct at *device)
{
        const struct at *attributes = at_field(c, device, "attributes"), *capacity = at_field(c, device, "capacity");
        size_t n = json_len(attributes->j) + json_len(capacity->j);

        if (n > 32)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, device), json_new_int(c->a, (int64_t)n),
                                "the total number of attributes and capacities must not exceed 32");
        json_foreach_member(attributes->j, m) {
                check_qualified_name(c, attributes, m->key);
                rules_use(c, "DeviceAttribute", at_entry(c, attributes, m));
        }
        json_foreach_member(capacity->j, m)
                check_qualified_name(c, capacity, m->key);
}

static bool digits(const char **p, bool any_zero)
{
        const char *s = *p;

        while (isdigit((unsigned char)**p))
                (*p)++;
        return *p > s && (any_zero || *s != '0' || *p == s + 1);
}

/* Identifiers with dots between them; numeric ones have no leading zero where STRICT. */
static bool identifiers(const char **p, bool strict)
{
        for (;;) {
                const char *s = *p;
                bool number = true;

                for (; isalnum((unsigned char)**p) || **p == '-'; (*p)++)
                        number &= isdigit((unsigned char)**p) != 0;
                if (*p == s || (strict && number && *s == '0' && *p > s + 1))
                        return false;
                if (**p != '.')
                        return true;
                (*p)++;
        }
}

void check_semantic_version(struct check *c, const struct at *at)
{
        const char *p = text_at(at);
        bool ok;

        if (!at_set(at))
                return;
        ok = digits(&p, false) && *p++ == '.' && digits(&p, false) && *p++ == '.' && digits(&p, false);
        if (ok && *p == '-') {
                p++;
                ok = identifiers(&p, true);
        }
        if (ok && *p == '+') {
                p++;
                ok = identifiers(&p, false);
        }
        if (!ok || *p)
                check_invalid(c, at, "must be a string compatible with semver.org spec 2.0.0");
}

void check_one_attribute_value(struct check *c, const struct at *at)
{
        static const struct {
                const char *field, *go;
        } values[] = { { "int", "IntValue" },       { "bool", "BoolValue" },   { "string", "StringValue" },
                       { "version", "VersionValue" }, { "ints", "IntValues" }, { "bools", "BoolValues" },
                       { "strings", "StringValues" }, { "versions", "VersionValues" } };
        const char *text = "";
        unsigned n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                const struct json *v = json_get(at->j, values[i].field);

                n += v && !json_is_null(v);
                text = arena_printf(c->a, "%s%s\"%s\":%s", text, i ? "," : "", values[i].go, v ? json_print(c->a, v) : "null");
        }
        if (n != 1)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), n ? arena_printf(c->a, "{%s}", text) : "\"\"",
                                     "exactly one value must be specified");
}

void check_counter_names(struct check *c, const struct at *at)
{
        json_foreach_member(at->j, m)
                name_validate_string(c->errs, NAME_DNS1123_LABEL, at_path(c, at), m->key);
}

void check_failure_condition(struct check *c, const struct at *at)
{
        json_foreach_item(json_get(at->up->up->j, "bindingConditions"), b)
                if (json_equal(b, at->j)) {
                        check_invalid(c, at, "bindingFailureConditions must not overlap with bindingConditions");
                        return;
                }
}

/* --- how much of a capacity may be asked for --- */

static bool amount(const struct at *at, struct quantity *ret)
{
        return (json_is_string(at->j) || json_is_number(at->j)) && quantity_parse(at->j->str, ret) == 0;
}

/* Whole numbers tell options apart. */
static void check_options_once(struct check *c, const struct at *values)
{
        struct quantity q, other;

        for (size_t i = 1; i < json_len(values->j); i++)
                for (size_t k = 0; k < i; k++)
                        if (amount(at_item(c, values, i), &q) && amount(at_item(c, values, k), &other) &&
                            quantity_value(&q) == quantity_value(&other)) {
                                field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at_item(c, values, i)),
                                                json_new_string(c->a, arena_printf(c->a, "%lld", (long long)quantity_value(&q))), NULL);
                                break;
                        }
}

static void check_valid_values(struct check *c, const struct at *policy, const struct at *values)
{
        const struct at *value = at_field(c, policy->up, "value");
        struct quantity q, next, fallback, all = { 0 };
        bool found = false;

        amount(value, &all);
        if (!amount(at_field(c, policy, "default"), &fallback)) {
                check_required(c, at_field(c, policy, "default"), "required when validValues is defined");
                return;
        }
        for (size_t i = 0; i < json_len(values->j); i++) {
                if (!amount(at_item(c, values, i), &q))
                        continue;
                if (i + 1 < json_len(values->j) && amount(at_item(c, values, i + 1), &next) && quantity_cmp(&q, &next) > 0)
                        check_invalid(c, at_item(c, values, i + 1), "values must be sorted in ascending order");
        }
        if (json_len(values->j) > OPTIONS_MAX) {
                field_error_add(c->errs, FIELD_TOO_MANY, at_path(c, values), json_new_int(c->a, (int64_t)json_len(values->j)),
                                "must have at most %d items", OPTIONS_MAX);
        } else {
                for (size_t i = 0; i < json_len(values->j); i++) {
                        if (!amount(at_item(c, values, i), &q))
                                continue;
                        if (quantity_cmp(&q, &all) > 0)
                                check_invalid(c, at_item(c, values, i), "option is larger than capacity value: %s",
                                              json_string(value->j));
                        found |= quantity_cmp(&q, &fallback) == 0;
                }
                check_options_once(c, values);
        }
        if (!found)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, values), at_field(c, policy, "default")->j,
                                "default value is not valid according to the requestPolicy");
}

static void check_step(struct check *c, const struct at *range, const struct quantity *capacity, const struct quantity *min,
                       const struct quantity *fallback)
{
        const struct at *step = at_field(c, range, "step"), *max = at_field(c, range, "max");
        const char *from = json_string(at_field(c, range, "min")->j);
        struct quantity s, m, first = *min;
        char buf[QUANTITY_BUF], whole[QUANTITY_BUF];

        if (!amount(step, &s) || !s.nano)
                return;
        quantity_add(&first, &s);
        if (quantity_cmp(&first, capacity) > 0)
                check_invalid(c, step, "one step %s is larger than capacity value: %s", quantity_format(&first, buf),
                              quantity_format(capacity, whole));
        if ((quantity_value(fallback) - quantity_value(min)) % quantity_value(&s))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, step), at_field(c, range->up, "default")->j,
                                "value is not a multiple of a given step (%s) from (%s)", json_string(step->j), from);
        if (amount(max, &m) && (quantity_value(&m) - quantity_value(min)) % quantity_value(&s))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, step), max->j,
                                "value is not a multiple of a given step (%s) from (%s)", json_string(step->j), from);
}

static void check_valid_range(struct check *c, const struct at *policy, const struct at *range)
{
        const struct at *min = at_field(c, range, "min"), *max = at_field(c, range, "max");
        const struct at *value = at_field(c, policy->up, "value");
        struct quantity fallback, least, most, all = { 0 };

        if (!amount(at_field(c, policy, "default"), &fallback)) {
                check_required(c, at_field(c, policy, "default"), "required when validRange is defined");
                return;
        }
        if (!amount(min, &least)) {
                check_required(c, min, "required when validRange is defined");
                return;
        }
        amount(value, &all);
        if (quantity_cmp(&least, &all) > 0)
                check_invalid(c, min, "min is larger than capacity value: %s", json_string(value->j));
        if (quantity_cmp(&fallback, &least) < 0)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, min), at_field(c, policy, "default")->j,
                                "default is less than min: %s", json_string(min->j));
        if (amount(max, &most)) {
                if (quantity_cmp(&least, &most) > 0)
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, max), min->j, "min is larger than max: %s",
                                        json_string(max->j));
                if (quantity_cmp(&most, &all) > 0)
                        check_invalid(c, max, "max is larger than capacity value: %s", json_string(value->j));
                if (quantity_cmp(&fallback, &most) > 0)
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, max), at_field(c, policy, "default")->j,
                                        "default is more than max: %s", json_string(max->j));
        }
        check_step(c, range, &all, &least, &fallback);
}

void check_request_policy(struct check *c, const struct at *policy)
{
        const struct at *values = at_field(c, policy, "validValues"), *range = at_field(c, policy, "validRange");

        if (!at_set(policy))
                return;
        if (json_len(values->j) && at_set(range))
                check_forbidden(c, policy, "exactly one policy can be specified, cannot specify \"validValues\" and "
                                           "\"validRange\" at the same time");
        else if (json_len(values->j))
                check_valid_values(c, policy, values);
        else if (at_set(range))
                check_valid_range(c, policy, range);
}
