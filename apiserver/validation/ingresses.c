/* What rules about ingresses and their classes cannot say: hosts, paths, backends. */
#include "metadata.h"

#include <ctype.h>

#include "functions.h"

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
