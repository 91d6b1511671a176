/* What the images of the end-to-end tests hold: one static program that plays the parts of well-known
 * applications, far enough to see whether a cluster carries them: HTTP in front, names looked up in the
 * cluster's DNS, a store behind. Its first word is its part; as "python3" the script's name is.
 *
 * The store speaks lines: "PUSH list value", "POP list", "ALL list", "SET key value", "GET key". An
 * answer is "+value" or "-why"; ALL answers all values on one line. It keeps them in memory only.
 *
 * Each connection has a thread and carries one request. SIGTERM ends the program after DRAIN seconds in
 * which it still serves, as programs do that know how Services forget their endpoints: late. */
#include <ctype.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DRAIN 2

struct request {
        char method[16], path[1024];
        char *body;
};

/* Two streams on one socket: one stream may not both read and write what cannot seek. */
struct conn {
        FILE *in, *out;
};

/* What a part does with a connection. */
typedef void serve_fn(struct conn *c);

static char **words; /* this program's arguments after its part */

__attribute__((noreturn)) static void die(const char *why)
{
        fprintf(stderr, "standin: %s\n", why);
        exit(1);
}

static void conn_open(struct conn *c, int fd)
{
        c->in = fdopen(fd, "r");
        c->out = fdopen(dup(fd), "w");
}

static void conn_close(struct conn *c)
{
        fclose(c->out);
        fclose(c->in);
}

/* --- the store's client --- */

/* A connection to HOST:PORT, or false, after 3 seconds at most. */
static bool dial(struct conn *c, const char *host, const char *port)
{
        struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *list;
        struct timeval limit = { .tv_sec = 3 };

        if (getaddrinfo(host, port, &hints, &list) != 0)
                return false;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        int r = connect(fd, list->ai_addr, list->ai_addrlen);
        freeaddrinfo(list);
        if (r < 0) {
                close(fd);
                return false;
        }
        conn_open(c, fd);
        return true;
}

/* One line to the store and its answer, without the sign; NULL: it did not work. The caller frees it. */
static char *ask(const char *host, const char *port, const char *line)
{
        char *answer = NULL;
        size_t size = 0;
        struct conn c;

        if (!dial(&c, host, port))
                return NULL;
        fprintf(c.out, "%s\n", line);
        fflush(c.out);
        ssize_t n = getline(&answer, &size, c.in);
        conn_close(&c);
        if (n < 2 || answer[0] != '+') {
                free(answer);
                return NULL;
        }
        answer[n - 1] = '\0';
        memmove(answer, answer + 1, (size_t)n - 1);
        return answer;
}

/* --- HTTP --- */

static bool read_request(struct conn *c, struct request *r)
{
        char line[2048];
        size_t length = 0;

        if (!fgets(line, sizeof(line), c->in) || sscanf(line, "%15s %1023s", r->method, r->path) != 2)
                return false;
        while (fgets(line, sizeof(line), c->in) && line[0] != '\r' && line[0] != '\n')
                if (strncasecmp(line, "Content-Length:", 15) == 0)
                        length = strtoul(line + 15, NULL, 10);
        if (length > 1 << 20)
                return false;
        r->body = calloc(1, length + 1);
        bool whole = fread(r->body, 1, length, c->in) == length;
        for (size_t i = 0; i < length; i++)
                r->body[i] = r->body[i] == '\n' ? ' ' : r->body[i];
        return whole;
}

static void answer(struct conn *c, int status, const char *body)
{
        fprintf(c->out, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                status, status < 300 ? "OK" : "Error", strlen(body) + 1, body);
        fflush(c->out);
}

/* KEY's value in "...?a=b&c=d", up to the next "&"; the caller frees it. */
static char *parameter(const char *path, const char *key)
{
        size_t n = strlen(key);

        for (const char *p = strpbrk(path, "?&"); p; p = strpbrk(p + 1, "&"))
                if (strncmp(p + 1, key, n) == 0 && p[1 + n] == '=')
                        return strndup(p + n + 2, strcspn(p + n + 2, "&"));
        return strdup("");
}

/* --- the recommender: a job that writes a model, a server that answers from it --- */

static void recommender_model(void)
{
        const char *dataset = getenv("DATASET");
        FILE *f = fopen("/data/model.new", "w");

        if (!f || !dataset)
                die("no /data or no DATASET");
        fprintf(f, "model %s of %s", words[0], dataset);
        if (fclose(f) != 0 || rename("/data/model.new", "/data/model") != 0)
                die("cannot write the model");
        printf("model %s written\n", words[0]);
}

static void serve_recommender(struct conn *c)
{
        struct request r = { 0 };
        char model[1024] = "", text[1200];

        if (!read_request(c, &r))
                return;
        FILE *f = fopen("/data/model", "r");
        if (!f || !fgets(model, sizeof(model), f)) {
                answer(c, 503, "no model");
        } else {
                snprintf(text, sizeof(text), "server %s, %s", words[0], model);
                answer(c, 200, text);
        }
        if (f)
                fclose(f);
        free(r.body);
}

/* --- the voting application: vote -> redis -> worker -> db -> result --- */

static void serve_vote(struct conn *c)
{
        struct request r = { 0 };
        char line[64];

        if (!read_request(c, &r))
                return;
        if (strcmp(r.method, "POST") == 0) {
                snprintf(line, sizeof(line), "PUSH votes %.20s", strncmp(r.body, "vote=", 5) == 0 ? r.body + 5 : "?");
                char *said = ask("redis", "6379", line);
                answer(c, said ? 200 : 502, said ? "voted" : "no redis");
                free(said);
        } else {
                answer(c, 200, "Cats vs Dogs!");
        }
        free(r.body);
}

static void leave(int signo)
{
        (void)signo;
        _exit(0);
}

static void worker(void)
{
        char line[256];

        signal(SIGTERM, leave); /* the first process of a namespace has no default action */
        for (;; usleep(100 * 1000)) {
                char *vote = ask("redis", "6379", "POP votes");
                if (!vote || !*vote)
                        continue;
                snprintf(line, sizeof(line), "PUSH votes %.100s", vote);
                for (char *said = NULL; !said; usleep(10 * 1000)) {
                        said = ask("db", "5432", line);
                        free(said);
                }
                free(vote);
        }
}

static void serve_result(struct conn *c)
{
        struct request r = { 0 };

        if (!read_request(c, &r))
                return;
        char *all = ask("db", "5432", "ALL votes");
        answer(c, all ? 200 : 502, all ? all : "no db");
        free(all);
        free(r.body);
}

/* --- the guestbook: writes go to the master, reads to the replicas --- */

static void serve_guestbook(struct conn *c)
{
        struct request r = { 0 };
        char line[600];

        if (!read_request(c, &r))
                return;
        if (strncmp(r.path, "/guestbook.php", 14) != 0) {
                answer(c, 200, "Guestbook");
        } else {
                char *cmd = parameter(r.path, "cmd"), *key = parameter(r.path, "key"), *value = parameter(r.path, "value");
                bool set = strcmp(cmd, "set") == 0;
                snprintf(line, sizeof(line), "%s %.200s %.200s", set ? "SET" : "GET", key, value);
                char *said = ask(set ? "redis-master" : "redis-replica", "6379", line);
                answer(c, said ? 200 : 502, said ? said : "no redis");
                free(cmd), free(key), free(value), free(said);
        }
        free(r.body);
}

/* --- an API in front of a document store, whose address comes in a Secret --- */

/* "mongodb://user:password@host:port/..." */
static void mongo_address(char host[static 256], char port[static 16])
{
        const char *url = getenv("M_CONN_URL");
        const char *at = url ? strchr(url, '@') : NULL;

        if (!at || sscanf(at, "@%255[^:]:%15[0-9]", host, port) != 2)
                die("M_CONN_URL is no address");
}

static void serve_api(struct conn *c)
{
        struct request r = { 0 };
        char host[256], port[16], *line = NULL, *said = NULL;

        if (!read_request(c, &r))
                return;
        mongo_address(host, port);
        if (strcmp(r.method, "POST") == 0) {
                if (asprintf(&line, "PUSH %s %s", getenv("inference_collection_name"), r.body) < 0)
                        die("no memory");
                said = ask(host, port, line);
                answer(c, said ? 201 : 502, said ? said : "no database");
        } else {
                if (asprintf(&line, "ALL %s", getenv("inference_collection_name")) < 0)
                        die("no memory");
                said = ask(host, port, line);
                answer(c, said ? 200 : 502, said ? said : "no database");
        }
        free(line), free(said), free(r.body);
}

static void need(const char *const *names)
{
        for (; *names; names++)
                if (!getenv(*names)) {
                        fprintf(stderr, "standin: %s is not set\n", *names);
                        exit(1);
                }
}

static void api_init(void)
{
        char host[256], port[16], line[600];

        need((const char *const[]){ "BOOTSTRAP_MONGO_USER", "BOOTSTRAP_MONGO_PASSWORD", "user_collection_name", "key",
                                    "algorithm", NULL });
        mongo_address(host, port);
        snprintf(line, sizeof(line), "SET %.200s %.200s", getenv("user_collection_name"), getenv("BOOTSTRAP_MONGO_USER"));
        for (int i = 0; i < 20; i++, usleep(500 * 1000)) {
                char *said = ask(host, port, line);
                if (said) {
                        free(said);
                        return;
                }
        }
        die("no database");
}

/* --- the store --- */

static struct item {
        struct item *next;
        char *key, *value;
} *items; /* newest last, a key may be there more than once */
static pthread_mutex_t items_lock = PTHREAD_MUTEX_INITIALIZER;

static struct item **find(const char *key)
{
        struct item **i = &items;

        while (*i && strcmp((*i)->key, key) != 0)
                i = &(*i)->next;
        return i;
}

static void push(const char *key, const char *value)
{
        struct item **end = &items;

        while (*end)
                end = &(*end)->next;
        *end = calloc(1, sizeof(**end));
        (*end)->key = strdup(key);
        (*end)->value = strdup(value);
}

static void drop(struct item **i)
{
        struct item *gone = *i;

        *i = gone->next;
        free(gone->key), free(gone->value), free(gone);
}

static void run(FILE *out, char *line)
{
        char *rest = line, *verb = strsep(&rest, " "), *key = rest ? strsep(&rest, " ") : NULL;
        struct item **i = key ? find(key) : NULL;

        fputs(key ? "+" : "-what?", out);
        if (!key) {
        } else if (strcmp(verb, "PUSH") == 0) {
                push(key, rest ? rest : "");
                fputs(rest ? rest : "", out);
        } else if (strcmp(verb, "SET") == 0) {
                if (*i)
                        drop(i);
                push(key, rest ? rest : "");
                fputs("OK", out);
        } else if (strcmp(verb, "ALL") == 0) {
                for (struct item *n = items; n; n = n->next)
                        if (strcmp(n->key, key) == 0)
                                fprintf(out, "%s ", n->value);
        } else if (*i) { /* GET and POP */
                fputs((*i)->value, out);
                if (strcmp(verb, "POP") == 0)
                        drop(i);
        }
        fputc('\n', out);
}

static void serve_store(struct conn *c)
{
        char *line = NULL;
        size_t size = 0;
        ssize_t n;

        while ((n = getline(&line, &size, c->in)) > 0) {
                line[n - 1] = '\0';
                pthread_mutex_lock(&items_lock);
                run(c->out, line);
                pthread_mutex_unlock(&items_lock);
                fflush(c->out);
        }
        free(line);
}

/* A replica has no data of its own: every question goes on to the master. */
static void serve_replica(struct conn *c)
{
        char *line = NULL;
        size_t size = 0;
        ssize_t n = getline(&line, &size, c->in);

        if (n > 0) {
                line[n - 1] = '\0';
                char *said = ask(words[0], words[1], line);
                fprintf(c->out, said ? "+%s\n" : "-no master\n", said);
                fflush(c->out);
                free(said);
        }
        free(line);
}

/* --- a client: get HOST PORT PATH --- */

static void get(void)
{
        char line[2048];
        struct conn c;

        if (!dial(&c, words[0], words[1]))
                die("no connection");
        fprintf(c.out, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", words[2], words[0]);
        fflush(c.out);
        while (fgets(line, sizeof(line), c.in))
                fputs(line, stdout);
        conn_close(&c);
}

/* --- connections --- */

static serve_fn *serve_one;

static void *connection(void *fd)
{
        struct conn c;

        conn_open(&c, (int)(long)fd);
        serve_one(&c);
        conn_close(&c);
        return NULL;
}

static void *listener(void *fd)
{
        pthread_t t;

        for (;;) {
                int c = accept4((int)(long)fd, NULL, NULL, SOCK_CLOEXEC);
                if (c >= 0 && pthread_create(&t, NULL, connection, (void *)(long)c) == 0)
                        pthread_detach(t);
                else if (c >= 0)
                        close(c);
        }
        return NULL;
}

static void serve(const char *port, serve_fn *fn)
{
        struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
        sigset_t set;
        pthread_t t;
        int signo, one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        serve_one = fn;
        signal(SIGPIPE, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (getaddrinfo(NULL, port, &hints, &list) != 0 || bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, 511) < 0)
                die("cannot listen");
        printf("serving on port %s\n", port);
        fflush(stdout);
        pthread_create(&t, NULL, listener, (void *)(long)fd);
        sigwait(&set, &signo);
        sleep(DRAIN);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *part, *port;
                serve_fn *serve;
                void (*run)(void);
        } parts[] = {
                { "recommender-model", NULL, NULL, recommender_model },
                { "recommender-server", "52023", serve_recommender, NULL },
                { "vote", "80", serve_vote, NULL },
                { "result", "80", serve_result, NULL },
                { "worker", NULL, NULL, worker },
                { "guestbook", "80", serve_guestbook, NULL },
                { "main.py", "8000", serve_api, NULL },
                { "init.py", NULL, NULL, api_init },
                { "store", NULL, serve_store, NULL },
                { "replica", "6379", serve_replica, NULL },
                { "get", NULL, NULL, get },
        };

        if (argc < 2)
                die("which part?");
        words = argv + 2;
        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
                if (strcmp(parts[i].part, argv[1]) != 0)
                        continue;
                if (parts[i].run)
                        parts[i].run();
                else
                        serve(parts[i].port ? parts[i].port : words[0], parts[i].serve);
                return 0;
        }
        die("no such part");
}
