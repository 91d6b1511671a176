/* Webhooks and policies that mutate are asked a second time when the object changed after them, if they ask for that. */
#include "rounds.h"

#include "../../lib/json/json.h"

struct rounds *rounds_begin(struct admission_attributes *at, struct rounds **slot)
{
        struct arena *a = at->request->arena;
        struct rounds *rounds = *slot;

        if (!rounds) {
                rounds = *slot = arena_calloc(a, sizeof(*rounds));
                rounds->called = json_new_array(a);
                rounds->again = json_new_array(a);
        }
        if (at->reinvoking && at->object && rounds->left != json_hash(at->object))
                rounds_changed(at, rounds);
        return rounds;
}

bool rounds_due(const struct admission_attributes *at, const struct rounds *rounds, const char *uid)
{
        if (!at->reinvoking)
                return true;
        json_foreach_item(rounds->again, s)
                if (streq(json_string(s), uid))
                        return true;
        return false;
}

void rounds_changed(struct admission_attributes *at, struct rounds *rounds)
{
        json_foreach_item(rounds->called, uid)
                json_append(at->request->arena, rounds->again, uid);
        rounds->called = json_new_array(at->request->arena);
}

void rounds_end(struct admission_attributes *at, struct rounds *rounds)
{
        if (at->object && json_len(rounds->called)) /* else nobody asks for it, as with most objects */
                rounds->left = json_hash(at->object);
}
