/* The variables of admission policies: see policy-variables.h. */
#include "policy-variables.h"

#include "matching.h"

/* Upstream's limits: of one expression, and of all of a policy. */
enum { CALL_LIMIT = 1000000, BUDGET = 10000000 };

static const char *const names[] = { "object", "oldObject", "request", "params", "namespaceObject", "variables", "authorizer", NULL };

struct variable {
        const char *name;
        struct cel_value value;
        bool known, running;
};

struct policy_variables {
        struct admission_attributes *at;
        const struct json *policy, *params;
        const struct resource *asked; /* what the request was made for */
        struct json *request, *namespace;
        struct variable *list;
        size_t n;
        uint64_t spent;
        bool matching;
};

/* --- authorizer --- */

/* A question as it is put together, and its answer. */
struct question {
        struct admission_attributes *at;
        const struct resource *asked;
        struct user_info user;
        struct authz_attributes about;
        bool allowed;
        const char *reason;
};

static const struct cel_class authorizer, path_check, group_check, resource_check, decision;

static struct question *copy(struct cel_run *run, const struct question *q)
{
        struct question *out = arena_memdup(run->arena, q, sizeof(*q));

        out->about.user = &out->user;
        return out;
}

static struct cel_value ask(struct cel_run *run, struct question *q, const char *verb)
{
        q->about.verb = verb;
        q->allowed = authorize(q->at->request, &q->about, &q->reason) == AUTHZ_ALLOW;
        return cel_object(&decision, q);
}

static struct cel_value authorizer_call(struct cel_run *run, void *data, const char *function, size_t n,
                                        const struct cel_value *args)
{
        struct question *q = copy(run, data);

        for (size_t i = 0; i < n; i++)
                if (args[i].type != CEL_STRING)
                        return cel_error(run->arena, "no such overload");
        if (streq(function, "group") && n == 1) {
                q->about = (struct authz_attributes){ .user = &q->user, .is_resource = true, .group = cel_text(run->arena, args),
                                                      .version = "*", .namespace = "", .resource = "", .subresource = "",
                                                      .name = "" };
                return cel_object(&group_check, q);
        }
        if (streq(function, "path") && n == 1) {
                q->about = (struct authz_attributes){ .user = &q->user, .path = cel_text(run->arena, args), .group = "",
                                                      .version = "", .namespace = "", .resource = "", .subresource = "", .name = "" };
                return cel_object(&path_check, q);
        }
        if (streq(function, "serviceAccount") && n == 2) {
                const char **groups = arena_calloc(run->arena, 4 * sizeof(*groups));

                groups[0] = "system:serviceaccounts";
                groups[1] = arena_printf(run->arena, "system:serviceaccounts:%s", cel_text(run->arena, &args[0]));
                groups[2] = "system:authenticated";
                q->user = (struct user_info){ .uid = "", .groups = groups,
                                              .name = arena_printf(run->arena, "system:serviceaccount:%s:%s",
                                                                   cel_text(run->arena, &args[0]), cel_text(run->arena, &args[1])) };
                return cel_object(&authorizer, q);
        }
        return cel_error(run->arena, "no such overload");
}

static struct cel_value authorizer_field(struct cel_run *run, void *data, const char *name)
{
        struct question *q = copy(run, data);
        const struct admission_attributes *at = q->at;

        if (!streq(name, "requestResource"))
                return cel_error(run->arena, "no such key: %s", name);
        q->about = (struct authz_attributes){ .user = &q->user, .is_resource = true, .group = q->asked->group,
                                              .version = q->asked->version, .namespace = at->namespace, .resource = q->asked->name,
                                              .subresource = at->subresource, .name = at->name ? at->name : "" };
        return cel_object(&resource_check, q);
}

static struct cel_value path_call(struct cel_run *run, void *data, const char *function, size_t n, const struct cel_value *args)
{
        if (!streq(function, "check") || n != 1 || args->type != CEL_STRING)
                return cel_error(run->arena, "no such overload");
        return ask(run, copy(run, data), cel_text(run->arena, args));
}

static struct cel_value group_call(struct cel_run *run, void *data, const char *function, size_t n, const struct cel_value *args)
{
        struct question *q = copy(run, data);

        if (!streq(function, "resource") || n != 1 || args->type != CEL_STRING)
                return cel_error(run->arena, "no such overload");
        q->about.resource = cel_text(run->arena, args);
        return cel_object(&resource_check, q);
}

static struct cel_value resource_call(struct cel_run *run, void *data, const char *function, size_t n,
                                      const struct cel_value *args)
{
        struct question *q = copy(run, data);
        const char *text = n == 1 && args->type == CEL_STRING ? cel_text(run->arena, args) : NULL;

        if (!text)
                return cel_error(run->arena, "no such overload");
        if (streq(function, "check"))
                return ask(run, q, text);
        if (streq(function, "subresource"))
                q->about.subresource = text;
        else if (streq(function, "namespace"))
                q->about.namespace = text;
        else if (streq(function, "name"))
                q->about.name = text;
        else if (streq(function, "fieldSelector"))
                q->about.field_selector = text;
        else if (!streq(function, "labelSelector")) /* no authorizer here looks at labels */
                return cel_error(run->arena, "no such overload");
        return cel_object(&resource_check, q);
}

static struct cel_value decision_call(struct cel_run *run, void *data, const char *function, size_t n,
                                      const struct cel_value *args)
{
        const struct question *q = data;

        if (streq(function, "allowed"))
                return cel_bool(q->allowed);
        if (streq(function, "reason"))
                return cel_string(q->reason ? q->reason : "");
        if (streq(function, "errored"))
                return cel_bool(false);
        return streq(function, "error") ? cel_string("") : cel_error(run->arena, "no such overload");
}

static const struct cel_class authorizer = { "kubernetes.authorization.Authorizer", authorizer_field, authorizer_call };
static const struct cel_class path_check = { "kubernetes.authorization.PathCheck", NULL, path_call };
static const struct cel_class group_check = { "kubernetes.authorization.GroupCheck", NULL, group_call };
static const struct cel_class resource_check = { "kubernetes.authorization.ResourceCheck", NULL, resource_call };
static const struct cel_class decision = { "kubernetes.authorization.Decision", NULL, decision_call };

/* --- request --- */

static void set_resource(struct arena *a, struct json *obj, const char *key, const struct resource *res)
{
        struct json *t = json_ensure_object(a, obj, key);

        json_set_string(a, t, "group", res->group);
        json_set_string(a, t, "version", res->version);
        json_set_string(a, t, "resource", res->name);
}

/* Some subresources have a kind of their own (Scale, Binding, Eviction). */
static void set_kind(struct arena *a, struct json *obj, const char *key, const struct resource *res, const char *sub)
{
        struct json *t = json_ensure_object(a, obj, key);
        const struct subresource *s = NULL;

        for (unsigned i = 0; *sub && i < res->n_subresources; i++)
                if (streq(res->subresources[i].name, sub) && !str_empty(res->subresources[i].kind))
                        s = &res->subresources[i];
        json_set_string(a, t, "group", s ? s->group : res->group);
        json_set_string(a, t, "version", s ? s->version : res->version);
        json_set_string(a, t, "kind", s ? s->kind : res->kind);
}

/* CreateOptions and so on: deletions bring theirs along, of the others what the URL says. */
static struct json *options_of(struct admission_attributes *at)
{
        static const char *const told[] = { "fieldManager", "fieldValidation" };
        const struct http_request *http = at->request->http;
        struct arena *a = at->request->arena;
        struct json *o = at->options ? json_clone(a, at->options) : json_new_object(a);

        if (json_get_string(o, "kind"))
                return o;
        json_set_string(a, o, "kind", at->op == ADMISSION_CREATE   ? "CreateOptions"
                                      : at->op == ADMISSION_UPDATE ? "UpdateOptions"
                                                                   : "DeleteOptions");
        json_set_string(a, o, "apiVersion", "meta.k8s.io/v1");
        if (at->dry_run && !json_get(o, "dryRun"))
                json_append(a, json_ensure_array(a, o, "dryRun"), json_new_string(a, "All"));
        for (size_t i = 0; http && at->op != ADMISSION_DELETE && i < ARRAY_SIZE(told); i++)
                if (!str_empty(http_query(http, told[i])))
                        json_set_string(a, o, told[i], http_query(http, told[i]));
        return o;
}

struct json *policy_request(struct admission_attributes *at, const struct resource *res)
{
        static const char *const unless_empty[] = { "subResource", "requestSubResource", "name", "namespace" };
        struct arena *a = at->request->arena;
        struct json *r = json_new_object(a), *user = json_ensure_object(a, r, "userInfo");
        const struct user_info *who = &at->request->user;
        const char *name = at->name ? at->name : "";

        set_kind(a, r, "kind", res, at->subresource);
        set_resource(a, r, "resource", res);
        json_set_string(a, r, "subResource", at->subresource);
        set_kind(a, r, "requestKind", at->res, at->subresource);
        set_resource(a, r, "requestResource", at->res);
        json_set_string(a, r, "requestSubResource", at->subresource);
        json_set_string(a, r, "name", name);
        json_set_string(a, r, "namespace", about(at, "", "namespaces") ? name : at->namespace);
        json_set_string(a, r, "operation", operation_name(at->op));
        json_set_bool(a, r, "dryRun", at->dry_run);
        if (at->op != ADMISSION_CONNECT)
                json_set(a, r, "options", options_of(at));
        json_set_string(a, user, "username", who->name);
        json_set_string(a, user, "uid", who->uid ? who->uid : "");
        for (const char *const *g = who->groups; g && *g; g++)
                json_append(a, json_ensure_array(a, user, "groups"), json_new_string(a, *g));
        if (who->extra)
                json_set(a, user, "extra", json_clone(a, who->extra));
        for (size_t i = 0; i < ARRAY_SIZE(unless_empty); i++) /* expressions ask has() for them */
                if (str_empty(json_get_string(r, unless_empty[i])))
                        json_del(r, unless_empty[i]);
        if (str_empty(json_get_string(user, "uid")))
                json_del(user, "uid");
        return r;
}

/* --- variables --- */

static struct cel_value variable_field(struct cel_run *run, void *data, const char *name)
{
        struct policy_variables *v = data;

        json_foreach_item(json_path(v->policy, "spec.variables"), entry) {
                struct variable *known = NULL;

                if (!streq(json_get_string(entry, "name"), name))
                        continue;
                for (size_t i = 0; i < v->n; i++)
                        if (streq(v->list[i].name, name))
                                known = &v->list[i];
                if (!known) {
                        known = &v->list[v->n++];
                        known->name = name;
                }
                if (known->running)
                        return cel_error(run->arena, "variable %s refers to itself", name);
                if (!known->known) {
                        known->running = true;
                        known->value = policy_eval(v, get_string(entry, "expression"));
                        known->running = false;
                        known->known = true;
                }
                if (known->value.type == CEL_ERROR)
                        return cel_error(run->arena, "composited variable \"%s\" fails to evaluate: %s", name,
                                         cel_text(run->arena, &known->value));
                return known->value;
        }
        return cel_error(run->arena, "no such key: %s", name);
}

static const struct cel_class variables_class = { "kubernetes.variables", variable_field, NULL };

static struct cel_value resolve(struct cel_run *run, void *userdata, const char *name)
{
        struct policy_variables *v = userdata;
        struct question *q;

        if (streq(name, "object"))
                return cel_from_json(v->at->object);
        if (streq(name, "oldObject"))
                return cel_from_json(v->at->old);
        if (streq(name, "params"))
                return cel_from_json(v->params);
        if (streq(name, "variables"))
                return cel_object(&variables_class, v);
        if (streq(name, "request")) {
                if (!v->request) {
                        struct admission_attributes at = *v->at;

                        at.res = v->asked;
                        v->request = policy_request(&at, v->at->res);
                }
                return cel_from_json(v->request);
        }
        if (streq(name, "namespaceObject")) {
                if (!v->namespace && !v->matching)
                        v->namespace = match_namespace(v->at);
                return cel_from_json(v->matching ? NULL : v->namespace);
        }
        q = arena_calloc(run->arena, sizeof(*q));
        q->at = v->at;
        q->asked = v->asked;
        q->user = v->at->request->user;
        q->about.user = &q->user;
        return cel_object(&authorizer, q);
}

struct cel_value policy_eval(struct policy_variables *v, const char *text)
{
        struct arena *a = v->at->request->arena;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct cel_run run = { .arena = a, .resolve = resolve, .userdata = v, .limit = CALL_LIMIT };
        struct cel_program *program;
        struct cel_value value;

        if (cel_compile(a, text, names, &program, &err) < 0)
                return cel_error(a, "%s", error_text(&err));
        value = cel_eval(program, &run);
        v->spent += run.cost;
        return v->spent > BUDGET ? cel_error(a, "%s", POLICY_OVER_BUDGET) : value;
}

struct cel_value policy_match(struct policy_variables *v, const char *text)
{
        struct cel_value value;

        v->matching = true;
        value = policy_eval(v, text);
        v->matching = false;
        return value;
}

void policy_object_changed(struct policy_variables *v)
{
        v->n = 0;
        memset(v->list, 0, json_len(json_path(v->policy, "spec.variables")) * sizeof(*v->list));
}

void policy_variables_asked(struct policy_variables *v, const struct resource *res)
{
        v->asked = res;
}

struct policy_variables *policy_variables_new(struct admission_attributes *at, const struct json *policy,
                                              const struct json *params)
{
        struct policy_variables *v = arena_calloc(at->request->arena, sizeof(*v));

        v->at = at;
        v->asked = at->res;
        v->policy = policy;
        v->params = params;
        v->list = arena_calloc(at->request->arena, (json_len(json_path(policy, "spec.variables")) + 1) * sizeof(*v->list));
        return v;
}
