/* CONNECT: exec, attach, port-forward and proxying, which webhooks and policies may refuse. They see the options that
 * the query spells out (PodExecOptions and its kin) as the object. */
#include "internal.h"

static const struct subresource *subresource_of(const struct api_request *r)
{
        for (unsigned i = 0; i < r->res->n_subresources; i++)
                if (streq(r->res->subresources[i].name, r->subresource))
                        return &r->res->subresources[i];
        return NULL;
}

static void set_lists(struct api_request *r, struct json *options)
{
        const char **values;
        size_t n = streq(r->subresource, "exec") ? http_query_all(r->http, "command", &values) : 0;

        for (size_t i = 0; i < n; i++)
                json_append(r->arena, json_ensure_array(r->arena, options, "command"), json_new_string(r->arena, values[i]));
        n = streq(r->subresource, "portforward") ? http_query_all(r->http, "ports", &values) : 0;
        for (size_t i = 0; i < n; i++)
                json_append(r->arena, json_ensure_array(r->arena, options, "ports"),
                            json_new_number(r->arena, values[i], strspn(values[i], "0123456789")));
}

static struct json *options_of(struct api_request *r, const struct subresource *sub)
{
        static const char *const flags[] = { "stdin", "stdout", "stderr", "tty" };
        struct json *o = json_new_object(r->arena);
        const char *container = http_query(r->http, "container");
        bool stream = streq(sub->name, "exec") || streq(sub->name, "attach");

        json_set_string(r->arena, o, "kind", sub->kind);
        json_set_string(r->arena, o, "apiVersion", "v1");
        for (size_t i = 0; stream && i < ARRAY_SIZE(flags); i++) {
                const char *value = http_query(r->http, flags[i]);

                if (value && !streq(value, "0") && !streq(value, "false"))
                        json_set_bool(r->arena, o, flags[i], true);
        }
        if (stream && !str_empty(container))
                json_set_string(r->arena, o, "container", container);
        set_lists(r, o);
        if (streq(sub->name, "proxy"))
                json_set_string(r->arena, o, "path", arena_printf(r->arena, "/%s", r->subpath));
        return o;
}

const struct status *admission_connect(struct api_request *r)
{
        const struct subresource *sub = subresource_of(r);
        struct admission_attributes at = { .request = r, .op = ADMISSION_CONNECT, .res = r->res, .subresource = r->subresource,
                                           .namespace = r->namespace, .name = r->name };
        const struct status *st;
        struct json *before;

        if (!sub || !admission_store)
                return NULL;
        at.object = options_of(r, sub);
        before = json_clone(r->arena, at.object);
        st = admission_mutate(&at);
        if (!st && !json_equal(before, at.object))
                return status_internal(r->arena, "the options of %s were changed by admission, which this server cannot carry out",
                                       r->subresource);
        return st ? st : admission_validate(&at);
}
