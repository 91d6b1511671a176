/* Requests: those of the server itself, and warnings. */
#include "request.h"

void request_init_internal(struct api_request *r, struct apiserver *server, struct arena *a)
{
        static const char *const groups[] = {"system:masters", "system:authenticated", NULL};

        *r = (struct api_request){
                .server = server,
                .arena = a,
                .is_resource = true,
                .verb = "",
                .group = "",
                .version = "",
                .namespace = "",
                .resource = "",
                .subresource = "",
                .name = "",
                .subpath = "",
                .user = {.name = "system:apiserver", .uid = "", .groups = groups},
                .field_manager = "kube-apiserver",
                .field_validation = FIELD_VALIDATION_IGNORE,
        };
        r->real_user = r->user;
}

void request_warn(struct api_request *r, const char *fmt, ...)
{
        va_list ap;
        const char *text;

        va_start(ap, fmt);
        text = arena_vprintf(r->arena, fmt, ap);
        va_end(ap);
        if (!*text)
                return;
        for (const char *c = text; *c; c++) /* what no header can say is not said */
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        return;
        for (size_t i = 0; i < r->n_warnings; i++)
                if (streq(r->warnings[i], text))
                        return;
        if (r->n_warnings == r->cap_warnings) {
                size_t cap = r->cap_warnings * 2 + 4;
                const char **more = arena_alloc(r->arena, cap * sizeof(*more));
                if (r->n_warnings)
                        memcpy(more, r->warnings, r->n_warnings * sizeof(*more));
                r->warnings = more;
                r->cap_warnings = cap;
        }
        r->warnings[r->n_warnings++] = text;
}
