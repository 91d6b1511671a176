/* OpenAPI v3 as gnostic's protobuf (openapi.v3.Document), for clients that ask for it.
 *
 * The document is made as JSON and then translated by tables: a message is a list of JSON keys, each with its
 * field number and its form. The numbers are of gnostic's OpenAPIv3.proto. Where that has a choice between a thing
 * and a reference to it (SchemaOrReference ...), `or_reference` says so.
 */
#include "../../lib/base/base.h"
#include "openapi-internal.h"

enum form {
        FORM_STRING,
        FORM_BOOL,
        FORM_NUMBER,
        FORM_INTEGER,
        FORM_STRINGS,
        FORM_ANYS,
        FORM_MESSAGE,
        FORM_MESSAGES,  /* a list of them */
        FORM_MAP,       /* message {repeated Named... {name=1, value=2} = 1} */
        FORM_RESPONSES, /* the same at 2 */
        FORM_ITEMS,     /* ItemsItem {repeated SchemaOrReference = 1} */
        FORM_EITHER,    /* AdditionalPropertiesItem {SchemaOrReference = 1, bool = 2} */
        FORM_DEFAULT,   /* DefaultType {double = 1, bool = 2, string = 3} */
};

struct message {
        const struct key {
                const char *key;
                unsigned field;
                enum form form;
                const struct message *of;
        } *keys; /* up to one without a name */
        unsigned extensions;
        bool or_reference;
};

static const struct message schema = { /* of itself, too */
        .or_reference = true,
        .extensions = 36,
        .keys = (const struct key[]){
                { "nullable", 1, FORM_BOOL },           { "title", 9, FORM_STRING },
                { "multipleOf", 10, FORM_NUMBER },      { "maximum", 11, FORM_NUMBER },
                { "exclusiveMaximum", 12, FORM_BOOL },  { "minimum", 13, FORM_NUMBER },
                { "exclusiveMinimum", 14, FORM_BOOL },  { "maxLength", 15, FORM_INTEGER },
                { "minLength", 16, FORM_INTEGER },      { "pattern", 17, FORM_STRING },
                { "maxItems", 18, FORM_INTEGER },       { "minItems", 19, FORM_INTEGER },
                { "uniqueItems", 20, FORM_BOOL },       { "maxProperties", 21, FORM_INTEGER },
                { "minProperties", 22, FORM_INTEGER },  { "required", 23, FORM_STRINGS },
                { "enum", 24, FORM_ANYS },              { "type", 25, FORM_STRING },
                { "allOf", 26, FORM_MESSAGES, &schema }, { "oneOf", 27, FORM_MESSAGES, &schema },
                { "anyOf", 28, FORM_MESSAGES, &schema }, { "not", 29, FORM_MESSAGE, &schema },
                { "items", 30, FORM_ITEMS, &schema },   { "properties", 31, FORM_MAP, &schema },
                { "additionalProperties", 32, FORM_EITHER, &schema }, { "default", 33, FORM_DEFAULT },
                { "description", 34, FORM_STRING },     { "format", 35, FORM_STRING },
                { NULL },
        },
};

static const struct message media_type = {
        .extensions = 5,
        .keys = (const struct key[]){ { "schema", 1, FORM_MESSAGE, &schema }, { NULL } },
};

static const struct message parameter = {
        .or_reference = true,
        .extensions = 14,
        .keys = (const struct key[]){
                { "name", 1, FORM_STRING }, { "in", 2, FORM_STRING }, { "description", 3, FORM_STRING },
                { "required", 4, FORM_BOOL }, { "schema", 10, FORM_MESSAGE, &schema }, { NULL },
        },
};

static const struct message request_body = {
        .or_reference = true,
        .extensions = 4,
        .keys = (const struct key[]){
                { "description", 1, FORM_STRING }, { "content", 2, FORM_MAP, &media_type }, { "required", 3, FORM_BOOL },
                { NULL },
        },
};

static const struct message response = {
        .or_reference = true,
        .extensions = 5,
        .keys = (const struct key[]){ { "description", 1, FORM_STRING }, { "content", 3, FORM_MAP, &media_type }, { NULL } },
};

static const struct message operation = {
        .extensions = 13,
        .keys = (const struct key[]){
                { "tags", 1, FORM_STRINGS }, { "description", 3, FORM_STRING }, { "operationId", 5, FORM_STRING },
                { "parameters", 6, FORM_MESSAGES, &parameter }, { "requestBody", 7, FORM_MESSAGE, &request_body },
                { "responses", 8, FORM_RESPONSES, &response }, { NULL },
        },
};

static const struct message path_item = {
        .extensions = 14,
        .keys = (const struct key[]){
                { "get", 4, FORM_MESSAGE, &operation }, { "put", 5, FORM_MESSAGE, &operation },
                { "post", 6, FORM_MESSAGE, &operation }, { "delete", 7, FORM_MESSAGE, &operation },
                { "options", 8, FORM_MESSAGE, &operation }, { "head", 9, FORM_MESSAGE, &operation },
                { "patch", 10, FORM_MESSAGE, &operation }, { "parameters", 13, FORM_MESSAGES, &parameter }, { NULL },
        },
};

static const struct message security_scheme = {
        .or_reference = true,
        .extensions = 9,
        .keys = (const struct key[]){
                { "type", 1, FORM_STRING }, { "description", 2, FORM_STRING }, { "name", 3, FORM_STRING },
                { "in", 4, FORM_STRING }, { NULL },
        },
};

static const struct message components = {
        .extensions = 10,
        .keys = (const struct key[]){
                { "schemas", 1, FORM_MAP, &schema }, { "securitySchemes", 7, FORM_MAP, &security_scheme }, { NULL },
        },
};

static const struct message info = {
        .extensions = 7,
        .keys = (const struct key[]){
                { "title", 1, FORM_STRING }, { "description", 2, FORM_STRING }, { "version", 6, FORM_STRING }, { NULL },
        },
};

static const struct message document_message = {
        .extensions = 9,
        .keys = (const struct key[]){
                { "openapi", 1, FORM_STRING }, { "info", 2, FORM_MESSAGE, &info }, { "paths", 4, FORM_MAP, &path_item },
                { "components", 5, FORM_MESSAGE, &components }, { NULL },
        },
};

static void write_message(struct strbuf *out, const struct message *m, const struct json *v);

static void put_plain(struct strbuf *out, unsigned field, const struct message *m, const struct json *v)
{
        struct strbuf message = STRBUF_INIT;

        write_message(&message, m, v);
        gnostic_put_message(out, field, &message);
}

/* V, in the message that leaves the choice between it and Reference {_ref=1} where there is one. */
static void put_value(struct strbuf *out, unsigned field, const struct message *m, const struct json *v)
{
        struct strbuf choice = STRBUF_INIT, reference = STRBUF_INIT;
        const char *ref = json_get_string(v, "$ref");

        if (!m->or_reference) {
                put_plain(out, field, m, v);
                return;
        }
        if (ref) {
                gnostic_put_string(&reference, 1, ref);
                gnostic_put_message(&choice, 2, &reference);
        } else {
                put_plain(&choice, 1, m, v);
        }
        gnostic_put_message(out, field, &choice);
}

static void put_map(struct strbuf *out, unsigned field, unsigned inner, const struct message *m, const struct json *map)
{
        struct strbuf all = STRBUF_INIT;

        json_foreach_member(map, x) {
                struct strbuf named = STRBUF_INIT;

                gnostic_put_string(&named, 1, x->key);
                put_value(&named, 2, m, x->value);
                gnostic_put_message(&all, inner, &named);
        }
        gnostic_put_message(out, field, &all);
}

/* Other values (objects, lists) have no place in it. */
static void put_default(struct strbuf *out, unsigned field, const struct json *v)
{
        struct strbuf message = STRBUF_INIT;

        if (json_is_number(v))
                gnostic_put_number(&message, 1, v, false);
        else if (json_is_bool(v))
                gnostic_put_bool(&message, 2, v->boolean);
        else if (json_string(v))
                gnostic_put_string(&message, 3, v->str);
        else
                return;
        gnostic_put_message(out, field, &message);
}

static void put_wrapped(struct strbuf *out, const struct key *k, const struct json *v)
{
        struct strbuf wrap = STRBUF_INIT;

        if (json_is_bool(v))
                gnostic_put_bool(&wrap, 2, v->boolean);
        else
                put_value(&wrap, 1, k->of, v);
        gnostic_put_message(out, k->field, &wrap);
}

static void write_key(struct strbuf *out, const struct key *k, const struct json *v)
{
        switch (k->form) {
        case FORM_STRING:
                if (json_string(v))
                        gnostic_put_string(out, k->field, v->str);
                break;
        case FORM_BOOL:
                gnostic_put_bool(out, k->field, json_is_true(v));
                break;
        case FORM_NUMBER:
        case FORM_INTEGER:
                if (json_is_number(v))
                        gnostic_put_number(out, k->field, v, k->form == FORM_INTEGER);
                break;
        case FORM_STRINGS:
                gnostic_put_strings(out, k->field, v);
                break;
        case FORM_ANYS:
                json_foreach_item(v, item)
                        gnostic_put_any(out, k->field, item);
                break;
        case FORM_MESSAGE:
                if (streq(k->key, "not")) /* the one that may not be a reference */
                        put_plain(out, k->field, k->of, v);
                else
                        put_value(out, k->field, k->of, v);
                break;
        case FORM_MESSAGES:
                json_foreach_item(v, item)
                        put_value(out, k->field, k->of, item);
                break;
        case FORM_MAP:
        case FORM_RESPONSES:
                put_map(out, k->field, k->form == FORM_MAP ? 1 : 2, k->of, v);
                break;
        case FORM_ITEMS:
        case FORM_EITHER:
                put_wrapped(out, k, v);
                break;
        case FORM_DEFAULT:
                put_default(out, k->field, v);
                break;
        }
}

static void write_message(struct strbuf *out, const struct message *m, const struct json *v)
{
        for (const struct key *k = m->keys; k->key; k++) {
                const struct json *value = json_get(v, k->key);

                if (value)
                        write_key(out, k, value);
        }
        gnostic_put_extensions(out, m->extensions, v);
}

void gnostic_v3(struct strbuf *out, const struct json *document)
{
        write_message(out, &document_message, document);
}
