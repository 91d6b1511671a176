/* What a cluster starts with: manifests/rbac.yaml and manifests/bootstrap.yaml, embedded, turned into objects
 * and written through the registry like anybody's. Roles are reconciled at each start: rules and subjects that
 * are missing are added, what an administrator added stays.
 */
#include <errno.h>

#include "../../lib/base/file.h"
#include "../../lib/json/yaml.h"
#include "../../lib/loop/fiber.h"
#include "internal.h"

/* The bytes of FILE, between NAME_start and NAME_end. */
#define EMBED(name, file)                                                                          \
        __asm__(".pushsection .rodata\n" #name "_start:\n.incbin \"" MANIFESTS "/" file            \
                "\"\n" #name "_end:\n.byte 0\n.popsection\n");                                     \
        extern const char name##_start[] __attribute__((visibility("hidden")));                    \
        extern const char name##_end[] __attribute__((visibility("hidden")))

EMBED(rbac_yaml, "rbac.yaml");
EMBED(bootstrap_yaml, "bootstrap.yaml");

#define RBAC "rbac.authorization.k8s.io"
#define FLOW "flowcontrol.apiserver.k8s.io"

/* How many writes are under way at once: etcd puts them into one fsync. */
#define PARALLEL 24

struct job {
        const struct resource *res;
        const char *namespace;
        struct json *obj;
};

struct work {
        struct api_request *r;
        struct arena *a;
        struct job *jobs;
        size_t n, cap, next;
        unsigned running;
        struct fiber *waiting;
        bool keep; /* flow control: what is there is made as it should be */
        const struct status *failed;
        const char *failed_what;
};

/* --- objects from the compact form --- */

static struct json *object(struct arena *a, const char *version, const char *kind, const char *namespace, const char *name)
{
        struct json *obj = json_new_object(a), *meta;

        json_set_string(a, obj, "apiVersion", version);
        json_set_string(a, obj, "kind", kind);
        meta = json_ensure_object(a, obj, "metadata");
        json_set_string(a, meta, "name", name);
        if (!str_empty(namespace))
                json_set_string(a, meta, "namespace", namespace);
        return obj;
}

static void add_job(struct work *w, const char *group, const char *resource, const char *namespace, struct json *obj)
{
        array_reserve(w->jobs, w->cap, w->n + 1);
        w->jobs[w->n++] = (struct job){ builtin_resource(group, "v1", resource), namespace, obj };
}

/* "a,b" as an array; CORE is what the word core stands for. */
static struct json *comma_list(struct arena *a, const char *text, size_t len, bool groups)
{
        struct json *list = json_new_array(a);
        const char *end = text + len;

        while (text < end) {
                const char *comma = memchr(text, ',', end - text);
                size_t n = (comma ? comma : end) - text;

                if (groups && n == 4 && memcmp(text, "core", 4) == 0)
                        n = 0;
                json_append(a, list, json_new_stringn(a, text, n));
                text = comma ? comma + 1 : end;
        }
        return list;
}

/* "VERBS RESOURCES [in GROUPS] [named NAMES]", or "VERBS url PATHS" */
static struct json *read_rule(struct arena *a, const char *text)
{
        const char *word[6];
        size_t len[6], n = 0;
        struct json *rule = json_new_object(a), *groups = NULL;

        for (const char *p = text; *p && n < 6; n++) {
                word[n] = p;
                len[n] = strcspn(p, " ");
                p += len[n];
                p += strspn(p, " ");
        }
        if (n < 2)
                return rule;
        json_set(a, rule, "verbs", comma_list(a, word[0], len[0], false));
        if (n == 3 && len[1] == 3 && memcmp(word[1], "url", 3) == 0) {
                json_set(a, rule, "nonResourceURLs", comma_list(a, word[2], len[2], false));
                return rule;
        }
        for (size_t i = 2; i + 1 < n; i += 2) {
                if (len[i] == 2)
                        groups = comma_list(a, word[i + 1], len[i + 1], true);
        }
        json_set(a, rule, "apiGroups", groups ? groups : comma_list(a, "core", 4, true));
        json_set(a, rule, "resources", comma_list(a, word[1], len[1], false));
        for (size_t i = 2; i + 1 < n; i += 2) {
                if (len[i] == 5)
                        json_set(a, rule, "resourceNames", comma_list(a, word[i + 1], len[i + 1], false));
        }
        return rule;
}

static struct json *read_rules(struct arena *a, const struct json *lines)
{
        struct json *rules = json_new_array(a);

        json_foreach_item(lines, line) {
                json_append(a, rules, read_rule(a, json_string(line)));
        }
        return rules;
}

/* "group NAME", "user NAME", "serviceaccount NAMESPACE/NAME" */
static struct json *read_subject(struct arena *a, const char *text, bool flow)
{
        struct json *s = json_new_object(a), *inner;
        const char *name = strchr(text, ' ') + 1, *slash = strchr(name, '/');
        bool account = *text == 's';
        const char *kind = account ? "ServiceAccount" : *text == 'g' ? "Group" : "User";

        json_set_string(a, s, "kind", kind);
        inner = s;
        if (flow)
                inner = json_ensure_object(a, s, account ? "serviceAccount" : *text == 'g' ? "group" : "user");
        else if (!account)
                json_set_string(a, s, "apiGroup", RBAC);
        json_set_string(a, inner, "name", account ? slash + 1 : name);
        if (account)
                json_set_string(a, inner, "namespace", arena_strndup(a, name, slash - name));
        return s;
}

static struct json *read_subjects(struct arena *a, const struct json *list, bool flow)
{
        struct json *subjects = json_new_array(a);

        json_foreach_item(list, s) {
                json_append(a, subjects, read_subject(a, json_string(s), flow));
        }
        return subjects;
}

static struct json *rbac_object(struct arena *a, const char *kind, const char *namespace, const char *name)
{
        struct json *obj = object(a, RBAC "/v1", kind, namespace, name), *meta = json_get(obj, "metadata");

        json_set_string(a, json_ensure_object(a, meta, "labels"), "kubernetes.io/bootstrapping", "rbac-defaults");
        json_set_string(a, json_ensure_object(a, meta, "annotations"), "rbac.authorization.kubernetes.io/autoupdate", "true");
        return obj;
}

static void aggregate(struct arena *a, struct json *role, const struct json *from)
{
        struct json *rule = json_ensure_object(a, role, "aggregationRule"), *selector = json_new_object(a);
        const char *label = arena_printf(a, "rbac.authorization.k8s.io/aggregate-to-%s", json_get_string(from, "from"));

        json_set_string(a, json_ensure_object(a, selector, "matchLabels"), label, "true");
        json_append(a, json_ensure_array(a, rule, "clusterRoleSelectors"), selector);
}

/* What the aggregation controller would make of it, so that the first seconds of a cluster have it too. */
static void collect_into(struct arena *a, const struct json *roles, const char *to, struct json *rules, unsigned depth)
{
        json_foreach_member(roles, m) {
                if (!streq(json_get_string(m->value, "into"), to) || depth > 4)
                        continue;
                if (json_get(m->value, "from"))
                        collect_into(a, roles, json_get_string(m->value, "from"), rules, depth + 1);
                json_foreach_item(json_get(m->value, "rules"), line) {
                        json_append(a, rules, read_rule(a, json_string(line)));
                }
        }
}

static bool has_component(const char *name)
{
        return the_auth->components && strstr(the_auth->components, name);
}

/* Some roles are for clusters with a certain component. Where a scheduler runs, machines with all of them may join. */
static bool wanted_here(const struct json *role)
{
        const char *only = json_get_string(role, "only");

        return !only || has_component(only) || has_component("scheduler");
}

static void add_cluster_roles(struct work *w, const struct json *doc)
{
        const struct json *roles = json_get(doc, "clusterRoles");
        struct arena *a = w->a;

        json_foreach_member(roles, m) {
                struct json *role = rbac_object(a, "ClusterRole", NULL, m->key);
                const char *into = json_get_string(m->value, "into");

                if (!wanted_here(m->value))
                        continue;
                if (into)
                        json_set_string(a, json_path(role, "metadata.labels"),
                                        arena_printf(a, "rbac.authorization.k8s.io/aggregate-to-%s", into), "true");
                if (json_get(m->value, "from")) {
                        struct json *rules = json_new_array(a);

                        aggregate(a, role, m->value);
                        if (!has_component("controllers"))
                                rules = json_new_null(a); /* nobody would keep them up to date */
                        else
                                collect_into(a, roles, json_get_string(m->value, "from"), rules, 0);
                        json_set(a, role, "rules", rules);
                } else {
                        json_set(a, role, "rules", read_rules(a, json_get(m->value, "rules")));
                }
                add_job(w, RBAC, "clusterroles", NULL, role);
        }
}

static void add_binding(struct work *w, const char *namespace, const char *name, const char *role,
                        const struct json *subjects)
{
        struct arena *a = w->a;
        struct json *b = rbac_object(a, namespace ? "RoleBinding" : "ClusterRoleBinding", namespace, name), *ref;

        if (json_len(subjects))
                json_set(a, b, "subjects", read_subjects(a, subjects, false));
        ref = json_ensure_object(a, b, "roleRef");
        json_set_string(a, ref, "apiGroup", RBAC);
        json_set_string(a, ref, "kind", namespace ? "Role" : "ClusterRole");
        json_set_string(a, ref, "name", role);
        add_job(w, RBAC, namespace ? "rolebindings" : "clusterrolebindings", namespace, b);
}

static void add_rbac(struct work *w, const struct json *doc)
{
        add_cluster_roles(w, doc);
        json_foreach_member(json_get(doc, "clusterRoleBindings"), m) {
                if (wanted_here(json_get(json_get(doc, "clusterRoles"), m->key)))
                        add_binding(w, NULL, m->key, m->key, m->value);
        }
        json_foreach_member(json_get(doc, "roles"), ns) {
                json_foreach_member(ns->value, m) {
                        struct json *role = rbac_object(w->a, "Role", ns->key, m->key);
                        const char *binding = json_get_string(m->value, "binding");

                        json_set(w->a, role, "rules", read_rules(w->a, json_get(m->value, "rules")));
                        add_job(w, RBAC, "roles", ns->key, role);
                        add_binding(w, ns->key, binding ? binding : m->key, m->key, json_get(m->value, "subjects"));
                }
        }
}

/* --- flow control --- */

static struct json *flow_object(struct arena *a, const char *kind, const char *name)
{
        struct json *obj = object(a, FLOW "/v1", kind, NULL, name), *meta = json_get(obj, "metadata");

        json_set_string(a, json_ensure_object(a, meta, "annotations"), "apf.kubernetes.io/autoupdate-spec", "true");
        return obj;
}

/* [shares, lendable, queues, hand, length] */
static void add_level(struct work *w, const char *name, const struct json *n)
{
        struct arena *a = w->a;
        struct json *obj = flow_object(a, "PriorityLevelConfiguration", name), *spec = json_ensure_object(a, obj, "spec");
        struct json *limits, *response, *queuing;
        bool exempt = streq(name, "exempt");

        json_set_string(a, spec, "type", exempt ? "Exempt" : "Limited");
        limits = json_ensure_object(a, spec, exempt ? "exempt" : "limited");
        json_set(a, limits, "nominalConcurrencyShares", json_at(n, 0));
        json_set(a, limits, "lendablePercent", json_at(n, 1));
        if (!exempt) {
                response = json_ensure_object(a, limits, "limitResponse");
                json_set_string(a, response, "type", json_len(n) > 2 ? "Queue" : "Reject");
                if (json_len(n) > 2) {
                        queuing = json_ensure_object(a, response, "queuing");
                        json_set(a, queuing, "queues", json_at(n, 2));
                        json_set(a, queuing, "handSize", json_at(n, 3));
                        json_set(a, queuing, "queueLengthLimit", json_at(n, 4));
                }
        }
        add_job(w, FLOW, "prioritylevelconfigurations", NULL, obj);
}

static struct json *parse_constant(struct arena *a, const char *text)
{
        struct json *j = NULL;

        json_parse(a, text, strlen(text), NULL, &j, NULL);
        return j;
}

static void add_schema(struct work *w, const char *name, const struct json *in)
{
        static const char all[] = "[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"],"
                                  "\"clusterScope\":true,\"namespaces\":[\"*\"]}]";
        static const char all_urls[] = "[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]";
        struct arena *a = w->a;
        struct json *obj = flow_object(a, "FlowSchema", name), *spec = json_ensure_object(a, obj, "spec");
        struct json *rule = json_new_object(a), *resources = json_get(in, "resourceRules"),
                    *urls = json_get(in, "nonResourceRules");

        json_set_string(a, json_ensure_object(a, spec, "priorityLevelConfiguration"), "name", json_get_string(in, "level"));
        json_set(a, spec, "matchingPrecedence", json_get(in, "precedence"));
        if (json_get(in, "by"))
                json_set_string(a, json_ensure_object(a, spec, "distinguisherMethod"), "type", json_get_string(in, "by"));
        json_set(a, rule, "subjects", read_subjects(a, json_get(in, "subjects"), true));
        if (!resources || json_len(resources))
                json_set(a, rule, "resourceRules", resources ? resources : parse_constant(a, all));
        if (!urls || json_len(urls))
                json_set(a, rule, "nonResourceRules", urls ? urls : parse_constant(a, all_urls));
        json_append(a, json_ensure_array(a, spec, "rules"), rule);
        add_job(w, FLOW, "flowschemas", NULL, obj);
}

static void add_flow(struct work *w, const struct json *doc)
{
        json_foreach_member(json_get(doc, "priorityLevels"), m) {
                add_level(w, m->key, m->value);
        }
        json_foreach_member(json_get(doc, "flowSchemas"), m) {
                add_schema(w, m->key, m->value);
        }
}

static void add_others(struct work *w, const struct json *doc)
{
        struct arena *a = w->a;

        json_foreach_member(json_get(doc, "priorityClasses"), m) {
                struct json *obj = object(a, "scheduling.k8s.io/v1", "PriorityClass", NULL, m->key);

                json_set(a, obj, "value", json_get(m->value, "value"));
                json_set(a, obj, "description", json_get(m->value, "description"));
                json_set_string(a, obj, "preemptionPolicy", "PreemptLowerPriority");
                add_job(w, "scheduling.k8s.io", "priorityclasses", NULL, obj);
        }
        add_flow(w, doc);
}

/* --- what servers behind this one trust --- */

/* extension-apiserver-authentication in kube-system: aggregated servers read there whose certificates and headers say
 * who a user is. */
static void add_authentication(struct work *w)
{
        struct arena *a = w->a;
        struct json *obj = object(a, "v1", "ConfigMap", "kube-system", "extension-apiserver-authentication");
        struct json *data = json_ensure_object(a, obj, "data"), *names = json_new_array(a);
        const struct {
                const char *key, *file;
        } files[] = {
                { "client-ca-file", the_auth->client_ca_file },
                { "requestheader-client-ca-file", the_auth->requestheader_ca_file },
        };

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                _cleanup_free_ char *text = NULL;

                if (files[i].file && file_read(files[i].file, 1 << 20, &text, NULL, NULL) == 0)
                        json_set_string(a, data, files[i].key, text);
        }
        if (json_get(data, "requestheader-client-ca-file")) {
                for (char **n = the_auth->front_proxy_names; n && *n; n++)
                        json_append(a, names, json_new_string(a, *n));
                json_set_string(a, data, "requestheader-allowed-names", json_print(a, names));
                json_set_string(a, data, "requestheader-extra-headers-prefix", "[\"X-Remote-Extra-\"]");
                json_set_string(a, data, "requestheader-group-headers", "[\"X-Remote-Group\"]");
                json_set_string(a, data, "requestheader-username-headers", "[\"X-Remote-User\"]");
        }
        if (json_len(data))
                add_job(w, "", "configmaps", "kube-system", obj);
}

/* --- writing --- */

/* Roles that exist: what they lack of RULES; bindings: what they lack of SUBJECTS; ConfigMaps: data that changed.
 * NULL: nothing. */
static struct json *reconciled(struct arena *a, const struct json *old, const struct json *wanted)
{
        struct json *out = NULL;

        json_foreach_member(json_get(wanted, "data"), m) {
                if (json_equal(json_get(json_get(old, "data"), m->key), m->value))
                        continue;
                if (!out)
                        out = json_clone(a, old);
                json_set(a, json_ensure_object(a, out, "data"), m->key, json_clone(a, m->value));
        }
        if (json_get(wanted, "data"))
                return out;
        if (streq(json_get_string(json_path(old, "metadata.annotations"), "rbac.authorization.kubernetes.io/autoupdate"),
                  "false"))
                return NULL;
        if (json_get(wanted, "roleRef")) {
                json_foreach_item(json_get(wanted, "subjects"), s) {
                        bool there = false;

                        json_foreach_item(json_get(old, "subjects"), t) {
                                there = there || json_equal(s, t);
                        }
                        if (there)
                                continue;
                        if (!out)
                                out = json_clone(a, old);
                        json_append(a, json_ensure_array(a, out, "subjects"), json_clone(a, s));
                }
        } else if (!json_get(wanted, "aggregationRule")) {
                struct rbac_rules have, want, missing;

                rbac_rules_read(a, json_get(old, "rules"), &have);
                json_foreach_item(json_get(wanted, "rules"), rule) {
                        struct json *one = json_new_array(a);

                        json_append(a, one, rule);
                        rbac_rules_read(a, one, &want);
                        if (rbac_covers(a, &have, &want, &missing))
                                continue;
                        if (!out)
                                out = json_clone(a, old);
                        json_append(a, json_ensure_array(a, out, "rules"), json_clone(a, rule));
                }
        }
        return out;
}

static const struct status *update_role(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        struct json *new = old ? reconciled(r->arena, old, userdata) : NULL;

        *ret_new = new ? new : json_clone(r->arena, old);
        return NULL;
}

/* What is marked so is ours to keep; of the two that every cluster has, the server depends on them as they are. */
static bool keeps_spec(const struct json *old)
{
        const char *name = json_path_string(old, "metadata.name");

        return streq(name, "exempt") || streq(name, "catch-all") ||
               streq(json_get_string(json_path(old, "metadata.annotations"), "apf.kubernetes.io/autoupdate-spec"), "true");
}

/* Flow schemas and priority levels; a write that changes nothing is none. */
static const struct status *update_spec(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        *ret_new = json_clone(r->arena, old);
        if (keeps_spec(old))
                json_set(r->arena, *ret_new, "spec", json_clone(r->arena, json_get(userdata, "spec")));
        return NULL;
}

static const struct status *run_job(struct api_request *r, const struct job *job, bool keep)
{
        const char *name = json_path_string(job->obj, "metadata.name");
        const char *ns = job->namespace ? job->namespace : "";
        struct json *old = NULL, *out = NULL;
        const struct status *st;
        struct entry *e;

        if (!job->res)
                return status_internal(r->arena, "no such kind: %s", json_get_string(job->obj, "kind"));
        e = store_get(the_auth->store, registry_key(r->arena, job->res, ns, name));
        if (!e) {
                st = registry_create(r, job->res, ns, json_clone(r->arena, job->obj), &out);
                return st && st->code == 409 ? NULL : st; /* another API server was faster */
        }
        if (streq(job->res->group, FLOW) && keep)
                return registry_update(r, job->res, ns, name, "", update_spec, job->obj, &out, NULL);
        if ((!streq(job->res->group, RBAC) && !streq(job->res->kind, "ConfigMap")) || json_parse(r->arena, e->json->data, e->json->len, NULL, &old, NULL) < 0 ||
            !reconciled(r->arena, old, job->obj))
                return NULL;
        return registry_update(r, job->res, ns, name, "", update_role, job->obj, &out, NULL);
}

static void worker(void *userdata)
{
        struct work *w = userdata;

        while (w->next < w->n && !w->failed) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                const struct job *job = &w->jobs[w->next++];
                struct api_request r;
                const struct status *st;

                request_init_internal(&r, w->r->server, a);
                st = run_job(&r, job, w->keep);
                if (st && !w->failed) {
                        w->failed = st;
                        w->failed_what = arena_printf(w->a, "%s %s: %s", json_get_string(job->obj, "kind"),
                                                      json_path_string(job->obj, "metadata.name"), st->message);
                }
        }
        if (--w->running == 0 && w->waiting)
                fiber_wake(w->waiting);
}

static int run_jobs(struct work *w, struct error *reterr)
{
        w->waiting = NULL;
        w->running = 0;
        for (unsigned i = 0; i < PARALLEL && w->next < w->n; i++) {
                w->running++;
                fiber_start(the_auth->loop, worker, w);
        }
        w->waiting = fiber_self();
        while (w->running)
                fiber_park();
        w->n = w->next = 0;
        return w->failed ? error_set(reterr, -EIO, "%s", w->failed_what) : 0;
}

static int read_yaml(struct arena *a, const char *start, const char *end, struct json **ret, struct error *reterr)
{
        int r = yaml_parse(a, start, end - start, NULL, ret, reterr);

        if (r < 0)
                error_wrap(reterr, r, "embedded manifest");
        return r;
}

int auth_bootstrap(struct api_request *r, struct error *reterr)
{
        struct work w = { .r = r, .a = r->arena };
        struct json *rbac, *others;
        int res;

        if ((res = read_yaml(w.a, rbac_yaml_start, rbac_yaml_end, &rbac, reterr)) < 0 ||
            (res = read_yaml(w.a, bootstrap_yaml_start, bootstrap_yaml_end, &others, reterr)) < 0)
                return res;
        json_foreach_item(json_get(others, "namespaces"), ns) {
                add_job(&w, "", "namespaces", NULL, object(w.a, "v1", "Namespace", NULL, json_string(ns)));
        }
        res = run_jobs(&w, reterr);
        if (res >= 0)
                res = store_sync(the_auth->store, reterr); /* the rest lies in those namespaces */
        if (res >= 0) {
                add_rbac(&w, rbac);
                add_others(&w, others);
                add_authentication(&w);
                res = run_jobs(&w, reterr);
        }
        free(w.jobs);
        return res;
}

int auth_bootstrap_flow(struct api_request *r, struct error *reterr)
{
        struct work w = { .r = r, .a = r->arena, .keep = true };
        struct json *others;
        int res = read_yaml(w.a, bootstrap_yaml_start, bootstrap_yaml_end, &others, reterr);

        if (res < 0)
                return res;
        add_flow(&w, others);
        res = run_jobs(&w, reterr);
        free(w.jobs);
        return res;
}
