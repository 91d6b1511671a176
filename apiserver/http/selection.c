/* Label and field selectors of a request, against what entries know of themselves. */
#include "selection.h"

#include <errno.h>

#include "../registry/registry.h"

static bool field_is_known(const struct resource *res, const char *field)
{
        if (streq(field, "metadata.name"))
                return true;
        if (streq(field, "metadata.namespace"))
                return !res->no_namespace_selector;
        for (const char *const *f = res->field_selectors; f && *f; f++)
                if (streq(*f, field))
                        return true;
        return streq(res->kind, "Pod") && !*res->group && streq(field, "spec.host");
}

/* Two kinds have words of their own for a field that they do not know. */
static const struct status *unknown_field(struct api_request *r, const char *field)
{
        const char *group = r->res->group, *kind = r->res->kind;

        if (streq(kind, "Job") && streq(group, "batch"))
                return status_bad_request(r->arena, "field label \"%s\" not supported for Job", field);
        if (streq(kind, "ResourceSlice") && streq(group, "resource.k8s.io"))
                return status_bad_request(r->arena, "field label not supported for %s/%s, Kind=%s: %s", group, r->res->version, kind,
                                          field);
        return status_bad_request(r->arena, "field label not supported: %s", field);
}

static const struct status *check_fields(struct api_request *r, const struct selector *s)
{
        bool own = (r->res->field_selectors && r->res->field_selectors[0]) || r->res->no_namespace_selector;

        for (size_t i = 0; i < s->n; i++) {
                if (field_is_known(r->res, s->reqs[i].key))
                        continue;
                if (own || r->res->crd)
                        return unknown_field(r, s->reqs[i].key);
                return status_bad_request(r->arena,
                                          "\"%s\" is not a known field selector: only \"metadata.name\", "
                                          "\"metadata.namespace\"",
                                          s->reqs[i].key);
        }
        return NULL;
}

/* metadata.namespace=x narrows a read of all namespaces to one; not so with a continue token, whose key is then one
 * of the whole kind (upstream's MatchesSingleNamespace). */
static const char *namespace_of(const struct api_request *r, const struct selection *s)
{
        const char *found = NULL;

        if (!r->res->namespaced || *r->namespace || !str_empty(http_query(r->http, "continue")))
                return r->namespace;
        for (size_t i = 0; i < s->fields.n; i++) {
                const struct selector_requirement *q = &s->fields.reqs[i];
                if (streq(q->key, "metadata.namespace") && q->op == SELECTOR_IN && q->n_values == 1)
                        found = q->values[0];
        }
        return str_empty(found) || strchr(found, '/') ? r->namespace : found;
}

const struct status *selection_parse(struct api_request *r, struct arena *a, struct selection *ret)
{
        const char *labels = http_query(r->http, "labelSelector"), *fields = http_query(r->http, "fieldSelector");
        _cleanup_error_ struct error err = ERROR_INIT;

        memset(ret, 0, sizeof(*ret));
        if (!str_empty(labels)) {
                if (selector_parse(a, labels, &ret->labels, &err) < 0)
                        return status_bad_request(r->arena, "%s", error_text(&err));
                ret->has_labels = true;
        }
        if (!str_empty(fields)) {
                const struct status *st;
                if (field_selector_parse(a, fields, &ret->fields, &err) < 0)
                        return status_bad_request(r->arena, "%s", error_text(&err));
                st = check_fields(r, &ret->fields);
                if (st)
                        return st;
                ret->has_fields = ret->fields.n > 0;
        }
        if (streq(r->verb, "watch") && *r->name) { /* /watch/...: one object's events */
                const char *one = arena_printf(a, "metadata.name=%s%s%s", r->name, str_empty(fields) ? "" : ",", fields ? fields : "");

                if (field_selector_parse(a, one, &ret->fields, &err) < 0)
                        return status_bad_request(r->arena, "%s", error_text(&err));
                ret->has_fields = true;
        }
        ret->prefix = registry_key(a, r->res, namespace_of(r, ret), NULL);
        return NULL;
}

bool selection_matches(const struct selection *s, const struct entry *e)
{
        return (!s->has_labels || entry_matches_labels(e, &s->labels)) &&
               (!s->has_fields || entry_matches_fields(e, &s->fields));
}

const struct status *query_int(struct api_request *r, const char *name, int64_t otherwise, int64_t *ret)
{
        const char *v = http_query(r->http, name);
        char *end;
        long long n;

        *ret = otherwise;
        if (!v)
                return NULL;
        errno = 0;
        n = strtoll(v, &end, 10);
        if (errno == ERANGE)
                return status_bad_request(r->arena, "strconv.ParseInt: parsing \"%s\": value out of range", v);
        if (*end || end == v || *v == ' ')
                return status_bad_request(r->arena, "strconv.ParseInt: parsing \"%s\": invalid syntax", v);
        *ret = n;
        return NULL;
}

/* Behind one `"name":"value",` of NAME; NULL: something else is there. */
static const char *skip_member(const char *p, const char *name)
{
        size_t n = strlen(name);

        if (p[0] != '"' || strncmp(p + 1, name, n) != 0 || strncmp(p + 1 + n, "\":\"", 3) != 0)
                return NULL;
        p += n + 4;
        while (*p && *p != '"' && *p != '\\')
                p++;
        return p[0] == '"' && p[1] == ',' ? p + 2 : NULL;
}

uint32_t entry_front(const struct entry *e)
{
        const char *start = e->json->data, *p = start + 1, *q;

        if (*start != '{')
                return 0;
        for (int i = 0; i < 2; i++)
                if ((q = skip_member(p, "kind")) || (q = skip_member(p, "apiVersion")))
                        p = q;
        return p == start + 1 ? 0 : p - start;
}
