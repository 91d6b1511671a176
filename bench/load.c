/* bench-load: requests to an API server, so many at a time, for bench/run, whose Python would keep too few
 * in flight.
 *
 *     bench-load --kubeconfig=FILE --method=M --path=PATH [--body=FILE] --first=N --count=N --at-once=N
 *                [--type=MEDIA-TYPE] [--accept=MEDIA-TYPE] [--read]
 *
 * "@@@@@@" in the path and the body becomes the request's number in six digits. With --read the body is what
 * is there, read beforehand, with another time in the annotation "bench.example/made". As many requests as
 * there may be at once, GETs of the first path, open the connections; then it says "ready", waits for a line,
 * and begins. Prints what it took: {"seconds": 1.5, "p50_ms": 3.2, "p99_ms": 8.1, "bytes": 3512}, the last
 * of an answer. Any answer but 200 and 201 ends it.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/base/time.h"
#include "../lib/client/client.h"

#define NUMBER "@@@@@@"

static struct {
        struct loop *loop;
        struct client *client;
        const char *method, *path, *type, *accept;
        char *body;
        char **read; /* what was there, by request */
        bool opening, reading;
        unsigned first, count, next, end, running;
        int64_t *taken;
        size_t bytes;
        char *failure;
} run = {.method = "GET", .count = 1, .type = "application/json"};

/* TEXT with I for each mark, in A. */
static char *number(struct arena *a, const char *text, unsigned i)
{
        char *copy = arena_strdup(a, text), digits[16];

        snprintf(digits, sizeof(digits), "%06u", i);
        for (char *p = copy; p && (p = strstr(p, NUMBER)); p += 6)
                memcpy(p, digits, 6);
        return copy;
}

/* TEXT with I as the time of its annotation. */
static char *stamp(struct arena *a, const char *text, unsigned i)
{
        static const char name[] = "\"bench.example/made\":\"";
        char *copy = arena_strdup(a, text), *p = strstr(copy, name), digits[32];

        snprintf(digits, sizeof(digits), "%019u", i);
        if (p)
                memcpy(p + sizeof(name) - 1, digits, 19);
        return copy;
}

static void fail(const char *url, const char *why)
{
        if (!run.failure)
                run.failure = xasprintf("%s: %s", url, why);
}

static void ask(unsigned n)
{
        _cleanup_arena_ struct arena *a = arena_new(16384);
        const char *headers[CLIENT_HEADERS];
        struct http_reply reply = {0};
        bool get = run.opening || run.reading;
        struct http_call call = {.method = get ? "GET" : run.method, .headers = headers};
        _cleanup_error_ struct error err = ERROR_INIT;
        int64_t begin = time_mono();

        call.url = arena_printf(a, "%s%s", client_server(run.client),
                                run.opening ? "/readyz" : number(a, run.path, run.first + n));
        if (!get && run.read)
                call.body = stamp(a, run.read[n], (unsigned)getpid() + n + 1);
        else if (!get && run.body)
                call.body = number(a, run.body, run.first + n);
        call.body_len = call.body ? strlen(call.body) : 0;
        client_headers(run.client, a, call.body ? run.type : NULL, run.accept, headers);
        if (http_call(client_http(run.client), &call, &reply, &err) < 0)
                fail(call.url, error_text(&err));
        else if (reply.status != 200 && reply.status != 201)
                fail(call.url, arena_printf(a, "%u %s", reply.status, strbuf_str(&reply.body)));
        else if (run.reading)
                run.read[n] = xstrdup(strbuf_str(&reply.body));
        run.taken[n] = time_mono() - begin;
        run.bytes = reply.body.len;
        http_reply_deinit(&reply);
}

static void worker(void *userdata)
{
        while (run.next < run.end && !run.failure)
                ask(run.next++);
        if (--run.running == 0)
                loop_stop(run.loop, 0);
}

/* The first N requests. */
static void run_all(unsigned at_once, unsigned n)
{
        run.next = 0;
        run.end = n;
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
                else if ((v = value_of(argv[i], "--type")))
                        run.type = v;
                else if ((v = value_of(argv[i], "--accept")))
                        run.accept = v;
                else if (streq(argv[i], "--read"))
                        run.read = xcalloc(1, sizeof(*run.read));
                else
                        return fprintf(stderr, "bench-load: unknown flag: %s\n", argv[i]), 2;
        }
        signal(SIGPIPE, SIG_IGN);
        run.loop = loop_new();
        if (!run.path || (body && file_read(body, 0, &run.body, NULL, &err) < 0) ||
            client_new(run.loop, kubeconfig, "bench", &run.client, &err) < 0)
                return fprintf(stderr, "bench-load: %s\n", error_text(&err)), 1;
        run.taken = xcalloc(run.count + at_once, sizeof(*run.taken));
        run.opening = true;
        run_all(at_once, at_once);
        run.opening = false;
        if (run.read) {
                run.read = xrealloc(run.read, run.count * sizeof(*run.read));
                run.reading = true;
                run_all(at_once, run.count);
                run.reading = false;
        }
        puts("ready");
        fflush(stdout);
        getchar();
        begin = time_mono();
        run_all(at_once, run.count);
        qsort(run.taken, run.count, sizeof(*run.taken), compare);
        printf("{\"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"bytes\": %zu}\n",
               (double)(time_mono() - begin) / 1e9, (double)run.taken[run.count / 2] / 1e6,
               (double)run.taken[run.count * 99 / 100] / 1e6, run.bytes);
        return 0;
}
