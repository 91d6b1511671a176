/* The scores: see score.h. Weights and formulas are upstream's defaults. */
#include "score.h"

#include <math.h>

#define MAX_SCORE 100
#define MB (INT64_C(1024) * 1024)
#define IMAGE_MIN (23 * MB)
#define IMAGE_MAX (1000 * MB)

struct scoring {
        const struct filter_state *f;
        const size_t *nodes;
        size_t n;
        int64_t *raw; /* of the plugin at hand */
};

/* --- how full --- */

static int64_t share_free(int64_t used, int64_t all)
{
        return all <= 0 || used > all ? 0 : (all - used) * MAX_SCORE / all;
}

static void least_allocated(struct scoring *c)
{
        const struct sched_snapshot *s = c->f->snapshot;

        for (size_t k = 0; k < c->n; k++) {
                size_t i = c->nodes[k];

                c->raw[k] = (share_free(s->score_used_cpu[i] + c->f->pod->score_cpu, s->allocatable[RES_CPU][i]) +
                             share_free(s->score_used_memory[i] + c->f->pod->score_memory, s->allocatable[RES_MEMORY][i])) / 2;
        }
}

static double fraction(int64_t used, int64_t all)
{
        return all <= 0 ? 1 : MIN((double)used / (double)all, 1.0);
}

/* The standard deviation of two fractions is half of what lies between them. */
static void balanced(struct scoring *c)
{
        const struct sched_snapshot *s = c->f->snapshot;
        int64_t cpu = sched_pod_request(c->f->pod, RES_CPU), memory = sched_pod_request(c->f->pod, RES_MEMORY);

        for (size_t k = 0; k < c->n; k++) {
                size_t i = c->nodes[k];
                double x = fraction(s->used[RES_CPU][i] + cpu, s->allocatable[RES_CPU][i]);
                double y = fraction(s->used[RES_MEMORY][i] + memory, s->allocatable[RES_MEMORY][i]);

                c->raw[k] = cpu || memory ? (int64_t)((1 - fabs(x - y) / 2) * MAX_SCORE) : 0;
        }
}

/* --- what the pod and the node say of each other --- */

static void normalize(struct scoring *c, bool reverse)
{
        int64_t most = 0;

        for (size_t k = 0; k < c->n; k++)
                most = MAX(most, c->raw[k]);
        for (size_t k = 0; k < c->n; k++) {
                int64_t v = most ? c->raw[k] * MAX_SCORE / most : 0;

                c->raw[k] = reverse ? MAX_SCORE - v : v;
        }
}

static void taints(struct scoring *c)
{
        for (size_t k = 0; k < c->n; k++) {
                const struct node_info *node = &c->f->snapshot->nodes[c->nodes[k]];

                c->raw[k] = 0;
                json_foreach_item(node->taints, taint)
                {
                        struct json one = { .type = JSON_ARRAY, .len = 1, .items = &taint };
                        struct node_info alone = { .taints = &one };

                        c->raw[k] += untolerated_taint(c->f->pod, &alone, "PreferNoSchedule") != NULL;
                }
        }
        normalize(c, true);
}

static void node_preference(struct scoring *c)
{
        const struct sched_pod *pod = c->f->pod;

        for (size_t k = 0; k < c->n; k++) {
                c->raw[k] = 0;
                for (size_t t = 0; t < pod->n_preferred; t++)
                        if (node_term_matches(&pod->preferred[t], &c->f->snapshot->nodes[c->nodes[k]]))
                                c->raw[k] += pod->preferred[t].weight;
        }
        normalize(c, false);
}

static bool node_has_image(const struct node_info *node, const char *name, int64_t *ret_size)
{
        json_foreach_item(json_is_array(node->images) ? node->images : NULL, image)
                json_foreach_item(json_get(image, "names"), n)
                        if (streq(json_string(n), name)) {
                                *ret_size = json_get_int(image, "sizeBytes", 0);
                                return true;
                        }
        return false;
}

static void image_locality(struct scoring *c)
{
        const struct sched_pod *pod = c->f->pod;

        for (size_t k = 0; k < c->n; k++) {
                int64_t sum = 0, size, most = IMAGE_MAX * (int64_t)MAX(pod->n_images, (size_t)1);

                for (size_t i = 0; i < pod->n_images; i++)
                        if (node_has_image(&c->f->snapshot->nodes[c->nodes[k]], pod->images[i], &size))
                                sum += size;
                sum = MIN(MAX(sum, IMAGE_MIN), most);
                c->raw[k] = MAX_SCORE * (sum - IMAGE_MIN) / (most - IMAGE_MIN);
        }
}

/* --- where its like are --- */

static bool alike(const struct sched_pod *x, const struct sched_pod *y)
{
        return x->owner_uid && streq(x->owner_uid, y->owner_uid);
}

static const char *domain_of(const struct node_info *node, const char *key)
{
        return key ? json_get_string(node->labels, key) : NULL;
}

/* The soft constraint C, or (C NULL) upstream's default: pods of one owner over host names. */
static void add_spread(struct scoring *c, const struct spread_constraint *constraint, const char *key, double weight_cap)
{
        const struct sched_snapshot *s = c->f->snapshot;
        struct map counts = MAP_INIT;

        for (size_t i = 0; i < s->n; i++) {
                const char *domain = domain_of(&s->nodes[i], key);
                intptr_t n = 0;

                for (size_t k = 0; domain && k < s->nodes[i].pods.n; k++) {
                        const struct sched_pod *p = s->nodes[i].pods.list[k];

                        if (p->deleting || !streq(p->namespace, c->f->pod->namespace))
                                continue;
                        n += constraint ? selector_matches(&constraint->selector, p->labels) : alike(p, c->f->pod);
                }
                if (domain)
                        map_put(&counts, domain, (void *)((intptr_t)map_get(&counts, domain) + n));
        }
        for (size_t k = 0; k < c->n; k++) {
                const char *domain = domain_of(&s->nodes[c->nodes[k]], key);
                double n = domain ? (double)(intptr_t)map_get(&counts, domain) : 0;

                c->raw[k] += domain ? (int64_t)round(n * log((double)counts.n + 2) + weight_cap - 1) : INT32_MAX;
        }
        map_deinit(&counts);
}

static void spread(struct scoring *c)
{
        const struct sched_pod *pod = c->f->pod;
        int64_t least = INT64_MAX, most = 0;

        memset(c->raw, 0, c->n * sizeof(*c->raw));
        for (size_t i = 0; i < pod->n_spread; i++)
                if (!pod->spread[i].hard)
                        add_spread(c, &pod->spread[i], pod->spread[i].topology_key, (double)pod->spread[i].max_skew);
        if (!pod->n_spread)
                add_spread(c, NULL, "kubernetes.io/hostname", 3);
        for (size_t k = 0; k < c->n; k++) {
                least = MIN(least, c->raw[k]);
                if (c->raw[k] < INT32_MAX)
                        most = MAX(most, c->raw[k]);
        }
        for (size_t k = 0; k < c->n; k++) {
                if (c->raw[k] >= INT32_MAX)
                        c->raw[k] = 0;
                else
                        c->raw[k] = most ? MAX_SCORE * (most + least - c->raw[k]) / most : MAX_SCORE;
        }
}

/* Adds WEIGHT to every node that shares the domain of node I. */
static void add_to_domain(struct scoring *c, size_t i, const char *key, int64_t weight)
{
        const struct sched_snapshot *s = c->f->snapshot;
        const char *domain = domain_of(&s->nodes[i], key);

        for (size_t k = 0; domain && weight && k < c->n; k++)
                if (streq(domain, domain_of(&s->nodes[c->nodes[k]], key)))
                        c->raw[k] += weight;
}

static void terms_towards(struct scoring *c, const struct affinity_term *terms, size_t n, const struct sched_pod *other,
                          size_t node, int64_t sign)
{
        for (size_t t = 0; t < n; t++)
                if (affinity_term_matches(c->f->snapshot, &terms[t], other))
                        add_to_domain(c, node, terms[t].topology_key, sign * (terms[t].weight ? terms[t].weight : 1));
}

static void pod_preference(struct scoring *c)
{
        const struct sched_snapshot *s = c->f->snapshot;
        const struct sched_pod *pod = c->f->pod;
        int64_t least = INT64_MAX, most = INT64_MIN;

        memset(c->raw, 0, c->n * sizeof(*c->raw));
        for (size_t i = 0; i < s->n; i++)
                for (size_t k = 0; k < s->nodes[i].pods.n; k++) {
                        const struct sched_pod *other = s->nodes[i].pods.list[k];

                        terms_towards(c, pod->soft_affinity, pod->n_soft_affinity, other, i, 1);
                        terms_towards(c, pod->soft_anti, pod->n_soft_anti, other, i, -1);
                        terms_towards(c, other->affinity, other->n_affinity, pod, i, 1);
                        terms_towards(c, other->soft_affinity, other->n_soft_affinity, pod, i, 1);
                        terms_towards(c, other->soft_anti, other->n_soft_anti, pod, i, -1);
                }
        for (size_t k = 0; k < c->n; k++) {
                least = MIN(least, c->raw[k]);
                most = MAX(most, c->raw[k]);
        }
        for (size_t k = 0; k < c->n; k++)
                c->raw[k] = most > least ? MAX_SCORE * (c->raw[k] - least) / (most - least) : 0;
}

static const struct score {
        const char *name;
        void (*fn)(struct scoring *c);
        int64_t weight;
} scores[] = {
        { "TaintToleration", taints, 3 },
        { "NodeAffinity", node_preference, 2 },
        { "NodeResourcesFit", least_allocated, 1 },
        { "NodeResourcesBalancedAllocation", balanced, 1 },
        { "PodTopologySpread", spread, 2 },
        { "InterPodAffinity", pod_preference, 2 },
        { "ImageLocality", image_locality, 1 },
};

void score_nodes(const struct filter_state *f, const size_t *nodes, size_t n, int64_t *ret)
{
        struct scoring c = { f, nodes, n, arena_alloc(f->arena, n * sizeof(int64_t)) };

        memset(ret, 0, n * sizeof(*ret));
        for (size_t i = 0; i < ARRAY_SIZE(scores); i++) {
                scores[i].fn(&c);
                for (size_t k = 0; k < n; k++)
                        ret[k] += scores[i].weight * c.raw[k];
        }
}
