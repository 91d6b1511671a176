/* Completion indexes of Jobs: sets of them, and how often each has failed.
 *
 * A Job with backoffLimitPerIndex has no place in its status for failures by index: each new pod
 * carries the count of its predecessor in an annotation, and the last failed pod of an index keeps
 * its finalizer until that successor exists, so that the count is never lost.
 */
#include "job.h"

#define FAILURES "batch.kubernetes.io/job-index-failure-count"
#define IGNORED "batch.kubernetes.io/job-index-ignored-failure-count"

/* --- sets --- */

static void insert_range(struct arena *a, struct index_set *s, size_t at, struct index_range range)
{
        if (s->n == s->cap) {
                struct index_range *grown = arena_alloc(a, (s->cap * 2 + 8) * sizeof(*grown));

                if (s->n)
                        memcpy(grown, s->ranges, s->n * sizeof(*grown));
                s->ranges = grown;
                s->cap = s->cap * 2 + 8;
        }
        memmove(&s->ranges[at + 1], &s->ranges[at], (s->n - at) * sizeof(*s->ranges));
        s->ranges[at] = range;
        s->n++;
}

void index_set_add(struct arena *a, struct index_set *s, int64_t first, int64_t last)
{
        size_t from = 0, to;

        while (from < s->n && s->ranges[from].last < first - 1)
                from++;
        /* All that touch the new one become one with it. */
        for (to = from; to < s->n && s->ranges[to].first <= last + 1; to++) {
                first = MIN(first, s->ranges[to].first);
                last = MAX(last, s->ranges[to].last);
        }
        if (to == from) {
                insert_range(a, s, from, (struct index_range){ first, last });
                return;
        }
        s->ranges[from] = (struct index_range){ first, last };
        memmove(&s->ranges[from + 1], &s->ranges[to], (s->n - to) * sizeof(*s->ranges));
        s->n -= to - from - 1;
}

bool index_set_has(const struct index_set *s, int64_t i)
{
        for (size_t k = 0; k < s->n && s->ranges[k].first <= i; k++)
                if (i <= s->ranges[k].last)
                        return true;
        return false;
}

int64_t index_set_total(const struct index_set *s)
{
        int64_t sum = 0;

        for (size_t i = 0; i < s->n; i++)
                sum += s->ranges[i].last - s->ranges[i].first + 1;
        return sum;
}

void index_set_parse(struct arena *a, const char *text, int64_t limit, struct index_set *ret)
{
        while (text && *text) {
                char *end;
                int64_t from = strtoll(text, &end, 10), to = from;

                if (end == text)
                        return;
                if (*end == '-')
                        to = strtoll(end + 1, &end, 10);
                to = MIN(to, limit - 1);
                if (from >= 0 && from <= to)
                        index_set_add(a, ret, from, to);
                text = *end == ',' ? end + 1 : "";
        }
}

const char *index_set_print(struct arena *a, const struct index_set *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < s->n; i++) {
                const struct index_range *x = &s->ranges[i];

                strbuf_printf(&b, "%s%lld", b.len ? "," : "", (long long)x->first);
                if (x->last > x->first)
                        strbuf_printf(&b, "%c%lld", x->last > x->first + 1 ? '-' : ',', (long long)x->last);
        }
        return arena_strdup(a, strbuf_str(&b));
}

int64_t index_set_common(const struct index_set *x, const struct index_set *y)
{
        int64_t sum = 0;

        for (size_t i = 0; i < x->n; i++)
                for (size_t j = 0; j < y->n; j++)
                        sum += MAX(MIN(x->ranges[i].last, y->ranges[j].last) -
                                           MAX(x->ranges[i].first, y->ranges[j].first) + 1,
                                   INT64_C(0));
        return sum;
}

/* --- failures --- */

static int64_t annotated(const struct json *pod, const char *key)
{
        const char *text = object_annotation(pod, key);

        return text ? MAX(strtoll(text, NULL, 10), 0LL) : 0;
}

/* Of the pod's predecessors, whether they counted or were ignored: what the backoff grows by. */
static int64_t all_failures(const struct json *pod)
{
        return annotated(pod, FAILURES) + annotated(pod, IGNORED);
}

static bool has_failed_for_good(const struct job_round *r, const struct json *pod)
{
        enum job_action action = job_failure_action(r->a, r->job, pod, NULL);

        return action == JOB_FAIL_INDEX || (action != JOB_IGNORE && annotated(pod, FAILURES) >= r->per_index);
}

static const struct object *delayed_of(const struct job_round *r, int64_t index)
{
        for (size_t i = 0; i < r->delayed.n; i++)
                if (job_index_of(r, r->delayed.items[i]) == index)
                        return r->delayed.items[i];
        return NULL;
}

static bool is_active_index(const struct job_round *r, int64_t index)
{
        for (size_t i = 0; i < r->active.n; i++)
                if (job_index_of(r, r->active.items[i]) == index)
                        return true;
        return false;
}

/* The one with the most failures behind it carries the count. */
static void delay(struct job_round *r, const struct object *pod)
{
        for (size_t i = 0; i < r->delayed.n; i++) {
                const struct object *other = r->delayed.items[i];

                if (job_index_of(r, other) != job_index_of(r, pod))
                        continue;
                if (all_failures(pod->json) >= all_failures(other->json))
                        r->delayed.items[i] = pod;
                return;
        }
        list_add(r->a, &r->delayed, pod);
}

void job_judge_indexes(struct job_round *r)
{
        for (size_t i = 0; i < r->pods.n; i++) {
                int64_t index = job_index_of(r, r->pods.items[i]);

                if (index >= 0 && job_pod_failed(r, r->pods.items[i]->json) && !index_set_has(&r->done, index) &&
                    has_failed_for_good(r, r->pods.items[i]->json))
                        index_set_add(r->a, &r->failed_indexes, index, index);
        }
        for (size_t i = 0; i < r->pods.n; i++) {
                const struct object *pod = r->pods.items[i];
                int64_t index = job_index_of(r, pod);

                if (index >= 0 && job_pod_failed(r, pod->json) && object_has_finalizer(pod->json, JOB_TRACKING) &&
                    !index_set_has(&r->done, index) && !index_set_has(&r->failed_indexes, index) &&
                    !is_active_index(r, index))
                        delay(r, pod);
        }
}

bool job_is_delayed(const struct job_round *r, const struct object *pod)
{
        for (size_t i = 0; i < r->delayed.n; i++)
                if (r->delayed.items[i] == pod)
                        return true;
        return false;
}

int64_t job_index_wait(const struct job_round *r, int64_t index, const struct object **ret_heir_of)
{
        const struct object *last = delayed_of(r, index);
        int64_t wait;

        *ret_heir_of = last;
        if (!last)
                return 0;
        wait = all_failures(last->json) >= 6 ? JOB_BACKOFF_MAX_NS : JOB_BACKOFF_NS << all_failures(last->json);
        return MAX(job_pod_finished_at(last->json) + wait - r->s->now, INT64_C(0));
}

void job_inherit_failures(const struct job_round *r, struct json *pod, const struct object *heir_of)
{
        int64_t counted = heir_of ? annotated(heir_of->json, FAILURES) : 0;
        int64_t ignored = heir_of ? annotated(heir_of->json, IGNORED) : 0;

        if (heir_of && job_failure_action(r->a, r->job, heir_of->json, NULL) == JOB_IGNORE)
                ignored++;
        else if (heir_of)
                counted++;
        object_set_annotation(r->a, pod, FAILURES, arena_printf(r->a, "%lld", (long long)counted));
        if (ignored)
                object_set_annotation(r->a, pod, IGNORED, arena_printf(r->a, "%lld", (long long)ignored));
}
