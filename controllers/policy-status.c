/* Writes into the status of each ValidatingAdmissionPolicy what the type check of its expressions says.
 *
 * It talks to the server itself: what kinds there are only discovery knows, and what their fields are only OpenAPI, custom
 * ones too. Both are large, so they are asked for when a policy has changed, and let go.
 */
#include "policy-check.h"

#define MANAGER "validatingadmissionpolicy-status"

struct policies {
        struct controllers *controllers;
        struct workqueue *queue;
        bool working;
};

static const struct json *find_schema(void *userdata, const char *ref)
{
        static const char prefix[] = "#/components/schemas/";
        const struct json *document = userdata;

        return str_has_prefix(ref, prefix) ? json_get(json_path(document, "components.schemas"), ref + strlen(prefix)) : NULL;
}

/* Groups come sorted: kinds of one share a document. */
struct documents {
        struct client *c;
        struct arena *a;
        const char *path; /* of the last one */
        struct json *last;
};

/* False: there is no schema. */
static bool find_shape(struct documents *d, struct policy_kind *k)
{
        const char *path = *k->group ? arena_printf(d->a, "/openapi/v3/apis/%s/%s", k->group, k->version) :
                                       arena_printf(d->a, "/openapi/v3/api/%s", k->version);
        const struct json *schema;
        struct cel_schemas source = { .find = find_schema };

        if (!streq(path, d->path)) {
                d->path = path;
                d->last = NULL;
                client_get(d->c, path, d->a, &d->last, NULL);
        }
        schema = policy_schema(d->last, k);
        source.userdata = d->last;
        if (schema)
                k->shape = cel_schema_shape(d->a, schema, true, arena_printf(d->a, "%s%lld", k->kind, (long long)(time_real() % NS_PER_SEC)),
                                            &source); /* upstream's types are named so, too */
        return schema != NULL;
}

static int discover(struct client *c, struct arena *a, const struct json *ret[2])
{
        static const char accept[] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        static const char *const paths[] = { "/api", "/apis" };
        int r = 0;

        for (size_t i = 0; i < 2 && !r; i++) {
                struct json *document = NULL;

                r = client_call_accept(c, "GET", paths[i], NULL, accept, NULL, a, &document, NULL);
                ret[i] = document;
        }
        return r;
}

static int write_status(struct client *c, struct arena *a, const struct json *policy, struct json *warnings)
{
        struct json *body = json_new_object(a), *status, *checking;
        const char *name = object_name(policy);

        json_set_string(a, body, "apiVersion", "admissionregistration.k8s.io/v1");
        json_set_string(a, body, "kind", "ValidatingAdmissionPolicy");
        json_set_string(a, json_ensure_object(a, body, "metadata"), "name", name);
        status = json_ensure_object(a, body, "status");
        json_set_int(a, status, "observedGeneration", json_path_int(policy, "metadata.generation", 0));
        checking = json_ensure_object(a, status, "typeChecking");
        if (json_len(warnings))
                json_set(a, checking, "expressionWarnings", warnings);
        return client_call(c, "PATCH", arena_printf(a, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/%s/status"
                                                       "?fieldManager=" MANAGER "&force=true", name),
                           "application/apply-patch+yaml", body, a, NULL, NULL);
}

static bool is_checked(const struct json *policy)
{
        return json_path_int(policy, "metadata.generation", 0) <= json_path_int(policy, "status.observedGeneration", 0);
}

/* True: nothing is left to do. */
static bool work_on(struct policies *p, const char *name)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct object *o = object_store_get(informer_store(controllers_informer(p->controllers, R_POLICIES)), name);
        struct documents docs = { .c = controllers_client(p->controllers), .a = a };
        struct policy_kind kinds[POLICY_KINDS_MAX], params = { 0 };
        const struct json *discovery[2], *policy;
        bool has_params;
        size_t n, known = 0;
        int r;

        if (!o || is_checked(o->json))
                return true;
        policy = json_clone(a, o->json); /* the store may change while we ask */
        if (discover(docs.c, a, discovery) != 0)
                return false;
        n = policy_kinds(a, policy, discovery, kinds);
        for (size_t i = 0; i < n; i++)
                if (find_shape(&docs, &kinds[i]))
                        kinds[known++] = kinds[i];
        has_params = policy_params(a, policy, &params);
        if (has_params)
                find_shape(&docs, &params);
        r = write_status(docs.c, a, policy, policy_warnings(a, policy, kinds, known, has_params ? &params : NULL));
        return r == 0 || r == CLIENT_NOT_FOUND;
}

static void worker(void *userdata)
{
        struct policies *p = userdata;
        char *name;

        while ((name = workqueue_take(p->queue))) {
                if (work_on(p, name))
                        workqueue_forget(p->queue, name);
                else
                        workqueue_add_rate_limited(p->queue, name);
                workqueue_done(p->queue, name);
                free(name);
        }
        p->working = false;
}

static void on_ready(struct workqueue *q, void *userdata)
{
        struct policies *p = userdata;

        if (p->working)
                return;
        p->working = true;
        fiber_start(client_loop(controllers_client(p->controllers)), worker, p);
}

static void on_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct policies *p = userdata;

        if (new && !is_checked(new->json))
                workqueue_add(p->queue, new->key);
}

void policy_status_start(struct controllers *c)
{
        struct policies *p = new0(struct policies); /* lives as long as the process */
        struct workqueue_options o = { .ready = on_ready, .userdata = p };
        struct informer_handler h = { .changed = on_changed, .userdata = p };

        p->controllers = c;
        p->queue = workqueue_new(client_loop(controllers_client(c)), &o);
        informer_add_handler(controllers_informer(c, R_POLICIES), &h);
}
