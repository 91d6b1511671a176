/* bench-load: requests to an API server, so many at a time, for bench/run, whose Python would keep too few
 * in flight.
 *
 *     bench-load --kubeconfig=FILE --method=M --path=PATH [--body=FILE] --first=N --count=N --at-once=N
 *
 * "@@@@@@" in the path and the body becomes the request's number in six digits. As many requests as there
 * may be at once, with the numbers after the last, open the connections; then it says "ready", waits for a
 * line, and begins. Prints what it took: {"seconds": 1.5, "p50_ms": 3.2, "p99_ms": 8.1}. Any answer but
 * 200 and 201 ends it.
 */
#include <signal.h>
#include <stdio.h>

#include "../lib/base/file.h"
#include "../lib/base/time.h"
#include "../lib/client/client.h"

#define NUMBER "@@@@@@"

static struct {
        struct loop *loop;
        struct client *client;
        const char *method, *path;
        char *body;
        unsigned first, count, next, end, running;
        int64_t *taken;
        char *failure;
} run = {.method = "GET", .count = 1};

/* TEXT with I for each mark, in A. */
static char *number(struct arena *a, const char *text, unsigned i)
{
        char *copy = arena_strdup(a, text), digits[16];

        snprintf(digits, sizeof(digits), "%06u", i);
        for (char *p = copy; p && (p = strstr(p, NUMBER)); p += 6)
                memcpy(p, digits, 6);
        return copy;
}

static void ask(unsigned n)
{
        _cleanup_arena_ struct arena *a = arena_new(16384);
        const char *headers[CLIENT_HEADERS];
        struct http_reply reply = {0};
        struct http_call call = {.method = run.method, .headers = headers};
        _cleanup_error_ struct error err = ERROR_INIT;
        int64_t begin = time_mono();

        call.url = arena_printf(a, "%s%s", client_server(run.client), number(a, run.path, run.first + n));
        call.body = run.body ? number(a, run.body, run.first + n) : NULL;
        call.body_len = call.body ? strlen(call.body) : 0;
        client_headers(run.client, a, run.body ? "application/json" : NULL, NULL, headers);
        if (http_call(client_http(run.client), &call, &reply, &err) < 0)
                run.failure = run.failure ? run.failure : xasprintf("%s: %s", call.url, error_text(&err));
        else if (reply.status != 200 && reply.status != 201)
                run.failure = run.failure ? run.failure
                                          : xasprintf("%s: %u %s", call.url, reply.status, strbuf_str(&reply.body));
        run.taken[n] = time_mono() - begin;
        http_reply_deinit(&reply);
}

static void worker(void *userdata)
{
        while (run.next < run.end && !run.failure)
                ask(run.next++);
        if (--run.running == 0)
                loop_stop(run.loop, 0);
}

/* Requests from run.next to run.end. */
static void run_all(unsigned at_once)
{
        run.running = at_once;
        for (unsigned i = 0; i < at_once; i++)
                fiber_start(run.loop, worker, NULL);
        loop_run(run.loop);
        if (!run.failure)
                return;
        fprintf(stderr, "bench-load: %s\n", run.failure);
        exit(1);
}

static int compare(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return x < y ? -1 : x > y;
}

/* The value of a "--name=value"; NULL: it is another. */
static const char *value_of(const char *arg, const char *name)
{
        size_t n = strlen(name);

        return str_has_prefix(arg, name) && arg[n] == '=' ? arg + n + 1 : NULL;
}

int main(int argc, char **argv)
{
        const char *kubeconfig = "", *body = NULL, *v;
        _cleanup_error_ struct error err = ERROR_INIT;
        unsigned at_once = 1;
        int64_t begin;

        for (int i = 1; i < argc; i++) {
                if ((v = value_of(argv[i], "--kubeconfig")))
                        kubeconfig = v;
                else if ((v = value_of(argv[i], "--method")))
                        run.method = v;
                else if ((v = value_of(argv[i], "--path")))
                        run.path = v;
                else if ((v = value_of(argv[i], "--body")))
                        body = v;
                else if ((v = value_of(argv[i], "--first")))
                        run.first = (unsigned)atoi(v);
                else if ((v = value_of(argv[i], "--count")))
                        run.count = (unsigned)atoi(v);
                else if ((v = value_of(argv[i], "--at-once")))
                        at_once = (unsigned)atoi(v);
                else
                        return fprintf(stderr, "bench-load: unknown flag: %s\n", argv[i]), 2;
        }
        signal(SIGPIPE, SIG_IGN);
        run.loop = loop_new();
        if (!run.path || (body && file_read(body, 0, &run.body, NULL, &err) < 0) ||
            client_new(run.loop, kubeconfig, "bench", &run.client, &err) < 0)
                return fprintf(stderr, "bench-load: %s\n", error_text(&err)), 1;
        run.taken = xcalloc(run.count + at_once, sizeof(*run.taken));
        run.next = run.count;
        run.end = run.count + at_once;
        run_all(at_once);
        puts("ready");
        fflush(stdout);
        getchar();
        run.next = 0;
        run.end = run.count;
        begin = time_mono();
        run_all(at_once);
        qsort(run.taken, run.count, sizeof(*run.taken), compare);
        printf("{\"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", (double)(time_mono() - begin) / 1e9,
               (double)run.taken[run.count / 2] / 1e6, (double)run.taken[run.count * 99 / 100] / 1e6);
        return 0;
}
