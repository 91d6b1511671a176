/* What rules about events, endpoints and ingresses cannot say. */
#include "metadata.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "../../lib/meta/quantity.h"
#include "functions.h"

static const char *text_at(const struct at *at)
{
        return json_string(at->j) ? json_string(at->j) : "";
}

/* --- addresses --- */

/* Addresses that no endpoint can have. */
static void check_range_of_ip(struct check *c, const struct at *at)
{
        unsigned char v6[16], v4[4];
        const char *s = text_at(at);

        if (inet_pton(AF_INET, s, v4) == 1) {
                if (!v4[0] && !v4[1] && !v4[2] && !v4[3])
                        check_invalid(c, at, "may not be unspecified (%s)", s);
                if (v4[0] == 127)
                        check_invalid(c, at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
                if (v4[0] == 169 && v4[1] == 254)
                        check_invalid(c, at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
                if (v4[0] == 224 && !v4[1] && !v4[2])
                        check_invalid(c, at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        } else if (inet_pton(AF_INET6, s, v6) == 1) {
                static const unsigned char none[16], loopback[16] = { [15] = 1 };

                if (memcmp(v6, none, 16) == 0)
                        check_invalid(c, at, "may not be unspecified (%s)", s);
                if (memcmp(v6, loopback, 16) == 0)
                        check_invalid(c, at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
                if (v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80)
                        check_invalid(c, at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
                if (v6[0] == 0xff && v6[1] == 2)
                        check_invalid(c, at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        }
}

void check_endpoint_ip(struct check *c, const struct at *at)
{
        if (!name_is_address(text_at(at)))
                check_invalid(c, at, "must be a valid IP address");
        check_range_of_ip(c, at);
}

/* One address of a slice, by the slice's type. */
/* Two labels at least; a dot at the end is nothing. */
static void check_domain_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *messages[NAME_MESSAGES];
        size_t len = strlen(s), before = c->errs->n;
        const char *name;

        if (!len) {
                check_required(c, at, NULL);
                return;
        }
        name = arena_strndup(c->a, s, s[len - 1] == '.' ? len - 1 : len);
        for (unsigned i = 0, n = name_check(c->a, NAME_DNS1123_SUBDOMAIN, name, messages); i < n; i++)
                check_invalid(c, at, "%s", messages[i]);
        if (c->errs->n > before)
                return;
        if (!strchr(name, '.')) {
                check_invalid(c, at, "should be a domain with at least two segments separated by dots");
                return;
        }
        for (size_t n; *name; name += n + (name[n] == '.')) {
                n = strcspn(name, ".");
                name_validate_string(c->errs, NAME_DNS1123_LABEL, at_path(c, at), arena_strndup(c->a, name, n));
        }
}

void check_slice_address(struct check *c, const struct at *at)
{
        const char *type = json_get_string(c->obj, "addressType"), *s = text_at(at);
        unsigned char buf[16];
        size_t before = c->errs->n;

        if (streq(type, "FQDN")) {
                check_domain_name(c, at);
                return;
        }
        if (!streq(type, "IPv4") && !streq(type, "IPv6"))
                return;
        check_name(c, at, NAME_IP);
        if (streq(type, "IPv6") && c->errs->n == before)
                check_canonical_address(c, at);
        if (c->errs->n > before)
                return;
        if (inet_pton(streq(type, "IPv4") ? AF_INET : AF_INET6, s, buf) != 1) /* said of the list, shown with the address */
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at->up), at->j, "must be an %s address", type);
        check_range_of_ip(c, at);
}

/* --- ingresses --- */

void check_ingress_spec(struct check *c, const struct at *at)
{
        if (!json_len(json_get(at->j, "rules")) && !json_get(at->j, "defaultBackend"))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), at_shown(c, at_field(c, at, "rules")),
                                "either `defaultBackend` or `rules` must be specified");
}

void check_ingress_port(struct check *c, const struct at *service)
{
        const struct at *name = at_field(c, service, "port.name"), *number = at_field(c, service, "port.number");
        int64_t n = 0;
        bool has_name = *text_at(name), has_number = json_to_int(number->j, &n) == 0 && n != 0;
        const char *backend = at_path(c, service->up);

        if (has_name && has_number)
                field_error_add_text(c->errs, FIELD_INVALID, backend, "\"\"", "cannot set both port name & port number");
        else if (has_name)
                check_name(c, name, NAME_PORT);
        else if (has_number && (n < 1 || n > 65535))
                check_invalid(c, number, "must be between 1 and 65535, inclusive");
        else if (!has_number)
                field_error_add(c->errs, FIELD_REQUIRED, backend, NULL, "port name or number is required");
}

void check_ingress_backend(struct check *c, const struct at *at)
{
        const struct at *service = at_field(c, at, "service"), *resource = at_field(c, at, "resource");

        if (at_set(service) && at_set(resource))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"",
                                     "cannot set both resource and service backends");
        else if (at_set(resource))
                rules_use(c, "TypedReference", resource);
        else if (at_set(service))
                rules_use(c, "IngressService", service);
        else
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"", "resource or service backend is required");
}

void check_wildcard_or_subdomain(struct check *c, const struct at *at)
{
        check_name(c, at, strchr(text_at(at), '*') ? NAME_WILDCARD_SUBDOMAIN : NAME_DNS1123_SUBDOMAIN);
}

void check_ingress_host(struct check *c, const struct at *at)
{
        if (!*text_at(at))
                return;
        if (name_is_address(text_at(at)))
                check_invalid(c, at, "must be a DNS name, not an IP address");
        check_wildcard_or_subdomain(c, at);
}

void check_ingress_hostname(struct check *c, const struct at *at)
{
        if (!*text_at(at))
                return;
        check_name(c, at, NAME_DNS1123_SUBDOMAIN);
        if (name_is_address(text_at(at)))
                check_invalid(c, at, "must be a DNS name, not an IP address");
}

static void check_plain_path(struct check *c, const struct at *path)
{
        static const char *const sequences[] = { "//", "/./", "/../", "%2f", "%2F", NULL };
        static const char *const suffixes[] = { "/..", "/.", NULL };
        const char *s = text_at(path);

        if (*s != '/')
                check_invalid(c, path, "must be an absolute path");
        for (const char *const *q = sequences; *s && *q; q++)
                if (strstr(s, *q))
                        check_invalid(c, path, "must not contain '%s'", *q);
        for (const char *const *q = suffixes; *s && *q; q++)
                if (str_has_suffix(s, *q))
                        check_invalid(c, path, "cannot end with '%s'", *q);
}

void check_ingress_path(struct check *c, const struct at *at)
{
        static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
        const struct at *type = at_field(c, at, "pathType"), *path = at_field(c, at, "path");

        if (!at_set(type)) {
                check_required(c, type, "pathType must be specified");
                return;
        }
        if (streq(text_at(type), "Exact") || streq(text_at(type), "Prefix"))
                check_plain_path(c, path);
        else if (!streq(text_at(type), "ImplementationSpecific"))
                check_enum(c, type, types);
        else if (*text_at(path) && *text_at(path) != '/')
                check_invalid(c, path, "must be an absolute path");
        check_ingress_backend(c, at_field(c, at, "backend"));
}

void check_ingress_class_annotation(struct check *c, const struct at *at)
{
        const char *old = json_get_string(at->j, "kubernetes.io/ingress.class");
        const char *name = json_get_string(json_get(c->obj, "spec"), "ingressClassName");

        if (old && name && !streq(old, name))
                field_error_add(c->errs, FIELD_INVALID, "annotations.kubernetes.io/ingress.class", json_new_string(c->a, old),
                                "must match `ingressClassName` when both are specified");
}

void check_controller_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '/');

        if (!slash || slash == s || !slash[1])
                check_invalid(c, at, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        else {
                name_validate_string(c->errs, NAME_DNS1123_SUBDOMAIN, at_path(c, at), arena_strndup(c->a, s, slash - s));
                for (const char *p = slash + 1; *p; p++)
                        if (!isalnum((unsigned char)*p) && !strchr("/-._~%!$&'()*+,;=:", *p)) {
                                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, slash + 1),
                                                "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%%!$&'()*+,;=:]+')");
                                break;
                        }
        }
}

/* --- events --- */

static void needs_unset(struct check *c, const struct at *at, const char *field)
{
        const struct at *f = at_field(c, at, field);

        if (!at_empty(f) && !(json_is_object(f->j) && !json_len(f->j)))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, f), "\"\"", "needs to be unset");
}

static void too_long(struct check *c, const struct at *at, size_t max)
{
        if (strlen(text_at(at)) > max)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"", "can have at most %zu characters", max);
}

/* The old API's rules: only events with an eventTime are checked at all. */
static void check_legacy_event(struct check *c, const struct at *at, bool strict)
{
        const struct at *about = at_field(c, at, "involvedObject.namespace"), *controller = at_field(c, at, "reportingComponent");
        const struct at *instance = at_field(c, at, "reportingInstance"), *action = at_field(c, at, "action");
        const struct at *reason = at_field(c, at, "reason"), *time = at_field(c, at, "eventTime");
        const char *ns = json_path_string(at->j, "metadata.namespace"), *of = text_at(about);
        const char *path = strict ? "reportingController" : "reportingComponent";

        ns = ns ? ns : "";
        if (!at_set(time)) {
                if (*of ? !streq(ns, of) : *ns && !streq(ns, "default"))
                        check_invalid(c, about, "does not match event.namespace");
                return;
        }
        if (!*of && !streq(ns, "default") && !streq(ns, "kube-system"))
                check_invalid(c, about, "does not match event.namespace");
        if (!*text_at(controller))
                field_error_add(c->errs, FIELD_REQUIRED, path, NULL, "%s", "");
        name_validate_string(c->errs, NAME_QUALIFIED, path, text_at(controller));
        if (!*text_at(instance))
                check_required(c, instance, "");
        too_long(c, instance, 128);
        if (!*text_at(action))
                check_required(c, action, "");
        too_long(c, action, 128);
        if (!*text_at(reason))
                check_required(c, reason, "");
        too_long(c, reason, 128);
        too_long(c, at_field(c, at, "message"), 1024);
}

static void check_series(struct check *c, const struct at *at)
{
        const struct at *series = at_field(c, at, "series");

        if (!at_set(series))
                return;
        if (json_get_int(series->j, "count", 0) < 2)
                field_error_add_text(c->errs, FIELD_INVALID, "series.count", "\"\"", "should be at least 2");
        if (!json_get_string(series->j, "lastObservedTime"))
                check_required(c, at_field(c, series, "lastObservedTime"), "");
}

void check_event(struct check *c, const struct at *at)
{
        static const char *const fixed[] = { "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp",
                                             "count", "type", "eventTime", "action", "related", "reportingComponent",
                                             "reportingInstance" };
        bool strict = c->r && c->r->res && streq(c->r->res->group, "events.k8s.io");
        const struct at *type = at_field(c, at, "type");

        if (!strict) {
                check_legacy_event(c, at, false);
                return;
        }
        if (!c->old) {
                if (c->errs->n == 0)
                        check_name(c, at_field(c, at, "metadata.name"), NAME_DNS1123_SUBDOMAIN);
                check_legacy_event(c, at, true);
                check_series(c, at);
                if (!at_set(at_field(c, at, "eventTime"))) {
                        c->errs->n = 0;
                        check_required(c, at_field(c, at, "eventTime"), "");
                        return;
                }
                if (!streq(text_at(type), "Normal") && !streq(text_at(type), "Warning"))
                        field_error_add_text(c->errs, FIELD_INVALID, "type", "\"\"", "has invalid value: %s", text_at(type));
                needs_unset(c, at, "firstTimestamp");
                needs_unset(c, at, "lastTimestamp");
                needs_unset(c, at, "count");
                needs_unset(c, at, "source");
                return;
        }
        if (!json_equal(json_get(at->j, "series"), json_get(c->old, "series")))
                check_series(c, at);
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
                check_immutable(c, at_field(c, at, fixed[i]));
}
