/* Who may: system:masters, then the Node authorizer, then RBAC; and the words of a refusal. */
#include <errno.h>

#include "../admission/admission.h"
#include "../audit/audit.h"
#include "internal.h"

struct auth *the_auth;

#define DEFAULT_ISSUER "https://kubernetes.default.svc.cluster.local"

/* --- set-up --- */

static char **copy_strings(const char *const *list)
{
        size_t n = strings_len(list);
        char **out = xcalloc(n + 1, sizeof(char *));

        for (size_t i = 0; i < n; i++)
                out[i] = xstrdup(list[i]);
        return out;
}

static void free_strings(char **list)
{
        for (size_t i = 0; list && list[i]; i++)
                free(list[i]);
        free(list);
}

int auth_init(const struct auth_options *o, struct error *reterr)
{
        struct auth *auth = new0(struct auth);
        const char *const own[] = { o->issuer ? o->issuer : DEFAULT_ISSUER, NULL };
        int r = 0;

        the_auth = auth;
        auth->loop = o->loop;
        auth->store = o->store;
        auth->issuer = xstrdup(own[0]);
        auth->audiences = copy_strings(o->audiences ? o->audiences : own);
        auth->jwks_uri = o->jwks_uri ? xstrdup(o->jwks_uri) : xasprintf("%s/openid/v1/jwks", DEFAULT_ISSUER);
        auth->no_anonymous = o->no_anonymous;
        auth->client_ca_file = o->client_ca_file ? xstrdup(o->client_ca_file) : NULL;
        auth->requestheader_ca_file = o->requestheader_ca_file ? xstrdup(o->requestheader_ca_file) : NULL;
        auth->components = o->components ? xstrdup(o->components) : NULL;
        auth->rbac = rbac_new(o->store);
        auth->nodes = node_graph_new(o->store);
        auth->tokens = token_cache_new();
        admission_init(o->loop, o->store);
        if (o->requestheader_allowed_names)
                auth->front_proxy_names = copy_strings(o->requestheader_allowed_names);
        r = jwt_keys_load(o->key_files, o->signing_key_file, &auth->keys, reterr);
        if (r >= 0 && o->requestheader_ca_file)
                r = pki_trust_load(o->requestheader_ca_file, &auth->front_proxy, reterr);
        if (r < 0)
                auth_deinit();
        return r;
}

void auth_deinit(void)
{
        struct auth *auth = the_auth;
        struct map_entry *e;

        if (!auth)
                return;
        the_auth = NULL;
        admission_deinit();
        rbac_free(auth->rbac);
        node_graph_free(auth->nodes);
        token_cache_free(auth->tokens);
        jwt_keys_free(auth->keys);
        pki_trust_free(auth->front_proxy);
        free(auth->issuer);
        free(auth->jwks_uri);
        free_strings(auth->audiences);
        free_strings(auth->front_proxy_names);
        free(auth->client_ca_file);
        free(auth->requestheader_ca_file);
        free(auth->components);
        map_foreach(&auth->certificates, e) {
                arena_free(*(struct arena **)e->value); /* the first member of what authn.c keeps there */
        }
        map_deinit(&auth->certificates);
        map_deinit(&auth->impersonators);
        free(auth);
}

/* --- lists of strings --- */

const char **strings_new(struct arena *a, size_t max)
{
        return arena_calloc(a, (max + 1) * sizeof(char *));
}

size_t strings_len(const char *const *list)
{
        size_t n = 0;

        while (list && list[n])
                n++;
        return n;
}

bool strings_has(const char *const *list, const char *s)
{
        for (; list && *list; list++) {
                if (strcmp(*list, s) == 0)
                        return true;
        }
        return false;
}

const char *const *strings_with(struct arena *a, const char *const *list, const char *s)
{
        size_t n = strings_len(list);
        const char **out = strings_new(a, n + 1);

        if (n)
                memcpy(out, list, n * sizeof(char *));
        out[n] = s;
        return out;
}

const char *const *strings_read(struct arena *a, const struct json *array)
{
        const char **out = strings_new(a, json_len(array));
        size_t n = 0;

        json_foreach_item(array, item) {
                if (json_string(item))
                        out[n++] = json_string(item);
        }
        return n ? out : NULL;
}

struct json *strings_json(struct arena *a, const char *const *list)
{
        struct json *array = json_new_array(a);

        for (; list && *list; list++)
                json_append(a, array, json_new_string(a, *list));
        return array;
}

bool user_in_group(const struct user_info *user, const char *group)
{
        return strings_has(user->groups, group);
}

/* --- objects --- */

struct entry *auth_lookup_entry(struct arena *a, const char *group, const char *version, const char *resource,
                                const char *namespace, const char *name)
{
        const struct resource *res = builtin_resource(group, version, resource);

        if (!res || !the_auth->store || str_empty(name))
                return NULL;
        return store_get(the_auth->store, registry_key(a, res, namespace, name));
}

struct json *auth_lookup(struct arena *a, const char *group, const char *version, const char *resource,
                         const char *namespace, const char *name)
{
        struct entry *e = auth_lookup_entry(a, group, version, resource, namespace, name);
        struct json *obj = NULL;

        return e && json_parse(a, e->json->data, e->json->len, NULL, &obj, NULL) >= 0 ? obj : NULL;
}

/* --- authorization --- */

enum authz_decision authorize(struct api_request *r, const struct authz_attributes *at, const char **ret_reason)
{
        const char *node_reason = "", *rbac_reason = "";
        enum authz_decision d;

        if (ret_reason)
                *ret_reason = "";
        if (user_in_group(at->user, "system:masters"))
                return AUTHZ_ALLOW;
        d = node_authorize(the_auth->nodes, r->arena, at, &node_reason);
        if (d == AUTHZ_NO_OPINION) {
                d = rbac_authorize(the_auth->rbac, r->arena, at, ret_reason ? &rbac_reason : NULL);
                if (d == AUTHZ_ALLOW)
                        node_reason = "";
        }
        if (ret_reason)
                *ret_reason = !*node_reason  ? rbac_reason
                              : !*rbac_reason ? node_reason
                                              : arena_printf(r->arena, "%s\n%s", node_reason, rbac_reason);
        return d;
}

bool auth_user_may(struct api_request *r, const struct user_info *user, const char *verb, const char *group,
                   const char *resource, const char *subresource, const char *namespace, const char *name)
{
        const struct authz_attributes at = {
                .user = user,
                .verb = verb,
                .group = group,
                .version = "*",
                .namespace = namespace ? namespace : "",
                .resource = resource,
                .subresource = subresource ? subresource : "",
                .name = name ? name : "",
                .is_resource = true,
        };

        return authorize(r, &at, NULL) == AUTHZ_ALLOW;
}

static char *quoted(struct arena *a, const char *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        go_quote(&b, s, strlen(s));
        return arena_strndup(a, b.data, b.len);
}

/* What a browser could take for markup is escaped, wherever in the sentence it stands. */
static const char *sanitized(struct arena *a, const char *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!strpbrk(s, "&<>"))
                return s;
        for (; *s; s++) {
                const char *out = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : NULL;

                if (out)
                        strbuf_puts(&b, out);
                else
                        strbuf_putc(&b, *s);
        }
        return arena_strndup(a, b.data, b.len);
}

/* "User "alice" cannot list resource "pods" in API group "" in the namespace "default"" */
static const char *denial(struct arena *a, const struct authz_attributes *at)
{
        const char *user = quoted(a, at->user->name), *where, *resource = at->resource;

        if (!at->is_resource)
                return sanitized(a, arena_printf(a, "User %s cannot %s path %s", user, at->verb, quoted(a, at->path)));
        where = str_empty(at->namespace) ? "at the cluster scope"
                                         : arena_printf(a, "in the namespace %s", quoted(a, at->namespace));
        if (!str_empty(at->subresource))
                resource = arena_printf(a, "%s/%s", at->resource, at->subresource);
        return sanitized(a, arena_printf(a, "User %s cannot %s resource %s in API group %s %s", user, at->verb,
                                         quoted(a, resource), quoted(a, at->group), where));
}

const struct status *forbidden(struct arena *a, const struct authz_attributes *at, const char *reason)
{
        const char *why = denial(a, at), *what;
        struct json *details = json_new_object(a);

        if (!str_empty(reason))
                why = arena_printf(a, "%s: %s", why, reason);
        if (!at->is_resource)
                return status_make(a, 403, "Forbidden", details, "forbidden: %s", why);
        if (!str_empty(at->name))
                json_set_string(a, details, "name", at->name);
        if (!str_empty(at->group))
                json_set_string(a, details, "group", at->group);
        json_set_string(a, details, "kind", at->resource);
        what = str_empty(at->group) ? at->resource : arena_printf(a, "%s.%s", at->resource, at->group);
        if (str_empty(at->name))
                return status_make(a, 403, "Forbidden", details, "%s is forbidden: %s", what, why);
        return status_make(a, 403, "Forbidden", details, "%s %s is forbidden: %s", what, quoted(a, at->name), why);
}

void request_attributes(struct api_request *r, struct authz_attributes *at)
{
        *at = (struct authz_attributes){
                .user = &r->user,
                .verb = r->verb,
                .is_resource = r->is_resource,
                .group = r->group ? r->group : "",
                .version = r->version ? r->version : "",
                .namespace = r->namespace ? r->namespace : "",
                .resource = r->resource ? r->resource : "",
                .subresource = r->subresource ? r->subresource : "",
                .name = r->name ? r->name : "",
                .path = r->path,
                .field_selector = streq(r->verb, "list") || streq(r->verb, "watch") || streq(r->verb, "deletecollection")
                                          ? http_query(r->http, "fieldSelector")
                                          : NULL,
        };
}

const struct status *authorize_request(struct api_request *r)
{
        struct authz_attributes at;
        const char *reason;

        request_attributes(r, &at);
        /* The reason of an allowed request is of use to the audit log alone: else only a refusal is asked for its words. */
        if (authorize(r, &at, r->audit ? &reason : NULL) == AUTHZ_ALLOW) {
                if (r->audit) {
                        audit_annotate(r, "authorization.k8s.io/decision", "allow");
                        audit_annotate(r, "authorization.k8s.io/reason", reason);
                }
                return NULL;
        }
        authorize(r, &at, &reason);
        audit_annotate(r, "authorization.k8s.io/decision", "forbid");
        audit_annotate(r, "authorization.k8s.io/reason", reason);
        /* Upstream asks for another subresource where nobody logged in would talk to a kubelet, and says so. */
        if (str_empty(reason) && streq(at.resource, "nodes") && streq(at.subresource, "proxy") && !*at.group &&
            user_in_group(&r->user, "system:unauthenticated"))
                reason = "proxy subresource changed to unsafeproxy";
        return forbidden(r->arena, &at, reason);
}
