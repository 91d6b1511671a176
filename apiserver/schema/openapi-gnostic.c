/* OpenAPI v2 as gnostic's protobuf (openapi.v2.Document), which client-go asks for.
 *
 * The numbers are of gnostic's OpenAPIv2.proto. A path item or a schema comes as JSON, one at a time, and
 * is translated by tables: JSON key -> field number and how the value is wrapped. Values of "x-..." keys and
 * defaults travel as text, which their readers parse as YAML; compact JSON is YAML too.
 */
#include "../../lib/base/base.h"
#include "openapi-internal.h"
#include "version.h"

static void put_varint(struct strbuf *out, uint64_t v)
{
        for (; v >= 0x80; v >>= 7)
                strbuf_putc(out, (char)(v | 0x80));
        strbuf_putc(out, (char)v);
}

static void put_bytes(struct strbuf *out, unsigned field, const void *data, size_t len)
{
        put_varint(out, (uint64_t)field << 3 | 2);
        put_varint(out, len);
        strbuf_append(out, data, len);
}

void gnostic_put_string(struct strbuf *out, unsigned field, const char *s)
{
        put_bytes(out, field, s, strlen(s));
}

/* Moves a finished message into its parent. */
void gnostic_put_message(struct strbuf *out, unsigned field, struct strbuf *message)
{
        put_bytes(out, field, strbuf_str(message), message->len);
        strbuf_deinit(message);
}

void gnostic_put_bool(struct strbuf *out, unsigned field, bool b)
{
        if (!b)
                return; /* proto3: false is nothing */
        put_varint(out, (uint64_t)field << 3);
        strbuf_putc(out, 1);
}

void gnostic_put_number(struct strbuf *out, unsigned field, const struct json *v, bool integer)
{
        double d = json_to_double(v, 0);
        int64_t i = 0;

        if (integer) {
                if (json_to_int(v, &i) < 0)
                        return;
                put_varint(out, (uint64_t)field << 3);
                put_varint(out, i);
                return;
        }
        put_varint(out, (uint64_t)field << 3 | 1);
        strbuf_append(out, &d, sizeof(d));
}

void gnostic_put_strings(struct strbuf *out, unsigned field, const struct json *list)
{
        json_foreach_item(list, item)
                if (json_string(item))
                        gnostic_put_string(out, field, item->str);
}

/* Any {yaml=2} */
void gnostic_put_any(struct strbuf *out, unsigned field, const struct json *v)
{
        struct strbuf any = STRBUF_INIT, text = STRBUF_INIT;

        json_write(&text, v);
        strbuf_putc(&text, '\n');
        gnostic_put_message(&any, 2, &text);
        gnostic_put_message(out, field, &any);
}

/* NamedAny {name=1, value=2} for every "x-..." member. */
void gnostic_put_extensions(struct strbuf *out, unsigned field, const struct json *obj)
{
        json_foreach_member(obj, m) {
                struct strbuf named = STRBUF_INIT;

                if (!str_has_prefix(m->key, "x-"))
                        continue;
                gnostic_put_string(&named, 1, m->key);
                gnostic_put_any(&named, 2, m->value);
                gnostic_put_message(out, field, &named);
        }
}

/* --- schemas --- */

static void write_schema(struct strbuf *out, const struct json *s);

static void put_schema(struct strbuf *out, unsigned field, const struct json *s)
{
        struct strbuf message = STRBUF_INIT;

        write_schema(&message, s);
        gnostic_put_message(out, field, &message);
}

/* Wrapped once more: ItemsItem, SchemaItem, AdditionalPropertiesItem all have the schema as field 1. */
static void put_schema_item(struct strbuf *out, unsigned field, const struct json *s)
{
        struct strbuf item = STRBUF_INIT;

        if (json_is_bool(s))
                gnostic_put_bool(&item, 2, s->boolean);
        else
                put_schema(&item, 1, s);
        gnostic_put_message(out, field, &item);
}

/* Properties {additional_properties=1 NamedSchema {name=1, value=2}} */
static void put_properties(struct strbuf *out, unsigned field, const struct json *map)
{
        struct strbuf all = STRBUF_INIT;

        json_foreach_member(map, m) {
                struct strbuf named = STRBUF_INIT;

                gnostic_put_string(&named, 1, m->key);
                put_schema(&named, 2, m->value);
                gnostic_put_message(&all, 1, &named);
        }
        gnostic_put_message(out, field, &all);
}

static void put_type(struct strbuf *out, unsigned field, const struct json *type)
{
        struct strbuf item = STRBUF_INIT;

        if (json_string(type))
                gnostic_put_string(&item, 1, type->str);
        gnostic_put_strings(&item, 1, type);
        gnostic_put_message(out, field, &item);
}

static const struct schema_key {
        const char *key;
        unsigned field;
        enum { KEY_STRING, KEY_NUMBER, KEY_INTEGER, KEY_BOOL, KEY_STRINGS, KEY_ANY, KEY_ANYS, KEY_SCHEMA, KEY_TYPE, KEY_PROPERTIES } form;
} schema_keys[] = {
        { "$ref", 1, KEY_STRING },        { "format", 2, KEY_STRING },       { "title", 3, KEY_STRING },
        { "description", 4, KEY_STRING }, { "default", 5, KEY_ANY },         { "multipleOf", 6, KEY_NUMBER },
        { "maximum", 7, KEY_NUMBER },     { "exclusiveMaximum", 8, KEY_BOOL }, { "minimum", 9, KEY_NUMBER },
        { "exclusiveMinimum", 10, KEY_BOOL }, { "maxLength", 11, KEY_INTEGER }, { "minLength", 12, KEY_INTEGER },
        { "pattern", 13, KEY_STRING },    { "maxItems", 14, KEY_INTEGER },   { "minItems", 15, KEY_INTEGER },
        { "uniqueItems", 16, KEY_BOOL },  { "maxProperties", 17, KEY_INTEGER }, { "minProperties", 18, KEY_INTEGER },
        { "required", 19, KEY_STRINGS },  { "enum", 20, KEY_ANYS },          { "additionalProperties", 21, KEY_SCHEMA },
        { "type", 22, KEY_TYPE },         { "items", 23, KEY_SCHEMA },       { "properties", 25, KEY_PROPERTIES },
        { "example", 30, KEY_ANY },
};

static void write_schema_key(struct strbuf *out, const struct schema_key *k, const struct json *v)
{
        switch (k->form) {
        case KEY_STRING:
                if (json_string(v))
                        gnostic_put_string(out, k->field, v->str);
                break;
        case KEY_NUMBER:
        case KEY_INTEGER:
                if (json_is_number(v))
                        gnostic_put_number(out, k->field, v, k->form == KEY_INTEGER);
                break;
        case KEY_BOOL:
                gnostic_put_bool(out, k->field, json_is_true(v));
                break;
        case KEY_STRINGS:
                gnostic_put_strings(out, k->field, v);
                break;
        case KEY_ANY:
                gnostic_put_any(out, k->field, v);
                break;
        case KEY_ANYS:
                json_foreach_item(v, item)
                        gnostic_put_any(out, k->field, item);
                break;
        case KEY_SCHEMA:
                put_schema_item(out, k->field, v);
                break;
        case KEY_TYPE:
                put_type(out, k->field, v);
                break;
        case KEY_PROPERTIES:
                put_properties(out, k->field, v);
                break;
        }
}

static void write_schema(struct strbuf *out, const struct json *s)
{
        for (size_t i = 0; i < ARRAY_SIZE(schema_keys); i++) {
                const struct json *v = json_get(s, schema_keys[i].key);

                if (v)
                        write_schema_key(out, &schema_keys[i], v);
        }
        gnostic_put_extensions(out, 31, s);
}

/* --- paths --- */

static void put_member_string(struct strbuf *out, unsigned field, const struct json *obj, const char *key)
{
        const char *s = json_get_string(obj, key);

        if (s)
                gnostic_put_string(out, field, s);
}

/* ParametersItem {parameter=1 Parameter {body_parameter=1 | non_body_parameter=2 {query=3 | path=4}}} */
static void put_parameter(struct strbuf *out, unsigned field, const struct json *p)
{
        struct strbuf inner = STRBUF_INIT, kind = STRBUF_INIT, parameter = STRBUF_INIT, item = STRBUF_INIT;
        const char *in = json_get_string(p, "in");
        bool path = streq(in, "path");

        if (streq(in, "body")) {
                put_member_string(&inner, 2, p, "name");
                gnostic_put_string(&inner, 3, "body");
                gnostic_put_bool(&inner, 4, json_get_bool(p, "required", false));
                put_schema(&inner, 5, json_get(p, "schema"));
                gnostic_put_message(&parameter, 1, &inner);
        } else {
                gnostic_put_bool(&inner, 1, json_get_bool(p, "required", false));
                gnostic_put_string(&inner, 2, in);
                put_member_string(&inner, 3, p, "description");
                put_member_string(&inner, 4, p, "name");
                put_member_string(&inner, path ? 5 : 6, p, "type");
                gnostic_put_bool(&inner, path ? 19 : 20, json_get_bool(p, "uniqueItems", false));
                gnostic_put_message(&kind, path ? 4 : 3, &inner);
                gnostic_put_message(&parameter, 2, &kind);
        }
        gnostic_put_message(&item, 1, &parameter);
        gnostic_put_message(out, field, &item);
}

/* Responses {response_code=1 {name=1, value=2 ResponseValue {response=1 {description=1, schema=2}}}} */
static void put_responses(struct strbuf *out, unsigned field, const struct json *responses)
{
        struct strbuf all = STRBUF_INIT;

        json_foreach_member(responses, m) {
                struct strbuf response = STRBUF_INIT, value = STRBUF_INIT, named = STRBUF_INIT;

                put_member_string(&response, 1, m->value, "description");
                if (json_get(m->value, "schema"))
                        put_schema_item(&response, 2, json_get(m->value, "schema"));
                gnostic_put_message(&value, 1, &response);
                gnostic_put_string(&named, 1, m->key);
                gnostic_put_message(&named, 2, &value);
                gnostic_put_message(&all, 1, &named);
        }
        gnostic_put_message(out, field, &all);
}

static void put_operation(struct strbuf *out, unsigned field, const struct json *op)
{
        struct strbuf o = STRBUF_INIT;

        put_member_string(&o, 5, op, "operationId");
        gnostic_put_strings(&o, 6, json_get(op, "produces"));
        gnostic_put_strings(&o, 7, json_get(op, "consumes"));
        json_foreach_item(json_get(op, "parameters"), p)
                put_parameter(&o, 8, p);
        put_responses(&o, 9, json_get(op, "responses"));
        gnostic_put_extensions(&o, 13, op);
        gnostic_put_message(out, field, &o);
}

void gnostic_path(struct strbuf *out, const char *path, const struct json *item)
{
        static const struct {
                const char *method;
                unsigned field;
        } methods[] = { { "get", 2 }, { "put", 3 }, { "post", 4 }, { "delete", 5 }, { "options", 6 }, { "head", 7 }, { "patch", 8 } };
        struct strbuf value = STRBUF_INIT, named = STRBUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
                if (json_get(item, methods[i].method))
                        put_operation(&value, methods[i].field, json_get(item, methods[i].method));
        json_foreach_item(json_get(item, "parameters"), p)
                put_parameter(&value, 9, p);
        gnostic_put_string(&named, 1, path);
        gnostic_put_message(&named, 2, &value);
        gnostic_put_message(out, 2, &named);
}

void gnostic_definition(struct strbuf *out, const char *name, const struct json *schema)
{
        struct strbuf named = STRBUF_INIT;

        gnostic_put_string(&named, 1, name);
        put_schema(&named, 2, schema);
        gnostic_put_message(out, 1, &named);
}

/* --- the document --- */

void gnostic_head(struct strbuf *out)
{
        struct strbuf info = STRBUF_INIT;

        gnostic_put_string(out, 1, "2.0");
        gnostic_put_string(&info, 1, "Kubernetes");
        gnostic_put_string(&info, 2, VERSION_GIT);
        gnostic_put_message(out, 2, &info);
}

/* security: [{BearerToken: []}], securityDefinitions: an API key in the header authorization */
static void put_security(struct strbuf *out)
{
        struct strbuf requirement = STRBUF_INIT, named = STRBUF_INIT, strings = STRBUF_INIT;
        struct strbuf key = STRBUF_INIT, item = STRBUF_INIT, definition = STRBUF_INIT, definitions = STRBUF_INIT;

        gnostic_put_string(&named, 1, "BearerToken");
        gnostic_put_message(&named, 2, &strings);
        gnostic_put_message(&requirement, 1, &named);
        gnostic_put_message(out, 12, &requirement);
        gnostic_put_string(&key, 1, "apiKey");
        gnostic_put_string(&key, 2, "authorization");
        gnostic_put_string(&key, 3, "header");
        gnostic_put_string(&key, 4, "A bearer token.");
        gnostic_put_message(&item, 2, &key);
        gnostic_put_string(&definition, 1, "BearerToken");
        gnostic_put_message(&definition, 2, &item);
        gnostic_put_message(&definitions, 1, &definition);
        gnostic_put_message(out, 13, &definitions);
}

void gnostic_finish(struct strbuf *out, const struct strbuf *paths, const struct strbuf *definitions)
{
        put_bytes(out, 8, strbuf_str(paths), paths->len);
        put_bytes(out, 9, strbuf_str(definitions), definitions->len);
        put_security(out);
}
