/* One pod, one decision: filter, score, choose; or say why not, and who could make room. */
#include "schedule.h"

#include "filter.h"
#include "score.h"

/* --- messages --- */

struct reason_count {
        const char *reason;
        size_t n;
};

struct reasons {
        struct reason_count list[32];
        size_t n;
};

static void add_reason(struct reasons *r, const char *reason)
{
        for (size_t i = 0; i < r->n; i++)
                if (streq(r->list[i].reason, reason)) {
                        r->list[i].n++;
                        return;
                }
        if (r->n < ARRAY_SIZE(r->list))
                r->list[r->n++] = (struct reason_count){ reason, 1 };
}

static int compare_texts(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable." */
static const char *fit_message(struct arena *a, const struct sched_snapshot *s, const struct reasons *r)
{
        const char *texts[ARRAY_SIZE(r->list)], *message;

        for (size_t i = 0; i < r->n; i++)
                texts[i] = arena_printf(a, "%zu %s", r->list[i].n, r->list[i].reason);
        qsort(texts, r->n, sizeof(*texts), compare_texts);
        message = arena_printf(a, "0/%zu nodes are available:", s->n_present);
        for (size_t i = 0; i < r->n; i++)
                message = arena_printf(a, "%s %s%s", message, texts[i], i + 1 < r->n ? "," : ".");
        return message;
}

/* --- preemption --- */

static int by_importance(const void *x, const void *y)
{
        const struct sched_pod *p = *(const struct sched_pod *const *)x, *q = *(const struct sched_pod *const *)y;

        if (p->priority != q->priority)
                return p->priority > q->priority ? -1 : 1;
        return p->start_ns < q->start_ns ? -1 : p->start_ns > q->start_ns;
}

static bool fits_now(struct arena *a, struct sched_snapshot *s, const struct sched_pod *pod, size_t node)
{
        struct filter_state f;
        struct verdict v;
        bool fits;

        filter_prepare(&f, a, s, pod);
        fits = filter_node(&f, node, &v);
        filter_release(&f);
        return fits;
}

/* Takes all pods of lower priority away, and puts back, the most important first, those that can
 * stay. The snapshot is as before when it returns. False: it would not fit even so. */
static bool find_victims(struct arena *a, struct sched_snapshot *s, const struct sched_pod *pod, size_t node,
                         const struct sched_pod ***ret, size_t *ret_n)
{
        const struct node_pods *pods = &s->nodes[node].pods;
        const char *name = s->nodes[node].name;
        const struct sched_pod **lower = arena_alloc(a, (pods->n + 1) * sizeof(*lower));
        const struct sched_pod **victims = arena_alloc(a, (pods->n + 1) * sizeof(*victims));
        size_t n = 0, n_victims = 0;
        bool fits;

        for (size_t i = 0; i < pods->n; i++)
                if (pods->list[i]->priority < pod->priority)
                        lower[n++] = pods->list[i];
        for (size_t i = 0; i < n; i++)
                sched_snapshot_remove_pod(s, lower[i], name);
        fits = n && fits_now(a, s, pod, node);
        qsort(lower, n, sizeof(*lower), by_importance);
        for (size_t i = 0; i < n; i++) {
                sched_snapshot_add_pod(s, lower[i], name);
                if (!fits || fits_now(a, s, pod, node))
                        continue;
                sched_snapshot_remove_pod(s, lower[i], name);
                victims[n_victims++] = lower[i];
        }
        for (size_t i = 0; i < n_victims; i++)
                sched_snapshot_add_pod(s, victims[i], name);
        *ret = victims;
        *ret_n = n_victims;
        return fits;
}

/* Upstream's order: the lowest highest priority, the least sum, the fewest, the latest start. */
static bool cheaper(const struct sched_pod **x, size_t nx, const struct sched_pod **y, size_t ny)
{
        int64_t sum_x = 0, sum_y = 0;

        if (x[0]->priority != y[0]->priority)
                return x[0]->priority < y[0]->priority;
        for (size_t i = 0; i < nx; i++)
                sum_x += x[i]->priority + (INT64_C(1) << 31);
        for (size_t i = 0; i < ny; i++)
                sum_y += y[i]->priority + (INT64_C(1) << 31);
        if (sum_x != sum_y)
                return sum_x < sum_y;
        return nx != ny ? nx < ny : x[0]->start_ns > y[0]->start_ns;
}

/* A nominated pod whose victims are still ending must wait for them, not take more. */
static bool waits_for_victims(const struct sched_snapshot *s, const struct sched_pod *pod)
{
        const char *nominated = json_path_string(pod->json, "status.nominatedNodeName");
        ssize_t i = str_empty(nominated) ? -1 : sched_snapshot_node(s, nominated);

        for (size_t k = 0; i >= 0 && k < s->nodes[i].pods.n; k++)
                if (s->nodes[i].pods.list[k]->deleting && s->nodes[i].pods.list[k]->priority < pod->priority)
                        return true;
        return false;
}

/* UNRESOLVABLE: by node. Fills in nominated and victims, or returns what to add to the message. */
static const char *preempt(struct arena *a, struct sched_snapshot *s, const struct sched_pod *pod, const bool *unresolvable,
                           struct decision *ret)
{
        static const char prefix[] = "no new claims to deallocate, preemption: ";
        struct reasons why = { .n = 0 };

        if (pod->never_preempts)
                return arena_printf(a, "%snot eligible due to preemptionPolicy=Never.", prefix);
        if (waits_for_victims(s, pod))
                return arena_printf(a, "%snot eligible due to a terminating pod on the nominated node.", prefix);
        for (size_t i = 0; i < s->n; i++) {
                const struct sched_pod **victims;
                size_t n;

                if (!s->nodes[i].present)
                        continue;
                if (unresolvable[i]) {
                        add_reason(&why, "Preemption is not helpful for scheduling");
                } else if (!find_victims(a, s, pod, i, &victims, &n) || !n) {
                        add_reason(&why, "No preemption victims found for incoming pod");
                } else if (!ret->nominated || cheaper(victims, n, ret->victims, ret->n_victims)) {
                        ret->nominated = arena_strdup(a, s->nodes[i].name);
                        ret->victims = victims;
                        ret->n_victims = n;
                }
        }
        return ret->nominated ? NULL : arena_printf(a, "%s%s", prefix, fit_message(a, s, &why));
}

/* --- the decision --- */

static void choose_volumes(const struct filter_state *f, size_t node, struct decision *ret)
{
        const struct json *taken[16];
        size_t n_taken = 0;

        ret->volumes = arena_calloc(f->arena, (f->n_claims + 1) * sizeof(*ret->volumes));
        for (size_t i = 0; i < f->n_claims; i++) {
                const struct json *pv;

                if (f->claims[i].volume)
                        continue;
                pv = volume_for_claim(f, &f->claims[i], node, taken, n_taken);
                if (pv && n_taken < ARRAY_SIZE(taken))
                        taken[n_taken++] = pv;
                ret->volumes[ret->n_volumes++] = (struct volume_choice){ f->claims[i].name, pv };
        }
}

static void choose(const struct filter_state *f, const size_t *fitting, size_t n, uint64_t seed, struct decision *ret)
{
        int64_t *scores = arena_alloc(f->arena, n * sizeof(*scores)), best = INT64_MIN;
        const char *nominated = json_path_string(f->pod->json, "status.nominatedNodeName");
        size_t ties = 0, chosen = 0;

        score_nodes(f, fitting, n, scores);
        for (size_t k = 0; k < n; k++) {
                if (streq(f->snapshot->nodes[fitting[k]].name, nominated))
                        scores[k] = INT64_MAX; /* room was made for it there */
                if (scores[k] > best) {
                        best = scores[k];
                        chosen = k;
                        ties = 1;
                } else if (scores[k] == best) {
                        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                        if ((seed >> 33) % ++ties == 0)
                                chosen = k;
                }
        }
        ret->result = SCHEDULE_OK;
        ret->node = fitting[chosen];
        choose_volumes(f, ret->node, ret);
}

void schedule(struct arena *a, struct sched_snapshot *s, const struct sched_pod *pod, uint64_t seed, struct decision *ret)
{
        bool *unresolvable = arena_calloc(a, s->n + 1);
        size_t *fitting = arena_alloc(a, (s->n + 1) * sizeof(*fitting)), n = 0;
        struct reasons why = { .n = 0 };
        struct filter_state f;
        const char *more;

        *ret = (struct decision){ .result = SCHEDULE_UNSCHEDULABLE, .wake = WAKE_NODE };
        if (!s->n_present) {
                ret->message = "no nodes available to schedule pods";
                return;
        }
        filter_prepare(&f, a, s, pod);
        if (f.rejected) {
                ret->message = arena_printf(a, "0/%zu nodes are available: %s. not found", s->n_present, f.rejected);
                ret->wake = f.rejected_wake;
                filter_release(&f);
                return;
        }
        for (size_t i = 0; i < s->n; i++) {
                struct verdict v;

                if (!s->nodes[i].present)
                        continue;
                if (filter_node(&f, i, &v)) {
                        fitting[n++] = i;
                        continue;
                }
                unresolvable[i] = v.unresolvable;
                ret->wake |= v.wake;
                for (size_t k = 0; k < v.n; k++)
                        add_reason(&why, v.reasons[k]);
        }
        if (n)
                choose(&f, fitting, n, seed, ret);
        filter_release(&f);
        if (n)
                return;
        ret->message = fit_message(a, s, &why);
        more = preempt(a, s, pod, unresolvable, ret);
        if (more)
                ret->message = arena_printf(a, "%s %s", ret->message, more);
}
