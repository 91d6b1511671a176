/* /api/v1/namespaces/default/pods/web-0/log -> core v1, default, pods, web-0, log, get.
 *
 * The path is decoded as a whole and then cut at slashes, as upstream does: "a%2Fb" is two parts.
 */
#include "request-info.h"

#include <errno.h>
#include <strings.h>

#include "../../lib/meta/selector.h"

#define PARTS_MAX 64

struct parts {
        const char *list[PARTS_MAX];
        size_t n;
};

bool query_bool(const struct http_request *http, const char *name)
{
        const char *v = http_query(http, name);

        return v && !streq(v, "0") && strcasecmp(v, "false") != 0;
}

static void split(struct arena *a, const char *path, struct parts *ret)
{
        ret->n = 0;
        path += strspn(path, "/");
        while (*path && ret->n < PARTS_MAX) {
                size_t len = strcspn(path, "/");
                ret->list[ret->n++] = arena_strndup(a, path, len);
                path += len;
                if (*path)
                        path++;
        }
        /* "x/" is "x"; "a//b" keeps its empty part */
        while (ret->n && !*ret->list[ret->n - 1])
                ret->n--;
}

static const char *lower(struct arena *a, const char *s)
{
        char *copy = arena_strdup(a, s);

        for (char *p = copy; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p |= 0x20;
        return copy;
}

static const char *verb_of(const char *method)
{
        static const struct {
                const char *method, *verb;
        } verbs[] = {{"POST", "create"}, {"GET", "get"},      {"HEAD", "get"},
                     {"PUT", "update"},  {"PATCH", "patch"},  {"DELETE", "delete"}};

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq(method, verbs[i].method))
                        return verbs[i].verb;
        return "";
}

/* The name that a field selector asks for exactly: authorization by name works with it. */
static const char *selected_name(struct api_request *r)
{
        const char *text = http_query(r->http, "fieldSelector");
        struct selector s;

        if (str_empty(text) || field_selector_parse(r->arena, text, &s, NULL) < 0)
                return "";
        for (size_t i = 0; i < s.n; i++)
                if (streq(s.reqs[i].key, "metadata.name") && s.reqs[i].op == SELECTOR_IN && s.reqs[i].n_values == 1 &&
                    !strpbrk(s.reqs[i].values[0], "/%") && !streq(s.reqs[i].values[0], ".") &&
                    !streq(s.reqs[i].values[0], ".."))
                        return s.reqs[i].values[0];
        return "";
}

/* Everything after the fifth or so part, as it was sent. */
static const char *raw_tail(const char *path, size_t parts)
{
        path += strspn(path, "/");
        while (parts-- && *path) {
                path += strcspn(path, "/");
                if (*path)
                        path++;
        }
        return path;
}

static bool is_namespace_subresource(const char *s)
{
        return streq(s, "status") || streq(s, "finalize");
}

static void set_resource(struct api_request *r, const struct parts *p, size_t at)
{
        if (streq(p->list[at], "namespaces") && p->n > at + 1) {
                r->namespace = p->list[at + 1];
                if (p->n > at + 2 && !is_namespace_subresource(p->list[at + 2]))
                        at += 2;
        }
        r->resource = p->list[at];
        if (p->n > at + 1)
                r->name = p->list[at + 1];
        if (p->n > at + 2) {
                r->subresource = p->list[at + 2];
                r->subpath = raw_tail(r->http->path, at + 3);
        }
}

static void set_collection_verb(struct api_request *r)
{
        if (streq(r->verb, "get")) {
                r->verb = query_bool(r->http, "watch") ? "watch" : "list";
                r->name = selected_name(r);
        } else if (streq(r->verb, "delete")) {
                r->verb = "deletecollection";
        }
}

int request_info(struct api_request *r, struct error *reterr)
{
        const char *path = http_unescape(r->arena, r->http->path, strlen(r->http->path), false);
        struct parts p;
        size_t at = 0;

        r->group = r->version = r->namespace = r->resource = r->subresource = r->name = r->subpath = "";
        r->verb = lower(r->arena, r->http->method);
        r->path = path ? path : r->http->path;
        if (!path)
                return error_set(reterr, -EILSEQ, "invalid URL escape");
        split(r->arena, path, &p);
        if (p.n < 3)
                return 0;
        if (streq(p.list[0], "apis")) {
                if (p.n < 4)
                        return 0;
                r->group = p.list[1];
                at = 2;
        } else if (streq(p.list[0], "api")) {
                at = 1;
        } else {
                return 0;
        }
        r->is_resource = true;
        r->version = p.list[at++];
        r->verb = verb_of(r->http->method);
        if (streq(p.list[at], "watch") || streq(p.list[at], "proxy")) {
                if (p.n < at + 2)
                        return error_set(reterr, -EINVAL,
                                         "unable to determine kind and namespace from url, %s", r->http->target);
                r->verb = p.list[at++];
        }
        set_resource(r, &p, at);
        if (!*r->name)
                set_collection_verb(r);
        r->res = apiserver_resource(r->server, r->group, r->version, r->resource);
        return 0;
}
