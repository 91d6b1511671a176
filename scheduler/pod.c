/* Compiling pods: see pod.h. */
#include "pod.h"

#include "../lib/base/map.h"
#include "../lib/base/time.h"
#include "../lib/meta/quantity.h"

#define DEFAULT_SCORE_CPU 100
#define DEFAULT_SCORE_MEMORY (INT64_C(200) * 1024 * 1024)

/* --- resource names --- */

static const char **names;
static size_t n_names, cap_names;

unsigned resource_id(const char *name)
{
        static const char *const fixed[] = { "cpu", "memory", "ephemeral-storage" };

        while (n_names < RES_FIXED) {
                array_reserve(names, cap_names, n_names + 1);
                names[n_names] = fixed[n_names];
                n_names++;
        }
        for (size_t i = 0; i < n_names; i++)
                if (streq(names[i], name))
                        return (unsigned)i;
        array_reserve(names, cap_names, n_names + 1);
        names[n_names] = xstrdup(name);
        return (unsigned)n_names++;
}

const char *resource_name(unsigned id)
{
        resource_id("cpu");
        return names[id];
}

/* --- requests --- */

struct sums {
        struct resource_amount list[32];
        size_t n;
};

static int64_t *sum_of(struct sums *s, unsigned resource)
{
        for (size_t i = 0; i < s->n; i++)
                if (s->list[i].resource == resource)
                        return &s->list[i].amount;
        if (s->n == ARRAY_SIZE(s->list))
                return NULL; /* more resource names than any pod has: the rest is not counted */
        s->list[s->n] = (struct resource_amount){ resource, 0 };
        return &s->list[s->n++].amount;
}

static int64_t amount_of(unsigned resource, const char *text)
{
        struct quantity q;

        if (!text || quantity_parse(text, &q) < 0)
                return 0;
        return resource == RES_CPU ? quantity_milli(&q) : quantity_value(&q);
}

static void add_list(struct sums *s, const struct json *list)
{
        json_foreach_member(list, m)
        {
                unsigned resource = resource_id(m->key);
                int64_t *sum = sum_of(s, resource);

                if (sum)
                        *sum += amount_of(resource, json_string(m->value));
        }
}

static void add_sums(struct sums *s, const struct sums *other)
{
        for (size_t i = 0; i < other->n; i++) {
                int64_t *sum = sum_of(s, other->list[i].resource);

                if (sum)
                        *sum += other->list[i].amount;
        }
}

static void max_sums(struct sums *s, const struct sums *other)
{
        for (size_t i = 0; i < other->n; i++) {
                int64_t *sum = sum_of(s, other->list[i].resource);

                if (sum)
                        *sum = MAX(*sum, other->list[i].amount);
        }
}

static const struct json *requests_of(const struct json *container)
{
        return json_path(container, "resources.requests");
}

/* Containers and sidecars run together; each init container runs beside the sidecars before it. */
static void sum_requests(const struct json *spec, struct sums *out)
{
        struct sums sidecars = { .n = 0 }, peak = { .n = 0 };
        const struct json *whole = json_path(spec, "resources.requests");

        json_foreach_item(json_get(spec, "containers"), c)
                add_list(out, requests_of(c));
        json_foreach_item(json_get(spec, "initContainers"), c)
        {
                struct sums here = sidecars;

                add_list(&here, requests_of(c));
                max_sums(&peak, &here);
                if (streq(json_get_string(c, "restartPolicy"), "Always"))
                        sidecars = here;
        }
        add_sums(out, &sidecars);
        max_sums(out, &peak);
        json_foreach_member(whole, m)
        {
                unsigned resource = resource_id(m->key);
                int64_t *sum = sum_of(out, resource);

                if (sum)
                        *sum = amount_of(resource, json_string(m->value));
        }
        add_list(out, json_get(spec, "overhead"));
}

static void compile_requests(struct arena *a, struct sched_pod *p, const struct json *spec)
{
        struct sums sums = { .n = 0 };
        int64_t cpu = 0, memory = 0;

        sum_requests(spec, &sums);
        p->requests = arena_memdup(a, sums.list, sums.n * sizeof(*sums.list));
        p->n_requests = sums.n;
        json_foreach_item(json_get(spec, "containers"), c)
        {
                const struct json *r = requests_of(c);

                cpu += json_get(r, "cpu") ? amount_of(RES_CPU, json_get_string(r, "cpu")) : DEFAULT_SCORE_CPU;
                memory += json_get(r, "memory") ? amount_of(RES_MEMORY, json_get_string(r, "memory")) :
                                                  DEFAULT_SCORE_MEMORY;
        }
        p->score_cpu = MAX(cpu, sched_pod_request(p, RES_CPU));
        p->score_memory = MAX(memory, sched_pod_request(p, RES_MEMORY));
}

int64_t sched_pod_request(const struct sched_pod *p, unsigned resource)
{
        for (size_t i = 0; i < p->n_requests; i++)
                if (p->requests[i].resource == resource)
                        return p->requests[i].amount;
        return 0;
}

static void compile_ports(struct arena *a, struct sched_pod *p, const struct json *spec)
{
        static const char *const lists[] = { "containers", "initContainers" };
        size_t n = 0;

        for (int fill = 0; fill < 2; fill++) {
                if (fill)
                        p->ports = arena_calloc(a, n * sizeof(*p->ports));
                for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                        json_foreach_item(json_get(spec, lists[l]), c)
                        {
                                if (l == 1 && !streq(json_get_string(c, "restartPolicy"), "Always"))
                                        continue;
                                json_foreach_item(json_get(c, "ports"), port)
                                {
                                        const char *protocol = json_get_string(port, "protocol");
                                        const char *ip = json_get_string(port, "hostIP");
                                        int64_t number = json_get_int(port, "hostPort", 0);

                                        if (number <= 0)
                                                continue;
                                        if (fill)
                                                p->ports[p->n_ports++] = (struct host_port){
                                                        protocol ? protocol : "TCP",
                                                        str_empty(ip) || streq(ip, "::") ? "0.0.0.0" : ip, (int)number,
                                                };
                                        else
                                                n++;
                                }
                        }
        }
}

static void compile_tolerations(struct arena *a, struct sched_pod *p, const struct json *list)
{
        p->tolerations = arena_calloc(a, json_len(list) * sizeof(*p->tolerations));
        json_foreach_item(list, t)
                p->tolerations[p->n_tolerations++] = (struct toleration){
                        json_get_string(t, "key"), json_get_string(t, "operator"), json_get_string(t, "value"),
                        json_get_string(t, "effect"),
                };
}

/* matchExpressions and matchFields have the form of a label selector's matchExpressions. */
static void compile_expressions(struct arena *a, struct json *expressions, struct selector *out)
{
        struct json *object = json_new_object(a);

        if (expressions)
                json_set(a, object, "matchExpressions", expressions);
        selector_from_object(a, object, out, NULL);
}

static void compile_node_term(struct arena *a, const struct json *term, struct node_term *out)
{
        out->nothing = !json_len(json_get(term, "matchExpressions")) && !json_len(json_get(term, "matchFields"));
        compile_expressions(a, json_get(term, "matchExpressions"), &out->labels);
        compile_expressions(a, json_get(term, "matchFields"), &out->fields);
}

static void compile_node_affinity(struct arena *a, struct sched_pod *p, const struct json *affinity)
{
        const struct json *required = json_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
        const struct json *terms = json_get(required, "nodeSelectorTerms");
        const struct json *preferred = json_get(affinity, "preferredDuringSchedulingIgnoredDuringExecution");

        p->has_required = required;
        p->required = arena_calloc(a, json_len(terms) * sizeof(*p->required));
        json_foreach_item(terms, term)
                compile_node_term(a, term, &p->required[p->n_required++]);
        p->preferred = arena_calloc(a, json_len(preferred) * sizeof(*p->preferred));
        json_foreach_item(preferred, term)
        {
                p->preferred[p->n_preferred].weight = json_get_int(term, "weight", 0);
                compile_node_term(a, json_get(term, "preference"), &p->preferred[p->n_preferred++]);
        }
}

/* matchLabelKeys narrow the selector to this pod's own values. */
static void add_match_keys(struct arena *a, struct selector *sel, const struct json *keys, const struct json *labels,
                           enum selector_op op)
{
        size_t n = json_len(keys);
        struct selector_requirement *reqs;

        if (!n || sel->nothing)
                return;
        reqs = arena_calloc(a, (sel->n + n) * sizeof(*reqs));
        if (sel->n)
                memcpy(reqs, sel->reqs, sel->n * sizeof(*reqs));
        json_foreach_item(keys, key)
        {
                const char *value = json_get_string(labels, json_string(key));
                const char **values;

                if (!value)
                        continue;
                values = arena_alloc(a, sizeof(*values));
                values[0] = value;
                reqs[sel->n++] = (struct selector_requirement){
                        .key = json_string(key), .op = op, .values = values, .n_values = 1,
                };
        }
        sel->reqs = reqs;
}

static void compile_affinity_term(struct arena *a, const struct sched_pod *p, const struct json *term, int64_t weight,
                                  struct affinity_term *out)
{
        const struct json *namespaces = json_get(term, "namespaces");
        const struct json *selector = json_get(term, "namespaceSelector");

        out->weight = weight;
        out->topology_key = json_get_string(term, "topologyKey");
        selector_from_object(a, json_get(term, "labelSelector"), &out->selector, NULL);
        add_match_keys(a, &out->selector, json_get(term, "matchLabelKeys"), p->labels, SELECTOR_IN);
        add_match_keys(a, &out->selector, json_get(term, "mismatchLabelKeys"), p->labels, SELECTOR_NOT_IN);
        out->namespaces = arena_calloc(a, (json_len(namespaces) + 1) * sizeof(*out->namespaces));
        json_foreach_item(namespaces, ns)
                out->namespaces[out->n_namespaces++] = json_string(ns);
        if (json_is_object(selector)) {
                out->has_namespace_selector = true;
                selector_from_object(a, selector, &out->namespace_selector, NULL);
                out->all_namespaces = !out->namespace_selector.n && !out->namespace_selector.nothing;
        } else if (!out->n_namespaces) {
                out->namespaces[out->n_namespaces++] = p->namespace;
        }
}

static struct affinity_term *compile_terms(struct arena *a, const struct sched_pod *p, const struct json *list, bool soft,
                                           size_t *ret_n)
{
        struct affinity_term *terms = arena_calloc(a, json_len(list) * sizeof(*terms));

        json_foreach_item(list, item)
                compile_affinity_term(a, p, soft ? json_get(item, "podAffinityTerm") : item,
                                      json_get_int(item, "weight", 0), &terms[item_i]);
        *ret_n = json_len(list);
        return terms;
}

static void compile_pod_affinity(struct arena *a, struct sched_pod *p, const struct json *affinity)
{
        const struct json *with = json_get(affinity, "podAffinity"), *against = json_get(affinity, "podAntiAffinity");
        static const char required[] = "requiredDuringSchedulingIgnoredDuringExecution";
        static const char preferred[] = "preferredDuringSchedulingIgnoredDuringExecution";

        p->affinity = compile_terms(a, p, json_get(with, required), false, &p->n_affinity);
        p->anti = compile_terms(a, p, json_get(against, required), false, &p->n_anti);
        p->soft_affinity = compile_terms(a, p, json_get(with, preferred), true, &p->n_soft_affinity);
        p->soft_anti = compile_terms(a, p, json_get(against, preferred), true, &p->n_soft_anti);
}

static void compile_spread(struct arena *a, struct sched_pod *p, const struct json *list)
{
        p->spread = arena_calloc(a, json_len(list) * sizeof(*p->spread));
        json_foreach_item(list, c)
        {
                struct spread_constraint *out = &p->spread[p->n_spread++];

                out->topology_key = json_get_string(c, "topologyKey");
                out->max_skew = json_get_int(c, "maxSkew", 1);
                out->min_domains = json_get_int(c, "minDomains", 1);
                out->hard = streq(json_get_string(c, "whenUnsatisfiable"), "DoNotSchedule");
                out->honor_affinity = !streq(json_get_string(c, "nodeAffinityPolicy"), "Ignore");
                out->honor_taints = streq(json_get_string(c, "nodeTaintsPolicy"), "Honor");
                selector_from_object(a, json_get(c, "labelSelector"), &out->selector, NULL);
                add_match_keys(a, &out->selector, json_get(c, "matchLabelKeys"), p->labels, SELECTOR_IN);
        }
}

static void compile_volumes(struct arena *a, struct sched_pod *p, const struct json *volumes)
{
        p->claims = arena_calloc(a, (json_len(volumes) + 1) * sizeof(*p->claims));
        json_foreach_item(volumes, v)
        {
                const char *claim = json_path_string(v, "persistentVolumeClaim.claimName");

                if (!claim && json_get(v, "ephemeral"))
                        claim = arena_printf(a, "%s-%s", p->name, json_get_string(v, "name"));
                if (claim)
                        p->claims[p->n_claims++] = claim;
        }
}

static void compile_images(struct arena *a, struct sched_pod *p, const struct json *containers)
{
        p->images = arena_calloc(a, (json_len(containers) + 1) * sizeof(*p->images));
        json_foreach_item(containers, c)
                if (json_get_string(c, "image"))
                        p->images[p->n_images++] = json_get_string(c, "image");
}

static const char *controller_uid(const struct json *meta)
{
        json_foreach_item(json_get(meta, "ownerReferences"), ref)
                if (json_get_bool(ref, "controller", false))
                        return json_get_string(ref, "uid");
        return NULL;
}

struct sched_pod *sched_pod_new(struct arena *a, const struct json *pod)
{
        struct sched_pod *p = arena_calloc(a, sizeof(*p));
        const struct json *meta = json_get(pod, "metadata"), *spec = json_get(pod, "spec");
        const char *phase = json_path_string(pod, "status.phase"), *node = json_get_string(spec, "nodeName");
        const char *start = json_path_string(pod, "status.startTime");

        p->json = pod;
        p->namespace = json_get_string(meta, "namespace");
        p->name = json_get_string(meta, "name");
        p->uid = json_get_string(meta, "uid");
        p->key = arena_printf(a, "%s/%s", p->namespace, p->name);
        p->node = str_empty(node) ? NULL : node;
        p->labels = json_get(meta, "labels");
        p->owner_uid = controller_uid(meta);
        p->priority = json_get_int(spec, "priority", 0);
        p->never_preempts = streq(json_get_string(spec, "preemptionPolicy"), "Never");
        p->deleting = json_get(meta, "deletionTimestamp");
        p->gated = json_len(json_get(spec, "schedulingGates"));
        p->terminal = streq(phase, "Succeeded") || streq(phase, "Failed");
        if (!start || time_parse(start, &p->start_ns) < 0)
                p->start_ns = INT64_MAX;
        compile_requests(a, p, spec);
        compile_ports(a, p, spec);
        compile_tolerations(a, p, json_get(spec, "tolerations"));
        p->node_selector = json_get(spec, "nodeSelector");
        compile_node_affinity(a, p, json_path(spec, "affinity.nodeAffinity"));
        compile_pod_affinity(a, p, json_get(spec, "affinity"));
        compile_spread(a, p, json_get(spec, "topologySpreadConstraints"));
        compile_volumes(a, p, json_get(spec, "volumes"));
        compile_images(a, p, json_get(spec, "containers"));
        return p;
}
