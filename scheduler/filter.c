/* The filters: see filter.h. Texts are upstream's (pkg/scheduler/framework/plugins). */
#include "filter.h"

#include "../lib/meta/quantity.h"

static bool reject(struct verdict *v, const char *reason, bool unresolvable, unsigned wake)
{
        if (v->n < MAX_REASONS)
                v->reasons[v->n++] = reason;
        v->unresolvable = unresolvable;
        v->wake |= wake;
        return false;
}

/* --- taints --- */

static bool tolerates(const struct toleration *t, const struct json *taint)
{
        const char *key = json_get_string(taint, "key"), *value = json_get_string(taint, "value");
        const char *effect = json_get_string(taint, "effect");
        const char *mine = t->value ? t->value : "";

        if (!str_empty(t->effect) && !streq(t->effect, effect))
                return false;
        if (!str_empty(t->key) && !streq(t->key, key))
                return false;
        if (streq(t->op, "Exists"))
                return true;
        if (streq(t->op, "Lt") || streq(t->op, "Gt")) {
                int64_t have = strtoll(value ? value : "", NULL, 10), want = strtoll(mine, NULL, 10);

                return streq(t->op, "Lt") ? have < want : have > want;
        }
        return streq(mine, value ? value : "");
}

static bool tolerated(const struct sched_pod *pod, const struct json *taint)
{
        for (size_t i = 0; i < pod->n_tolerations; i++)
                if (tolerates(&pod->tolerations[i], taint))
                        return true;
        return false;
}

const struct json *untolerated_taint(const struct sched_pod *pod, const struct node_info *node, const char *effect)
{
        json_foreach_item(node->taints, taint)
                if (streq(json_get_string(taint, "effect"), effect) && !tolerated(pod, taint))
                        return taint;
        return NULL;
}

/* The taint that cordoning puts is what NodeUnschedulable speaks of. */
static bool tolerates_cordon(const struct sched_pod *pod)
{
        for (size_t i = 0; i < pod->n_tolerations; i++) {
                const struct toleration *t = &pod->tolerations[i];
                bool key = str_empty(t->key) ? streq(t->op, "Exists") :
                                               streq(t->key, "node.kubernetes.io/unschedulable");

                if (key && (str_empty(t->effect) || streq(t->effect, "NoSchedule")) &&
                    (streq(t->op, "Exists") || str_empty(t->value)))
                        return true;
        }
        return false;
}

static bool node_unschedulable(const struct filter_state *f, size_t i, struct verdict *v)
{
        if (!f->snapshot->nodes[i].unschedulable || tolerates_cordon(f->pod))
                return true;
        return reject(v, "node(s) were unschedulable", true, WAKE_NODE);
}

static bool taint_toleration(const struct filter_state *f, size_t i, struct verdict *v)
{
        const struct node_info *node = &f->snapshot->nodes[i];

        if (!untolerated_taint(f->pod, node, "NoSchedule") && !untolerated_taint(f->pod, node, "NoExecute"))
                return true;
        return reject(v, "node(s) had untolerated taint(s)", true, WAKE_NODE);
}

/* --- node affinity --- */

static const char *node_field(const char *key, void *userdata)
{
        return streq(key, "metadata.name") ? ((const struct node_info *)userdata)->name : NULL;
}

bool node_term_matches(const struct node_term *term, const struct node_info *node)
{
        return !term->nothing && selector_matches(&term->labels, node->labels) &&
               selector_matches_fn(&term->fields, node_field, (void *)node);
}

bool node_matches_affinity(const struct sched_pod *pod, const struct node_info *node)
{
        json_foreach_member(pod->node_selector, m)
                if (!streq(json_string(m->value), json_get_string(node->labels, m->key)))
                        return false;
        if (!pod->has_required)
                return true;
        for (size_t i = 0; i < pod->n_required; i++)
                if (node_term_matches(&pod->required[i], node))
                        return true;
        return false;
}

static bool node_affinity(const struct filter_state *f, size_t i, struct verdict *v)
{
        if (node_matches_affinity(f->pod, &f->snapshot->nodes[i]))
                return true;
        return reject(v, "node(s) didn't match Pod's node affinity/selector", true, WAKE_NODE);
}

/* --- ports and resources --- */

static bool ports_clash(const struct host_port *x, const struct host_port *y)
{
        return x->port == y->port && streq(x->protocol, y->protocol) &&
               (streq(x->ip, y->ip) || streq(x->ip, "0.0.0.0") || streq(y->ip, "0.0.0.0"));
}

static bool node_ports(const struct filter_state *f, size_t i, struct verdict *v)
{
        const struct node_pods *pods = &f->snapshot->nodes[i].pods;

        for (size_t k = 0; f->pod->n_ports && k < pods->n; k++)
                for (size_t x = 0; x < pods->list[k]->n_ports; x++)
                        for (size_t y = 0; y < f->pod->n_ports; y++)
                                if (ports_clash(&pods->list[k]->ports[x], &f->pod->ports[y]))
                                        return reject(v, "node(s) didn't have free ports for the requested pod ports",
                                                      false, WAKE_NODE | WAKE_POD_GONE);
        return true;
}

static int64_t allocatable_of(const struct sched_snapshot *s, size_t i, unsigned r)
{
        if (r < RES_FIXED)
                return s->allocatable[r][i];
        return r - RES_FIXED < s->nodes[i].n_extended ? s->nodes[i].extended_allocatable[r - RES_FIXED] : 0;
}

static int64_t used_of(const struct sched_snapshot *s, size_t i, unsigned r)
{
        if (r < RES_FIXED)
                return s->used[r][i];
        return r - RES_FIXED < s->nodes[i].n_extended ? s->nodes[i].extended_used[r - RES_FIXED] : 0;
}

static bool resources_fit(const struct filter_state *f, size_t i, struct verdict *v)
{
        const struct sched_snapshot *s = f->snapshot;
        bool fits = true, beyond = false;

        if ((int64_t)s->nodes[i].pods.n + 1 > s->max_pods[i])
                fits = reject(v, "Too many pods", false, WAKE_NODE | WAKE_POD_GONE);
        for (size_t k = 0; k < f->pod->n_requests; k++) {
                unsigned r = f->pod->requests[k].resource;
                int64_t want = f->pod->requests[k].amount, all = allocatable_of(s, i, r);

                if (want <= 0 || want <= all - used_of(s, i, r))
                        continue;
                beyond |= want > all;
                fits = reject(v, arena_printf(f->arena, "Insufficient %s", resource_name(r)), false,
                              WAKE_NODE | WAKE_POD_GONE);
        }
        if (beyond) /* not even an empty node would do */
                v->unresolvable = true;
        return fits;
}

/* --- volumes --- */

static bool terms_match(const struct json *terms, const struct node_info *node, struct arena *a)
{
        json_foreach_item(terms, term)
        {
                struct node_term t = { 0 };
                struct json *object = json_new_object(a), *fields = json_new_object(a);

                t.nothing = !json_len(json_get(term, "matchExpressions")) && !json_len(json_get(term, "matchFields"));
                if (json_get(term, "matchExpressions"))
                        json_set(a, object, "matchExpressions", json_get(term, "matchExpressions"));
                if (json_get(term, "matchFields"))
                        json_set(a, fields, "matchExpressions", json_get(term, "matchFields"));
                selector_from_object(a, object, &t.labels, NULL);
                selector_from_object(a, fields, &t.fields, NULL);
                if (node_term_matches(&t, node))
                        return true;
        }
        return false;
}

static bool volume_reaches(const struct json *pv, const struct node_info *node, struct arena *a)
{
        const struct json *required = json_path(pv, "spec.nodeAffinity.required");

        return !required || terms_match(json_get(required, "nodeSelectorTerms"), node, a);
}

static bool has_modes(const struct json *pv, const struct json *claim)
{
        json_foreach_item(json_path(claim, "spec.accessModes"), want)
        {
                bool found = false;

                json_foreach_item(json_path(pv, "spec.accessModes"), have)
                        found |= streq(json_string(have), json_string(want));
                if (!found)
                        return false;
        }
        return true;
}

static const char *or_else(const char *s, const char *otherwise)
{
        return s ? s : otherwise;
}

/* May the claim take the volume, the node aside? */
static bool volume_suits(const struct json *pv, const struct json *claim, struct arena *a)
{
        const char *bound = json_path_string(pv, "spec.claimRef.name");
        struct quantity have, want;
        struct selector sel;
        const struct json *selector = json_path(claim, "spec.selector");

        if (bound && !(streq(bound, json_path_string(claim, "metadata.name")) &&
                       streq(json_path_string(pv, "spec.claimRef.namespace"), json_path_string(claim, "metadata.namespace"))))
                return false;
        if (json_path(pv, "metadata.deletionTimestamp") || !has_modes(pv, claim) ||
            !streq(or_else(json_path_string(pv, "spec.storageClassName"), ""),
                   or_else(json_path_string(claim, "spec.storageClassName"), "")) ||
            !streq(or_else(json_path_string(pv, "spec.volumeMode"), "Filesystem"),
                   or_else(json_path_string(claim, "spec.volumeMode"), "Filesystem")))
                return false;
        if (quantity_parse(or_else(json_path_string(pv, "spec.capacity.storage"), "0"), &have) < 0 ||
            quantity_parse(or_else(json_path_string(claim, "spec.resources.requests.storage"), "0"), &want) < 0 ||
            quantity_cmp(&have, &want) < 0)
                return false;
        return !selector || (selector_from_object(a, selector, &sel, NULL) == 0 &&
                             selector_matches(&sel, json_path(pv, "metadata.labels")));
}

struct volume_search {
        const struct filter_state *f;
        const struct claim_state *claim;
        const struct node_info *node;
        const struct json **taken;
        size_t n_taken;
        const struct json *best;
        struct quantity best_size;
};

/* The smallest that is large enough. */
static bool consider_volume(const struct json *pv, void *arg)
{
        struct volume_search *search = arg;
        struct quantity size;

        for (size_t i = 0; i < search->n_taken; i++)
                if (search->taken[i] == pv)
                        return false;
        if (!volume_suits(pv, search->claim->claim, search->f->arena) ||
            !volume_reaches(pv, search->node, search->f->arena) ||
            quantity_parse(or_else(json_path_string(pv, "spec.capacity.storage"), "0"), &size) < 0)
                return false;
        if (!search->best || quantity_cmp(&size, &search->best_size) < 0) {
                search->best = pv;
                search->best_size = size;
        }
        return false;
}

const struct json *volume_for_claim(const struct filter_state *f, const struct claim_state *claim, size_t node,
                                    const struct json **taken, size_t n_taken)
{
        const struct sched_snapshot *s = f->snapshot;
        struct volume_search search = { f, claim, &s->nodes[node], taken, n_taken, NULL, { 0 } };

        if (s->find_volume)
                s->find_volume(consider_volume, &search, s->userdata);
        return search.best;
}

static bool can_provision(const struct claim_state *c)
{
        const char *provisioner = json_get_string(c->storage_class, "provisioner");

        return provisioner && !streq(provisioner, "kubernetes.io/no-provisioner");
}

static bool volume_binding(const struct filter_state *f, size_t i, struct verdict *v)
{
        const struct node_info *node = &f->snapshot->nodes[i];
        const struct json *taken[16];
        size_t n_taken = 0;
        bool conflict = false, none = false;

        for (size_t k = 0; k < f->n_claims; k++) {
                const struct claim_state *c = &f->claims[k];
                const struct json *pv;

                if (c->volume) {
                        conflict |= !volume_reaches(c->volume, node, f->arena);
                        continue;
                }
                pv = volume_for_claim(f, c, i, taken, n_taken);
                if (pv && n_taken < ARRAY_SIZE(taken))
                        taken[n_taken++] = pv;
                none |= !pv && !can_provision(c);
        }
        if (conflict)
                reject(v, "node(s) didn't match PersistentVolume's node affinity", true, WAKE_NODE | WAKE_VOLUME);
        if (none)
                reject(v, "node(s) didn't find available persistent volumes to bind", true, WAKE_NODE | WAKE_VOLUME);
        return !conflict && !none;
}

/* A claim for one pod only is in use by another. */
static bool volume_restrictions(const struct filter_state *f, size_t i, struct verdict *v)
{
        const struct node_pods *pods = &f->snapshot->nodes[i].pods;

        for (size_t k = 0; k < f->n_claims; k++) {
                const struct json *modes = json_path(f->claims[k].claim, "spec.accessModes");

                if (!streq(json_string(json_at(modes, 0)), "ReadWriteOncePod"))
                        continue;
                for (size_t p = 0; p < pods->n; p++)
                        for (size_t c = 0; c < pods->list[p]->n_claims; c++)
                                if (streq(pods->list[p]->claims[c], f->claims[k].name) &&
                                    streq(pods->list[p]->namespace, f->pod->namespace))
                                        return reject(v, "node has pod using PersistentVolumeClaim with the same name and "
                                                         "ReadWriteOncePod access mode", false, WAKE_POD_GONE | WAKE_VOLUME);
        }
        return true;
}

static bool delayed_binding(const struct json *storage_class)
{
        return streq(json_get_string(storage_class, "volumeBindingMode"), "WaitForFirstConsumer");
}

static void prepare_claims(struct filter_state *f)
{
        const struct sched_snapshot *s = f->snapshot;

        f->claims = arena_calloc(f->arena, (f->pod->n_claims + 1) * sizeof(*f->claims));
        for (size_t i = 0; i < f->pod->n_claims && s->claim; i++) {
                struct claim_state *c = &f->claims[f->n_claims++];
                const char *volume, *class;

                *c = (struct claim_state){ .name = f->pod->claims[i] };
                c->claim = s->claim(f->pod->namespace, c->name, s->userdata);
                f->rejected_wake = WAKE_VOLUME;
                if (!c->claim) {
                        f->rejected = arena_printf(f->arena, "persistentvolumeclaim \"%s\" not found", c->name);
                        return;
                }
                if (streq(json_path_string(c->claim, "status.phase"), "Lost")) {
                        f->rejected = arena_printf(f->arena,
                                                   "persistentvolumeclaim \"%s\" bound to non-existent persistentvolume \"%s\"",
                                                   c->name, or_else(json_path_string(c->claim, "spec.volumeName"), ""));
                        return;
                }
                if (json_path(c->claim, "metadata.deletionTimestamp")) {
                        f->rejected = arena_printf(f->arena, "persistentvolumeclaim \"%s\" is being deleted", c->name);
                        return;
                }
                volume = json_path_string(c->claim, "spec.volumeName");
                class = json_path_string(c->claim, "spec.storageClassName");
                if (!str_empty(volume))
                        c->volume = s->volume(volume, s->userdata);
                if (class && *class)
                        c->storage_class = s->storage_class(class, s->userdata);
                if (!c->volume && !delayed_binding(c->storage_class)) {
                        f->rejected = "pod has unbound immediate PersistentVolumeClaims";
                        return;
                }
        }
}

/* --- topology spread --- */

struct spread_state {
        struct map domains; /* topology value to matching pods + 1 */
        int64_t least;
        size_t n_domains;
        bool self;          /* the pod itself matches */
};

static const char *domain_of(const struct node_info *node, const char *key)
{
        return key ? json_get_string(node->labels, key) : NULL;
}

static bool counts_for(const struct sched_pod *pod, const struct spread_constraint *c, const struct node_info *node)
{
        if (!node->present || (c->honor_affinity && !node_matches_affinity(pod, node)))
                return false;
        if (c->honor_taints && (untolerated_taint(pod, node, "NoSchedule") || untolerated_taint(pod, node, "NoExecute")))
                return false;
        /* Nodes must have all the keys, or they are no domain of any. */
        for (size_t i = 0; i < pod->n_spread; i++)
                if (pod->spread[i].hard == c->hard && !domain_of(node, pod->spread[i].topology_key))
                        return false;
        return true;
}

static size_t matching_pods(const struct node_pods *pods, const struct sched_pod *pod, const struct selector *sel)
{
        size_t n = 0;

        for (size_t i = 0; i < pods->n; i++)
                n += !pods->list[i]->deleting && streq(pods->list[i]->namespace, pod->namespace) &&
                     selector_matches(sel, pods->list[i]->labels);
        return n;
}

static void prepare_spread(struct filter_state *f)
{
        const struct sched_snapshot *s = f->snapshot;

        f->spread = arena_calloc(f->arena, (f->pod->n_spread + 1) * sizeof(*f->spread));
        for (size_t k = 0; k < f->pod->n_spread; k++) {
                const struct spread_constraint *c = &f->pod->spread[k];
                struct spread_state *state = &f->spread[k];
                struct map_entry *e;

                if (!c->hard)
                        continue;
                state->self = selector_matches(&c->selector, f->pod->labels);
                for (size_t i = 0; i < s->n; i++) {
                        const char *domain = domain_of(&s->nodes[i], c->topology_key);
                        intptr_t before;

                        if (!counts_for(f->pod, c, &s->nodes[i]))
                                continue;
                        before = (intptr_t)map_get(&state->domains, domain);
                        map_put(&state->domains, domain,
                                (void *)((before ? before : 1) +
                                         (intptr_t)matching_pods(&s->nodes[i].pods, f->pod, &c->selector)));
                }
                state->n_domains = state->domains.n;
                state->least = INT64_MAX;
                map_foreach(&state->domains, e)
                        state->least = MIN(state->least, (int64_t)(intptr_t)e->value - 1);
                if ((int64_t)state->n_domains < c->min_domains || !state->n_domains)
                        state->least = 0;
        }
}

static bool topology_spread(const struct filter_state *f, size_t i, struct verdict *v)
{
        const struct node_info *node = &f->snapshot->nodes[i];

        for (size_t k = 0; k < f->pod->n_spread; k++) {
                const struct spread_constraint *c = &f->pod->spread[k];
                const char *domain = domain_of(node, c->topology_key);
                int64_t here;

                if (!c->hard)
                        continue;
                if (!domain)
                        return reject(v, "node(s) didn't match pod topology spread constraints (missing required label)", true,
                                      WAKE_NODE);
                here = (int64_t)(intptr_t)map_get(&f->spread[k].domains, domain);
                here = here ? here - 1 : 0;
                if (here + f->spread[k].self - f->spread[k].least > c->max_skew)
                        return reject(v, "node(s) didn't match pod topology spread constraints", false,
                                      WAKE_NODE | WAKE_POD_GONE | WAKE_POD_NEW);
        }
        return true;
}

/* --- pod affinity --- */

bool affinity_term_matches(const struct sched_snapshot *s, const struct affinity_term *term, const struct sched_pod *other)
{
        bool namespace = term->all_namespaces;

        for (size_t i = 0; !namespace && i < term->n_namespaces; i++)
                namespace = streq(term->namespaces[i], other->namespace);
        if (!namespace && term->has_namespace_selector && s->namespace_labels)
                namespace = selector_matches(&term->namespace_selector, s->namespace_labels(other->namespace, s->userdata));
        return namespace && selector_matches(&term->selector, other->labels);
}

static bool matches_all_terms(const struct filter_state *f, const struct sched_pod *other)
{
        for (size_t t = 0; t < f->pod->n_affinity; t++)
                if (!affinity_term_matches(f->snapshot, &f->pod->affinity[t], other))
                        return false;
        return true;
}

/* Which domains hold pods that this pod wants to be with. */
static void prepare_affinity(struct filter_state *f)
{
        const struct sched_snapshot *s = f->snapshot;

        if (!f->pod->n_affinity)
                return;
        f->affinity_domains = arena_calloc(f->arena, f->pod->n_affinity * sizeof(*f->affinity_domains));
        for (size_t i = 0; i < s->n; i++) {
                const struct node_info *node = &s->nodes[i];

                for (size_t k = 0; k < node->pods.n; k++) {
                        if (!matches_all_terms(f, node->pods.list[k]))
                                continue;
                        f->n_affinity_matches++;
                        for (size_t t = 0; t < f->pod->n_affinity; t++) {
                                const char *domain = domain_of(node, f->pod->affinity[t].topology_key);

                                if (domain)
                                        map_put(&f->affinity_domains[t], domain, (void *)1);
                        }
                }
        }
        f->affinity_first = !f->n_affinity_matches && matches_all_terms(f, f->pod);
}

static bool wants_together(const struct filter_state *f, size_t i)
{
        for (size_t t = 0; t < f->pod->n_affinity; t++) {
                const char *domain = domain_of(&f->snapshot->nodes[i], f->pod->affinity[t].topology_key);

                if (!domain || (!f->affinity_first && !map_has(&f->affinity_domains[t], domain)))
                        return false;
        }
        return true;
}

/* Is there a pod that TERM (of OWNER's) speaks against in the domain of node I? */
static bool any_in_domain(const struct filter_state *f, const struct affinity_term *term, size_t i)
{
        const struct sched_snapshot *s = f->snapshot;
        const char *domain = domain_of(&s->nodes[i], term->topology_key);

        for (size_t n = 0; domain && n < s->n; n++) {
                const struct node_pods *pods = &s->nodes[n].pods;

                if (!pods->n || !streq(domain, domain_of(&s->nodes[n], term->topology_key)))
                        continue;
                for (size_t k = 0; k < pods->n; k++)
                        if (affinity_term_matches(s, term, pods->list[k]))
                                return true;
        }
        return false;
}

/* Do pods that are there already refuse this one as a neighbour? */
static bool refused_by_others(const struct filter_state *f, size_t i)
{
        const struct sched_snapshot *s = f->snapshot;

        for (size_t n = 0; s->n_anti && n < s->n; n++) {
                const struct node_info *node = &s->nodes[n];

                for (size_t k = 0; node->n_anti && k < node->pods.n; k++) {
                        const struct sched_pod *other = node->pods.list[k];

                        for (size_t t = 0; t < other->n_anti; t++) {
                                const char *domain = domain_of(node, other->anti[t].topology_key);

                                if (domain && streq(domain, domain_of(&s->nodes[i], other->anti[t].topology_key)) &&
                                    affinity_term_matches(s, &other->anti[t], f->pod))
                                        return true;
                        }
                }
        }
        return false;
}

static bool pod_affinity(const struct filter_state *f, size_t i, struct verdict *v)
{
        if (!wants_together(f, i))
                return reject(v, "node(s) didn't match pod affinity rules", true, WAKE_NODE | WAKE_POD_NEW);
        for (size_t t = 0; t < f->pod->n_anti; t++)
                if (any_in_domain(f, &f->pod->anti[t], i))
                        return reject(v, "node(s) didn't match pod anti-affinity rules", false,
                                      WAKE_NODE | WAKE_POD_GONE | WAKE_POD_NEW);
        if (refused_by_others(f, i))
                return reject(v, "node(s) didn't satisfy existing pods anti-affinity rules", false,
                              WAKE_NODE | WAKE_POD_GONE | WAKE_POD_NEW);
        return true;
}

/* --- all of them, in upstream's order: the first that rejects speaks --- */

static const struct filter {
        const char *name;
        bool (*fn)(const struct filter_state *f, size_t node, struct verdict *v);
} filters[] = {
        { "NodeUnschedulable", node_unschedulable },
        { "TaintToleration", taint_toleration },
        { "NodeAffinity", node_affinity },
        { "NodePorts", node_ports },
        { "NodeResourcesFit", resources_fit },
        { "VolumeRestrictions", volume_restrictions },
        { "VolumeBinding", volume_binding },
        { "PodTopologySpread", topology_spread },
        { "InterPodAffinity", pod_affinity },
};

void filter_prepare(struct filter_state *f, struct arena *a, const struct sched_snapshot *s, const struct sched_pod *pod)
{
        *f = (struct filter_state){ .arena = a, .snapshot = s, .pod = pod };
        prepare_claims(f);
        prepare_spread(f);
        prepare_affinity(f);
}

void filter_release(struct filter_state *f)
{
        for (size_t i = 0; i < f->pod->n_spread; i++)
                map_deinit(&f->spread[i].domains);
        for (size_t i = 0; f->affinity_domains && i < f->pod->n_affinity; i++)
                map_deinit(&f->affinity_domains[i]);
}

bool filter_node(const struct filter_state *f, size_t node, struct verdict *ret)
{
        *ret = (struct verdict){ .n = 0 };
        for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
                if (!filters[i].fn(f, node, ret))
                        return false;
        return true;
}
