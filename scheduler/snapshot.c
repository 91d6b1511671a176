/* Nodes as columns: see snapshot.h. */
#include "snapshot.h"

#include "../lib/meta/quantity.h"

void sched_snapshot_init(struct sched_snapshot *s)
{
        *s = (struct sched_snapshot){ .by_name = MAP_INIT };
        resource_id("cpu");
}

void sched_snapshot_deinit(struct sched_snapshot *s)
{
        for (size_t i = 0; i < s->n; i++) {
                free(s->nodes[i].name);
                free(s->nodes[i].pods.list);
                free(s->nodes[i].extended_allocatable);
                free(s->nodes[i].extended_used);
        }
        for (int r = 0; r < RES_FIXED; r++) {
                free(s->allocatable[r]);
                free(s->used[r]);
        }
        free(s->score_used_cpu);
        free(s->score_used_memory);
        free(s->max_pods);
        free(s->nodes);
        map_deinit(&s->by_name);
}

ssize_t sched_snapshot_node(const struct sched_snapshot *s, const char *name)
{
        return (ssize_t)(intptr_t)map_get(&s->by_name, name) - 1;
}

static void grow_column(int64_t **column, size_t cap)
{
        *column = xrealloc(*column, cap * sizeof(**column));
}

static size_t ensure_node(struct sched_snapshot *s, const char *name)
{
        ssize_t i = sched_snapshot_node(s, name);

        if (i >= 0)
                return (size_t)i;
        if (s->n == s->cap) {
                array_reserve(s->nodes, s->cap, s->n + 1);
                for (int r = 0; r < RES_FIXED; r++) {
                        grow_column(&s->allocatable[r], s->cap);
                        grow_column(&s->used[r], s->cap);
                }
                grow_column(&s->score_used_cpu, s->cap);
                grow_column(&s->score_used_memory, s->cap);
                grow_column(&s->max_pods, s->cap);
        }
        i = (ssize_t)s->n++;
        s->nodes[i] = (struct node_info){ .name = xstrdup(name) };
        for (int r = 0; r < RES_FIXED; r++)
                s->allocatable[r][i] = s->used[r][i] = 0;
        s->score_used_cpu[i] = s->score_used_memory[i] = s->max_pods[i] = 0;
        map_put(&s->by_name, name, (void *)(intptr_t)(i + 1));
        return (size_t)i;
}

static void ensure_extended(struct node_info *node, size_t n)
{
        if (n <= node->n_extended)
                return;
        node->extended_allocatable = xrealloc(node->extended_allocatable, n * sizeof(int64_t));
        node->extended_used = xrealloc(node->extended_used, n * sizeof(int64_t));
        for (; node->n_extended < n; node->n_extended++)
                node->extended_allocatable[node->n_extended] = node->extended_used[node->n_extended] = 0;
}

static int64_t amount(unsigned resource, const struct json *text)
{
        struct quantity q;

        if (!json_string(text) || quantity_parse(json_string(text), &q) < 0)
                return 0;
        return resource == RES_CPU ? quantity_milli(&q) : quantity_value(&q);
}

void sched_snapshot_set_node(struct sched_snapshot *s, const struct json *object)
{
        size_t i = ensure_node(s, json_path_string(object, "metadata.name"));
        const struct json *allocatable = json_path(object, "status.allocatable");
        struct node_info *node = &s->nodes[i];

        s->n_present += !node->present;
        node->present = true;
        node->unschedulable = json_path_bool(object, "spec.unschedulable", false);
        node->labels = json_path(object, "metadata.labels");
        node->taints = json_path(object, "spec.taints");
        node->images = json_path(object, "status.images");
        for (unsigned r = 0; r < RES_FIXED; r++)
                s->allocatable[r][i] = amount(r, json_get(allocatable, resource_name(r)));
        s->max_pods[i] = amount(RES_FIXED, json_get(allocatable, "pods"));
        for (size_t k = 0; k < node->n_extended; k++)
                node->extended_allocatable[k] = 0;
        json_foreach_member(allocatable, m)
        {
                unsigned r = resource_id(m->key);

                if (r < RES_FIXED || streq(m->key, "pods"))
                        continue;
                ensure_extended(node, r - RES_FIXED + 1);
                node->extended_allocatable[r - RES_FIXED] = amount(r, m->value);
        }
}

void sched_snapshot_remove_node(struct sched_snapshot *s, const char *name)
{
        ssize_t i = sched_snapshot_node(s, name);

        if (i < 0 || !s->nodes[i].present)
                return;
        s->n_present--;
        s->nodes[i].present = false;
        s->nodes[i].labels = s->nodes[i].taints = s->nodes[i].images = NULL;
}

static void count(struct sched_snapshot *s, size_t i, const struct sched_pod *pod, int sign)
{
        struct node_info *node = &s->nodes[i];

        for (size_t k = 0; k < pod->n_requests; k++) {
                unsigned r = pod->requests[k].resource;

                if (r < RES_FIXED) {
                        s->used[r][i] += sign * pod->requests[k].amount;
                } else {
                        ensure_extended(node, r - RES_FIXED + 1);
                        node->extended_used[r - RES_FIXED] += sign * pod->requests[k].amount;
                }
        }
        s->score_used_cpu[i] += sign * pod->score_cpu;
        s->score_used_memory[i] += sign * pod->score_memory;
        if (pod->n_anti) {
                node->n_anti += sign;
                s->n_anti += sign;
        }
}

void sched_snapshot_add_pod(struct sched_snapshot *s, const struct sched_pod *pod, const char *name)
{
        size_t i = ensure_node(s, name);
        struct node_pods *pods = &s->nodes[i].pods;

        array_reserve(pods->list, pods->cap, pods->n + 1);
        pods->list[pods->n++] = pod;
        count(s, i, pod, 1);
}

void sched_snapshot_remove_pod(struct sched_snapshot *s, const struct sched_pod *pod, const char *name)
{
        ssize_t i = sched_snapshot_node(s, name);
        struct node_pods *pods = i < 0 ? NULL : &s->nodes[i].pods;

        for (size_t k = 0; pods && k < pods->n; k++) {
                if (pods->list[k] != pod)
                        continue;
                pods->list[k] = pods->list[--pods->n];
                count(s, (size_t)i, pod, -1);
                return;
        }
}
