/* The life of a pod, played with plain events under a clock of our own.
 *
 * `sim` is a node without a node: it answers each action the way a healthy machine would, unless the
 * test says otherwise, and writes down what was asked for as one line of text. So a test reads as the
 * trace that it expects.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "lifecycle.h"
#include "status.h"

#define T0 (INT64_C(1700000000) * NS_PER_SEC)

struct sim {
        struct arena *a;
        struct lifecycle *lc;
        int64_t now;
        struct strbuf trace;
        unsigned ids;
        const char *missing_image;
};

static void sim_event(struct sim *s, struct pod_event ev);

static void sim_answer(struct sim *s, const struct pod_action *x)
{
        struct pod_event ev = {.container = x->container};
        char id[16];
        snprintf(id, sizeof(id), "id%u", s->ids);
        switch (x->type) {
        case POD_MOUNT_VOLUMES:
                ev.type = POD_EVENT_VOLUMES_READY;
                break;
        case POD_MAKE_SANDBOX:
                ev.type = POD_EVENT_SANDBOX_READY;
                ev.ips[0] = "10.0.0.5";
                break;
        case POD_INSPECT_IMAGE:
                ev.type = s->missing_image && strstr(json_get_string(x->container->spec, "image"), s->missing_image)
                                  ? POD_EVENT_IMAGE_ABSENT
                                  : POD_EVENT_IMAGE_PRESENT;
                break;
        case POD_PULL_IMAGE:
                ev.type = POD_EVENT_IMAGE_FAILED;
                ev.message = "not there";
                break;
        case POD_CREATE:
                s->ids++;
                snprintf(id, sizeof(id), "id%u", s->ids);
                ev.type = POD_EVENT_CREATED;
                ev.id = id;
                ev.image = json_get_string(x->container->spec, "image");
                break;
        case POD_START:
                ev.type = POD_EVENT_STARTED;
                break;
        case POD_POST_START:
                ev.type = POD_EVENT_HOOK_DONE;
                break;
        case POD_STOP:
                ev.type = POD_EVENT_EXITED;
                ev.id = x->container->run.id;
                ev.code = 143;
                break;
        case POD_CLEAN:
                ev.type = POD_EVENT_CLEANED;
                break;
        default:
                return;
        }
        sim_event(s, ev);
}

static void sim_event(struct sim *s, struct pod_event ev)
{
        struct pod_actions out = POD_ACTIONS_INIT;
        ev.now = s->now;
        lifecycle_step(s->lc, &ev, &out);
        for (size_t i = 0; i < out.n; i++) {
                const struct pod_action *x = &out.items[i];
                const char *name = x->container ? x->container->name : "-";
                if (x->type == POD_RECORD)
                        strbuf_printf(&s->trace, "%s:%s ", name, x->reason);
                else if (x->type == POD_START || x->type == POD_STOP || x->type == POD_DELETE)
                        strbuf_printf(&s->trace, "%s:%s ", name, pod_action_name(x->type));
        }
        for (size_t i = 0; i < out.n; i++)
                sim_answer(s, &out.items[i]);
        pod_actions_clear(&out);
}

static struct json *pod_json(struct sim *s, const char *spec)
{
        struct json *pod = NULL;
        char *text = arena_printf(s->a, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"u\",\"generation\":1},\"spec\":%s}", spec);
        assert_int_equal(json_parse(s->a, text, strlen(text), NULL, &pod, NULL), 0);
        return pod;
}

static void sim_start(struct sim *s, const char *spec)
{
        *s = (struct sim){.a = arena_new(0), .lc = lifecycle_new(), .now = T0, .missing_image = s->missing_image};
        sim_event(s, (struct pod_event){.type = POD_EVENT_SPEC, .pod = pod_json(s, spec)});
}

static void sim_exit(struct sim *s, const char *name, int code)
{
        struct lifecycle_container *c = lifecycle_find(s->lc, name);
        sim_event(s, (struct pod_event){.type = POD_EVENT_EXITED, .container = c, .id = c->run.id, .code = code});
}

static void sim_wait(struct sim *s, int64_t seconds)
{
        int64_t until = s->now + seconds * NS_PER_SEC;
        while (s->lc->wake_at && s->lc->wake_at <= until) {
                s->now = MAX(s->now, s->lc->wake_at);
                sim_event(s, (struct pod_event){.type = POD_EVENT_TIMER});
        }
        s->now = until;
}

static void sim_end(struct sim *s)
{
        strbuf_deinit(&s->trace);
        lifecycle_free(s->lc);
        arena_free(s->a);
}

static void expect_trace(struct sim *s, const char *want)
{
        assert_string_equal(strbuf_str(&s->trace), want);
        strbuf_reset(&s->trace);
}

/* What the driver would write last: of a pod that has ended, how its containers ended, then the phase. */
static const struct json *sim_status(struct sim *s)
{
        if (s->lc->phase_held) {
                const struct json *first =
                        status_build(s->a, s->lc, &(struct status_input){.now = s->now, .host_ips = {"192.0.2.1"}});
                assert_string_not_equal(json_path_string(first, "phase"), "Succeeded");
                assert_string_not_equal(json_path_string(first, "phase"), "Failed");
                assert_null(json_get(first, "reason"));
                s->lc->phase_held = false;
        }
        return status_build(s->a, s->lc, &(struct status_input){.now = s->now, .host_ips = {"192.0.2.1"}});
}

#define ONE "{\"restartPolicy\":\"%s\",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}"

static void test_runs(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}");
        expect_trace(&s, "c:Pulled c:Created c:POD_START c:Started ");
        const struct json *st = sim_status(&s);
        assert_string_equal(json_path_string(st, "phase"), "Running");
        assert_string_equal(json_path_string(st, "podIP"), "10.0.0.5");
        assert_true(json_get_bool(json_at(json_get(st, "containerStatuses"), 0), "ready", false));
        sim_end(&s);
}

static void test_crash_loop(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}");
        strbuf_reset(&s.trace);
        sim_exit(&s, "c", 1);
        expect_trace(&s, "c:Pulled c:Created c:POD_START c:Started "); /* the first time at once */
        sim_exit(&s, "c", 1);
        expect_trace(&s, "c:BackOff ");
        const struct json *c = json_at(json_get(sim_status(&s), "containerStatuses"), 0);
        assert_int_equal(json_path_int(c, "state.terminated.exitCode", -1), 1);
        sim_wait(&s, 5);
        c = json_at(json_get(sim_status(&s), "containerStatuses"), 0);
        assert_string_equal(json_path_string(c, "state.waiting.reason"), "CrashLoopBackOff");
        assert_string_equal(json_path_string(c, "state.waiting.message"),
                            "back-off 10s restarting failed container=c pod=p_ns(u)");
        assert_int_equal(json_path_int(c, "lastState.terminated.exitCode", -1), 1);
        sim_wait(&s, 6);
        expect_trace(&s, "c:Pulled c:Created c:POD_START c:Started ");
        assert_int_equal(s.lc->containers[0]->restarts, 2);
        sim_exit(&s, "c", 1);
        expect_trace(&s, "c:BackOff ");
        sim_wait(&s, 19);
        expect_trace(&s, "");
        sim_wait(&s, 2);
        expect_trace(&s, "c:Pulled c:Created c:POD_START c:Started ");
        /* Ten healthy minutes, and the count begins anew. */
        s.now += 1300 * NS_PER_SEC;
        sim_exit(&s, "c", 1);
        expect_trace(&s, "c:Pulled c:Created c:POD_START c:Started ");
        sim_end(&s);
}

static void test_policies(void **state)
{
        static const struct {
                const char *policy;
                int code;
                const char *phase; /* after one exit */
                bool restarts;
        } cases[] = {
                {"Always", 0, "Running", true},     {"Always", 1, "Running", true},
                {"OnFailure", 0, "Succeeded", false}, {"OnFailure", 3, "Running", true},
                {"Never", 0, "Succeeded", false},   {"Never", 1, "Failed", false},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct sim s = {0};
                char spec[256];
                snprintf(spec, sizeof(spec), ONE, cases[i].policy);
                sim_start(&s, spec);
                sim_exit(&s, "c", cases[i].code);
                assert_string_equal(json_path_string(sim_status(&s), "phase"), cases[i].phase);
                assert_int_equal(s.lc->containers[0]->restarts, cases[i].restarts);
                assert_int_equal(s.lc->state == POD_DONE, !cases[i].restarts);
                sim_end(&s);
        }
}

static void test_init_order(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"initContainers\":[{\"name\":\"i1\",\"image\":\"i\"},{\"name\":\"i2\",\"image\":\"i\"}],"
                      "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}");
        expect_trace(&s, "i1:Pulled i1:Created i1:POD_START i1:Started ");
        const struct json *st = sim_status(&s);
        assert_string_equal(json_path_string(json_at(json_get(st, "conditions"), 1), "message"),
                            "containers with incomplete status: [i1 i2]");
        assert_string_equal(json_path_string(st, "phase"), "Pending");
        sim_exit(&s, "i1", 0);
        expect_trace(&s, "i2:Pulled i2:Created i2:POD_START i2:Started ");
        sim_exit(&s, "i2", 0);
        expect_trace(&s, "c:Pulled c:Created c:POD_START c:Started ");
        sim_end(&s);
}

static void test_sidecar_ends_last(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"restartPolicy\":\"Never\",\"initContainers\":[{\"name\":\"side\",\"image\":\"i\",\"restartPolicy\":"
                      "\"Always\"}],\"containers\":[{\"name\":\"main\",\"image\":\"i\"}]}");
        strbuf_reset(&s.trace);
        sim_exit(&s, "main", 0);
        expect_trace(&s, "side:Killing side:POD_STOP ");
        assert_int_equal(s.lc->state, POD_DONE);
        assert_string_equal(json_path_string(sim_status(&s), "phase"), "Succeeded");
        sim_end(&s);
}

static void test_image_missing(void **state)
{
        struct sim s = {.missing_image = "i:1"};
        sim_start(&s, "{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}");
        expect_trace(&s, "c:Pulling c:Failed c:Failed ");
        const struct json *c = json_at(json_get(sim_status(&s), "containerStatuses"), 0);
        assert_string_equal(json_path_string(c, "state.waiting.reason"), "ErrImagePull");
        sim_wait(&s, 2);
        expect_trace(&s, "c:BackOff c:Failed ");
        sim_wait(&s, 12);
        expect_trace(&s, "c:Pulling c:Failed c:Failed ");
        c = json_at(json_get(sim_status(&s), "containerStatuses"), 0);
        assert_string_equal(json_path_string(c, "state.waiting.reason"), "ImagePullBackOff");
        sim_end(&s);
}

static void test_liveness_kills_without_backoff(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"livenessProbe\":{}}]}");
        strbuf_reset(&s.trace);
        for (int i = 0; i < 3; i++) {
                sim_event(&s, (struct pod_event){.type = POD_EVENT_PROBE,
                                                 .container = s.lc->containers[0],
                                                 .probe = PROBE_LIVENESS,
                                                 .success = false});
                expect_trace(&s, "c:Killing c:POD_STOP c:Pulled c:Created c:POD_START c:Started ");
        }
        sim_end(&s);
}

static void test_deletion(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}");
        strbuf_reset(&s.trace);
        struct json *pod = json_clone(s.a, s.lc->pod);
        json_path_set(s.a, pod, "metadata.deletionTimestamp", json_new_string(s.a, "2026-01-01T00:00:00Z"));
        json_path_set(s.a, pod, "metadata.deletionGracePeriodSeconds", json_new_int(s.a, 30));
        sim_event(&s, (struct pod_event){.type = POD_EVENT_SPEC, .pod = pod});
        expect_trace(&s, "c:Killing c:POD_STOP -:POD_DELETE ");
        assert_string_equal(json_path_string(sim_status(&s), "phase"), "Failed");
        sim_event(&s, (struct pod_event){.type = POD_EVENT_REMOVED, .grace_ns = 0});
        assert_int_equal(s.lc->state, POD_GONE);
        sim_end(&s);
}

static void test_deadline(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"activeDeadlineSeconds\":4,\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}");
        strbuf_reset(&s.trace);
        sim_wait(&s, 5);
        expect_trace(&s, "-:DeadlineExceeded c:Killing c:POD_STOP ");
        assert_string_equal(json_path_string(sim_status(&s), "reason"), "DeadlineExceeded");
        sim_end(&s);
}

static void test_late_events_change_nothing(void **state)
{
        struct sim s = {0};
        sim_start(&s, "{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}");
        strbuf_reset(&s.trace);
        struct lifecycle_container *c = s.lc->containers[0];
        sim_event(&s, (struct pod_event){.type = POD_EVENT_EXITED, .container = c, .id = "old", .code = 1});
        sim_event(&s, (struct pod_event){.type = POD_EVENT_IMAGE_PULLED, .container = c});
        assert_int_equal(c->state, CONTAINER_RUNNING);
        expect_trace(&s, "");
        sim_end(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_runs),
                cmocka_unit_test(test_crash_loop),
                cmocka_unit_test(test_policies),
                cmocka_unit_test(test_init_order),
                cmocka_unit_test(test_sidecar_ends_last),
                cmocka_unit_test(test_image_missing),
                cmocka_unit_test(test_liveness_kills_without_backoff),
                cmocka_unit_test(test_deletion),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_late_events_change_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
