/* The hash map: open addressing, linear probing, tombstones that a rehash sweeps out. */
#include "map.h"

/* A slot whose entry was deleted: probing goes on past it. */
static char tombstone[] = "";

uint32_t hash_bytes(const void *data, size_t len)
{
        const unsigned char *p = data;
        uint32_t h = 2166136261u;

        for (size_t i = 0; i < len; i++)
                h = (h ^ p[i]) * 16777619u;
        return h;
}

void map_init(struct map *m)
{
        *m = (struct map)MAP_INIT;
}

void map_clear(struct map *m)
{
        for (size_t i = 0; i < m->cap; i++)
                if (m->slots[i].key && m->slots[i].key != tombstone)
                        free(m->slots[i].key);
        free(m->slots);
        map_init(m);
}

void map_deinit(struct map *m)
{
        map_clear(m);
}

static struct map_entry *find(const struct map *m, const char *key, uint32_t hash)
{
        if (!m->cap)
                return NULL;
        for (size_t i = hash & (m->cap - 1); m->slots[i].key; i = (i + 1) & (m->cap - 1)) {
                struct map_entry *e = &m->slots[i];

                if (e->key != tombstone && e->hash == hash && strcmp(e->key, key) == 0)
                        return e;
        }
        return NULL;
}

/* Where a key that is not there would go. */
static struct map_entry *free_slot(struct map *m, uint32_t hash)
{
        size_t i = hash & (m->cap - 1);

        while (m->slots[i].key && m->slots[i].key != tombstone)
                i = (i + 1) & (m->cap - 1);
        return &m->slots[i];
}

static void rehash(struct map *m)
{
        struct map old = *m;

        m->cap = 8;
        while (m->cap < (old.n + 1) * 2)
                m->cap *= 2;
        m->slots = xcalloc(m->cap, sizeof(*m->slots));
        m->used = m->n;
        for (size_t i = 0; i < old.cap; i++)
                if (old.slots[i].key && old.slots[i].key != tombstone)
                        *free_slot(m, old.slots[i].hash) = old.slots[i];
        free(old.slots);
}

void *map_get(const struct map *m, const char *key)
{
        struct map_entry *e = m->n ? find(m, key, hash_bytes(key, strlen(key))) : NULL;

        return e ? e->value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
        return m->n && find(m, key, hash_bytes(key, strlen(key)));
}

void *map_put(struct map *m, const char *key, void *value)
{
        uint32_t hash = hash_bytes(key, strlen(key));
        struct map_entry *e = find(m, key, hash);

        if (e) {
                void *old = e->value;

                e->value = value;
                return old;
        }
        if ((m->used + 1) * 4 > m->cap * 3)
                rehash(m);
        e = free_slot(m, hash);
        if (!e->key)
                m->used++;
        *e = (struct map_entry){ .key = xstrdup(key), .value = value, .hash = hash };
        m->n++;
        return NULL;
}

void *map_del(struct map *m, const char *key)
{
        struct map_entry *e = find(m, key, hash_bytes(key, strlen(key)));
        void *value;

        if (!e)
                return NULL;
        value = e->value;
        free(e->key);
        e->key = tombstone;
        e->value = NULL;
        m->n--;
        return value;
}

struct map_entry *map_next(const struct map *m, size_t *pos)
{
        while (*pos < m->cap) {
                struct map_entry *e = &m->slots[(*pos)++];

                if (e->key && e->key != tombstone)
                        return e;
        }
        return NULL;
}
