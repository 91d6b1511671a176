/* What spec.podFailurePolicy makes of a failed pod, and when spec.successPolicy is met. The first rule
 * that matches decides; a pod that none matches counts as failed. */
#include "job.h"

static bool code_matches(const struct json *rule, int64_t code)
{
        bool in = false;

        json_foreach_item(json_get(rule, "values"), v) {
                int64_t wanted;

                in |= json_to_int(v, &wanted) == 0 && wanted == code;
        }
        return streq(json_get_string(rule, "operator"), "NotIn") ? !in : in;
}

static const struct json *match_container(const struct json *statuses, const struct json *rule)
{
        const char *name = json_get_string(rule, "containerName");

        json_foreach_item(statuses, c) {
                const struct json *ended = json_path(c, "state.terminated");
                int64_t code = json_get_int(ended, "exitCode", 0);

                if (ended && code && (!name || streq(name, json_get_string(c, "name"))) && code_matches(rule, code))
                        return c;
        }
        return NULL;
}

static const struct json *match_exit_codes(const struct json *pod, const struct json *rule)
{
        const struct json *c = match_container(json_path(pod, "status.containerStatuses"), rule);

        return c ? c : match_container(json_path(pod, "status.initContainerStatuses"), rule);
}

static const struct json *match_conditions(const struct json *pod, const struct json *patterns)
{
        json_foreach_item(json_path(pod, "status.conditions"), c) {
                json_foreach_item(patterns, p) {
                        const char *status = json_get_string(p, "status");

                        if (streq(json_get_string(c, "type"), json_get_string(p, "type")) &&
                            streq(json_get_string(c, "status"), status ? status : "True"))
                                return c;
                }
        }
        return NULL;
}

static enum job_action action_of(const char *name)
{
        if (streq(name, "Ignore"))
                return JOB_IGNORE;
        if (streq(name, "FailIndex"))
                return JOB_FAIL_INDEX;
        return streq(name, "FailJob") ? JOB_FAIL_JOB : JOB_COUNT;
}

enum job_action job_failure_action(struct arena *a, const struct json *job, const struct json *pod, const char **ret_message)
{
        const char *ns = object_namespace(pod), *name = object_name(pod);

        json_foreach_item(json_path(job, "spec.podFailurePolicy.rules"), rule) {
                const struct json *codes = json_get(rule, "onExitCodes"), *hit;
                const char *action = json_get_string(rule, "action");

                hit = codes ? match_exit_codes(pod, codes) : match_conditions(pod, json_get(rule, "onPodConditions"));
                if (!hit)
                        continue;
                if (ret_message && codes)
                        *ret_message = arena_printf(
                                a, "Container %s for pod %s/%s failed with exit code %lld matching %s rule at index %zu",
                                json_get_string(hit, "name"), ns, name,
                                (long long)json_path_int(hit, "state.terminated.exitCode", 0), action, rule_i);
                else if (ret_message)
                        *ret_message = arena_printf(a, "Pod %s/%s has condition %s matching %s rule at index %zu", ns, name,
                                                    json_get_string(hit, "type"), action, rule_i);
                return action_of(action);
        }
        return JOB_COUNT;
}

const char *job_success_message(const struct job_round *r)
{
        if (!r->indexed || !r->done.n)
                return NULL;
        json_foreach_item(json_path(r->job, "spec.successPolicy.rules"), rule) {
                const char *text = json_get_string(rule, "succeededIndexes");
                int64_t wanted = json_get_int(rule, "succeededCount", -1), have = index_set_total(&r->done);
                struct index_set among = { 0 };

                if (text) {
                        index_set_parse(r->a, text, r->completions, &among);
                        have = index_set_common(&among, &r->done);
                        if (wanted < 0)
                                wanted = index_set_total(&among);
                }
                if (wanted >= 0 && have >= wanted)
                        return arena_printf(r->a, "Matched rules at index %zu", rule_i);
        }
        return NULL;
}
