/* colibri: the command line. A table of commands, and the options that all of them take. */
#include <stdio.h>

#include "commands.h"

#include "../lib/base/log.h"

static const struct command {
        const char *name;
        int (*run)(struct cluster *c, const char *const *args);
        const char *args, *help; /* help NULL: not for users */
} commands[] = {
        { "up", command_up, "", "start a cluster on this machine, or say that it runs" },
        { "down", command_down, "", "stop it, pods included; data is kept" },
        { "reset", command_reset, "", "stop it and leave nothing of it behind" },
        { "status", command_status, "", "what runs, and what it costs" },
        { "image", command_image, "load|list|rm|pull ...", "the images of this machine" },
        { "supervise", command_supervise, "", NULL },
};

static const struct command *find(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (streq(commands[i].name, name))
                        return &commands[i];
        return NULL;
}

static void usage(FILE *out)
{
        fprintf(out, "colibri: a Kubernetes the size of a hummingbird\n\n");
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (commands[i].help)
                        fprintf(out, "  colibri %-6s %-24s %s\n", commands[i].name, commands[i].args, commands[i].help);
        fprintf(out, "  colibri help settings                   every setting with its default and unit\n\n"
                     "Options:\n"
                     "  --root=DIR          a cluster of its own with all its files under DIR\n"
                     "  --port=N            the API server's port (apiserver.port)\n"
                     "  --components=LIST   which daemons (cluster.components)\n"
                     "  --set KEY=VALUE     any setting\n"
                     "What a cluster's first `up` is told stands in its colibri.yaml; later ones keep to that.\n");
}

static void print_settings(void)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        struct settings s;

        settings_init(&s, "");
        settings_template(&s, &text);
        fputs(strbuf_str(&text), stdout);
        settings_deinit(&s);
}

/* What the command line says, as overrides of settings. */
struct options {
        const char *root;
        const char *overrides[64];
        size_t n;
        char *owned[64];
        const char **args; /* what is no option; NULL-terminated */
};

static bool add_override(struct options *o, const char *key, const char *value)
{
        if (o->n + 1 >= ARRAY_SIZE(o->overrides))
                return false;
        o->owned[o->n] = key ? xasprintf("%s=%s", key, value) : xstrdup(value);
        o->overrides[o->n] = o->owned[o->n];
        o->n++;
        return true;
}

/* One option at argv[*i]; *i moves on when its value is the next word. 1: taken, 0: none of ours, -1: wrong. */
static int parse_option(int argc, char **argv, int *i, struct options *o)
{
        static const struct {
                const char *name, *key; /* key NULL: the value names it */
        } with_setting[] = { { "--port", "apiserver.port" }, { "--components", "cluster.components" }, { "--set", NULL } };
        const char *arg = argv[*i], *eq = strchr(arg, '=');
        _cleanup_free_ char *name = eq ? xstrndup(arg, (size_t)(eq - arg)) : xstrdup(arg);
        const char *value = eq ? eq + 1 : *i + 1 < argc ? argv[*i + 1] : NULL;
        int result = 0;

        if (streq(name, "--root")) {
                o->root = value;
                result = value && *value ? 1 : -1;
        }
        for (size_t k = 0; k < ARRAY_SIZE(with_setting); k++)
                if (streq(name, with_setting[k].name))
                        result = value && add_override(o, with_setting[k].key, value) ? 1 : -1;
        if (result == 1 && !eq)
                ++*i;
        return result;
}

/* Options stand anywhere behind the command, up to a "--"; the rest are its arguments. */
static bool parse(int argc, char **argv, const struct command *command, struct options *o)
{
        size_t n = 0;
        int i = 2;

        o->args = xcalloc((size_t)argc + 1, sizeof(*o->args));
        for (; i < argc && !streq(argv[i], "--"); i++) {
                int r = str_has_prefix(argv[i], "-") ? parse_option(argc, argv, &i, o) : 0;

                if (r < 0) {
                        fprintf(stderr, "colibri: %s wants a value. See `colibri help`.\n", argv[i]);
                        return false;
                }
                if (r == 0 && (str_has_prefix(argv[i], "-") || !*command->args)) {
                        fprintf(stderr, "colibri %s: what is \"%s\"? See `colibri help`.\n", command->name, argv[i]);
                        return false;
                }
                if (r == 0)
                        o->args[n++] = argv[i];
        }
        for (i++; i < argc; i++)
                o->args[n++] = argv[i];
        return true;
}

/* A folder that is not there yet is meant from where we are; `colibri up` makes it. */
static char *absolute(const char *path)
{
        _cleanup_free_ char *here = getcwd(NULL, 0);
        char *real = realpath(path, NULL);

        if (real)
                return real;
        return *path == '/' || !here ? xstrdup(path) : xasprintf("%s/%s", here, path);
}

static int run(const struct command *command, const struct options *o)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_free_ char *root = o->root ? absolute(o->root) : NULL;
        struct cluster c;
        int code;

        if (cluster_open(&c, root, o->overrides, &err) < 0) {
                fprintf(stderr, "colibri: %s\n", error_text(&err));
                return 1;
        }
        code = command->run(&c, o->args);
        cluster_close(&c);
        return code;
}

int main(int argc, char **argv)
{
        struct options o = { 0 };
        const struct command *command = argc > 1 ? find(argv[1]) : NULL;
        int code;

        log_init("supervisor", LOG_LEVEL_INFO);
        if (argc > 2 && streq(argv[1], "help") && streq(argv[2], "settings")) {
                print_settings();
                return 0;
        }
        if (!command) {
                bool help = argc > 1 && (streq(argv[1], "help") || streq(argv[1], "--help") || streq(argv[1], "-h"));

                if (argc > 1 && !help)
                        fprintf(stderr, "colibri: there is no command \"%s\"\n\n", argv[1]);
                usage(help ? stdout : stderr);
                return help ? 0 : 2;
        }
        code = parse(argc, argv, command, &o) ? run(command, &o) : 2;
        free(o.args);
        for (size_t i = 0; i < o.n; i++)
                free(o.owned[i]);
        return code;
}
