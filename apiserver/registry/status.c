/* metav1.Status: apimachinery's errors, each by one function that knows its code, reason and text. */
#include "status.h"

/* "deployments.apps", or "pods" in the core group. */
static const char *qualified(struct arena *a, const struct resource *res, const char *name)
{
        return str_empty(res->group) ? name : arena_printf(a, "%s.%s", name, res->group);
}

static const char *resource_name(struct arena *a, const struct resource *res)
{
        return res ? qualified(a, res, res->name) : "";
}

/* Empty members are left out, as Go's omitempty does. KIND is the resource, or the kind of a 422. */
static struct json *details_new(struct arena *a, const struct resource *res, const char *kind, const char *name)
{
        struct json *d = json_new_object(a);

        if (!str_empty(name))
                json_set_string(a, d, "name", name);
        if (res && !str_empty(res->group))
                json_set_string(a, d, "group", res->group);
        if (!str_empty(kind))
                json_set_string(a, d, "kind", kind);
        return d;
}

static const struct status *make(struct arena *a, unsigned code, const char *reason, const struct json *details,
                                 const char *message)
{
        struct status *st = arena_calloc(a, sizeof(*st));

        st->code = code;
        st->reason = reason ? reason : "";
        st->message = message;
        st->details = details;
        return st;
}

#define FORMAT(text, a, fmt)                                                                       \
        do {                                                                                       \
                va_list _ap;                                                                       \
                va_start(_ap, fmt);                                                                \
                (text) = arena_vprintf((a), (fmt), _ap);                                           \
                va_end(_ap);                                                                       \
        } while (0)

const struct status *status_make(struct arena *a, unsigned code, const char *reason, const struct json *details,
                                 const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return make(a, code, reason ? arena_strdup(a, reason) : "", details, text);
}

static struct json *resource_details(struct arena *a, const struct resource *res, const char *name)
{
        return details_new(a, res, res ? res->name : NULL, name);
}

const struct status *status_not_found(struct arena *a, const struct resource *res, const char *name)
{
        return status_make(a, 404, "NotFound", resource_details(a, res, name), "%s %s not found",
                           resource_name(a, res), go_quoted(a, name));
}

const struct status *status_already_exists(struct arena *a, const struct resource *res, const char *name)
{
        return status_make(a, 409, "AlreadyExists", resource_details(a, res, name), "%s %s already exists",
                           resource_name(a, res), go_quoted(a, name));
}

const struct status *status_conflict(struct arena *a, const struct resource *res, const char *name,
                                     const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return status_make(a, 409, "Conflict", resource_details(a, res, name),
                           "Operation cannot be fulfilled on %s %s: %s", resource_name(a, res), go_quoted(a, name), text);
}

const struct status *status_modified(struct arena *a, const struct resource *res, const char *name)
{
        return status_conflict(a, res, name,
                               "the object has been modified; please apply your changes to the latest version "
                               "and try again");
}

const struct status *status_forbidden(struct arena *a, const struct resource *res, const char *name,
                                      const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        if (!res)
                text = arena_printf(a, "forbidden: %s", text);
        else if (str_empty(name))
                text = arena_printf(a, "%s is forbidden: %s", resource_name(a, res), text);
        else
                text = arena_printf(a, "%s %s is forbidden: %s", resource_name(a, res), go_quoted(a, name), text);
        return make(a, 403, "Forbidden", resource_details(a, res, name), text);
}

const struct status *status_invalid(struct arena *a, const struct resource *res, const char *name,
                                    const struct field_errors *errs)
{
        struct json *d = details_new(a, res, res ? res->kind : NULL, name);
        const char *kind = res ? qualified(a, res, res->kind) : "";

        if (errs->n) {
                struct json *causes = json_new_array(a);

                json_set(a, d, "causes", causes);
                for (size_t i = 0; i < errs->n; i++) {
                        const struct field_error *e = &errs->list[i];
                        struct json *c = json_new_object(a);

                        json_set_string(a, c, "reason", field_error_reason(e->type));
                        json_set_string(a, c, "message", field_error_body(a, e));
                        if (!str_empty(e->path))
                                json_set_string(a, c, "field", e->path);
                        json_append(a, causes, c);
                }
        }
        return status_make(a, 422, "Invalid", d, "%s %s is invalid%s%s", kind, go_quoted(a, name ? name : ""),
                           errs->n ? ": " : "", field_errors_print(a, errs));
}

const struct status *status_bad_request(struct arena *a, const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return make(a, 400, "BadRequest", NULL, text);
}

const struct status *status_method_not_supported(struct arena *a, const struct resource *res, const char *action)
{
        if (!res)
                return make(a, 405, "MethodNotAllowed", json_new_object(a),
                            "the server does not allow this method on the requested resource");
        return status_make(a, 405, "MethodNotAllowed", resource_details(a, res, NULL),
                           "%s is not supported on resources of kind \"%s\"", action, resource_name(a, res));
}

const struct status *status_unsupported_media_type(struct arena *a, const char *type)
{
        static const char in_general[] = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

        return status_make(a, 415, "UnsupportedMediaType", NULL,
                           "the body of the request was in an unknown format - accepted media types include: %s",
                           str_empty(type) ? in_general : type);
}

const struct status *status_not_acceptable(struct arena *a)
{
        return make(a, 406, "NotAcceptable", NULL,
                    "only the following media types are accepted: application/json, application/yaml, "
                    "application/vnd.kubernetes.protobuf");
}

const struct status *status_expired(struct arena *a, const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return make(a, 410, "Expired", NULL, text);
}

const struct status *status_gone(struct arena *a, const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return make(a, 410, "Gone", NULL, text);
}

static struct json *retry_details(struct arena *a, int seconds)
{
        struct json *d = json_new_object(a);

        if (seconds > 0)
                json_set_int(a, d, "retryAfterSeconds", seconds);
        return d;
}

const struct status *status_too_many(struct arena *a, int retry_after_s, const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return make(a, 429, "TooManyRequests", retry_details(a, retry_after_s), text);
}

const struct status *status_internal(struct arena *a, const char *fmt, ...)
{
        struct json *d = json_new_object(a), *causes = json_new_array(a), *c = json_new_object(a);
        const char *text;

        FORMAT(text, a, fmt);
        json_set_string(a, c, "message", text);
        json_append(a, causes, c);
        json_set(a, d, "causes", causes);
        return status_make(a, 500, "InternalError", d, "Internal error occurred: %s", text);
}

const struct status *status_unavailable(struct arena *a, const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return make(a, 503, "ServiceUnavailable", NULL, text);
}

const struct status *status_timeout(struct arena *a, const char *fmt, ...)
{
        const char *text;

        FORMAT(text, a, fmt);
        return status_make(a, 504, "Timeout", json_new_object(a), "Timeout: %s", text);
}

const struct status *status_unauthorized(struct arena *a)
{
        return make(a, 401, "Unauthorized", NULL, "Unauthorized");
}

struct json *status_json(struct arena *a, const struct status *st)
{
        struct json *j = json_new_object(a);

        json_set_string(a, j, "kind", "Status");
        json_set_string(a, j, "apiVersion", "v1");
        json_set(a, j, "metadata", json_new_object(a));
        json_set_string(a, j, "status", st->code >= 400 ? "Failure" : "Success");
        if (!str_empty(st->message))
                json_set_string(a, j, "message", st->message);
        if (!str_empty(st->reason))
                json_set_string(a, j, "reason", st->reason);
        if (st->details)
                json_set(a, j, "details", json_clone(a, st->details));
        json_set_int(a, j, "code", st->code);
        return j;
}
