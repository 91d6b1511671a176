/* Every setting of a cluster: its key in colibri.yaml, its default, its unit and what it is for.
 *
 * One table (settings.c) makes the configuration file that `colibri up` writes, the check for unknown
 * keys, `colibri help settings` and the values that the daemons' command lines are made of.
 */
#pragma once

#include "../lib/base/error.h"
#include "../lib/base/map.h"
#include "../lib/base/strbuf.h"

struct setting {
        const char *key;     /* "apiserver.port": nested in the file */
        const char *value;   /* the default; "{root}" and other keys in braces are filled in */
        const char *unit;    /* "TCP port", "seconds"; "" where there is none */
        const char *help;
};
extern const struct setting settings_table[];
extern const size_t n_settings;

struct settings {
        struct map values;      /* key to owned string, as set or by default, braces not yet filled */
        char *root;             /* "" of the machine's own cluster, else the folder of --root */
};

void settings_init(struct settings *s, const char *root);
void settings_deinit(struct settings *s);
/* Reads a colibri.yaml over the defaults. -EINVAL names the key and the line that is wrong. */
int settings_load(struct settings *s, const char *path, struct error *reterr);
/* -EINVAL: no such key. */
int settings_set(struct settings *s, const char *key, const char *value, struct error *reterr);
/* With braces filled in ("{root}", "{pki}", "{etcd.servers}" and every key); the caller frees; never NULL. */
char *settings_get(const struct settings *s, const char *key);
unsigned settings_get_uint(const struct settings *s, const char *key);
/* TEXT with "{key}" replaced by values; the caller frees. Unknown keys are left as they are. */
char *settings_fill(const struct settings *s, const char *text);
/* The file that a new cluster gets: every setting with its help, commented out unless it was set. */
void settings_template(const struct settings *s, struct strbuf *out);
