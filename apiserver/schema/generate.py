#!/usr/bin/env python3
"""Compiles apiserver/kinds/*.yaml into one C file of constant tables (schema.h), and on request
into docs/kinds.md.

The YAML is the source; kinds/README.md says what it may hold. Three steps:

    load()      reads all files into Kind and Type objects
    Tables      turns type expressions ("list Container", "map Quantity") into numbered schemas,
                so that equal ones, equal strings lists and equal field lists are there once
    write_c()   prints them

Everything unknown or misspelt is an error: a key that nobody reads would be a silent lie.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys

import yaml

META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
CORE = 'io.k8s.api.core.v1'

# Scalars: the word in the YAML, the enum in schema.h, OpenAPI's format, Go's name, the full name of
# those that OpenAPI knows by name.
SCALARS = {
    'string': ('STRING', None, 'string', None),
    'bool': ('BOOLEAN', None, 'bool', None),
    'int32': ('INT32', 'int32', 'int32', None),
    'int64': ('INT64', 'int64', 'int64', None),
    'double': ('DOUBLE', 'double', 'float64', None),
    'bytes': ('BYTES', 'byte', '[]uint8', None),
    'Time': ('TIME', 'date-time', 'v1.Time', META + '.Time'),
    'MicroTime': ('MICRO_TIME', 'date-time', 'v1.MicroTime', META + '.MicroTime'),
    'Quantity': ('QUANTITY', None, 'resource.Quantity', 'io.k8s.apimachinery.pkg.api.resource.Quantity'),
    'IntOrString': ('INT_OR_STRING', 'int-or-string', 'int32', 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'),
}
ALL_VERBS = 'create delete deletecollection get list patch update watch'.split()
KIND_KEYS = set('''kind group version about package names scope verbs stored storedAs subresources generation resets
    immutable createOnUpdate unconditionalUpdate deleteAnswers selectable selectByNamespace deprecated columns rules fields types
    map embeds union'''.split())
TYPE_KEYS = set('about package body map embeds rules fields raw either alias union'.split())
FIELD_KEYS = set('type proto pointer required omit emit empty list map patch enum values default show about gated bare named'.split())
WIRES = {'list': 'OR_LIST', 'bool': 'OR_BOOL', 'strings': 'OR_STRINGS'}


class Fail(Exception):
    pass


def check_keys(where, d, allowed):
    for key in d:
        if key not in allowed:
            raise Fail(f'{where}: unknown key {key!r}')


class Type:
    """A named type: a struct, or one of the few that are not."""

    def __init__(self, name, package, d, where):
        check_keys(where, d, TYPE_KEYS | KIND_KEYS)
        self.name, self.package, self.d, self.where = name, d.get('package', package), d, where
        self.about = d.get('about')
        self.group_version = d.get('body')
        self.full = self.package + '.' + name
        self.is_struct = 'fields' in d and 'alias' not in d
        self.fields = dict(d.get('fields') or {})
        for f, v in self.fields.items():
            check_keys(f'{where}: {f}', v, FIELD_KEYS)


class Kind:
    def __init__(self, d, where):
        check_keys(where, d, KIND_KEYS)
        self.d, self.where = d, where
        self.kind, self.group, self.version = d['kind'], d['group'], d['version']
        self.group_version = f'{self.group}/{self.version}' if self.group else self.version
        self.names = d['names']
        self.verbs = ALL_VERBS if d['verbs'] == 'all' else d['verbs']
        self.package = d['package']
        self.type = Type(self.kind, self.package, d, where)
        self.type.group_version = self.group_version
        top = {'apiVersion': {'type': 'string'}, 'kind': {'type': 'string'}}
        if 'metadata' not in self.type.fields:
            top['metadata'] = {'type': 'ObjectMeta', 'proto': 1}
        self.type.fields = {**top, **self.type.fields}

    def storage_hash(self, kinds):
        """The first 8 bytes of SHA-256 over the storage version, as discovery shows them."""
        if 'stored' not in self.d:
            return None
        gv = self.d.get('storedAs', self.group_version)
        group, _, version = gv.rpartition('/')
        return base64.b64encode(hashlib.sha256(f'{group}/{version}/{self.kind}'.encode()).digest()[:8]).decode()


class Abouts:
    """about.yaml: texts of fields that mean the same wherever they stand."""

    def __init__(self, d):
        check_keys('about.yaml', d, {'types', 'fields'})
        self.types, self.ends, self.unused = d['types'], {}, set(d['fields'])
        for key, text in d['fields'].items():
            end, _, field = key.rpartition('.')
            self.ends.setdefault(field, {})[end] = (key, text)

    def field(self, type_name, field):
        """The text whose end of a type's name fits best."""
        fitting = [end for end in self.ends.get(field, ()) if type_name.endswith(end)]
        if not fitting:
            return None
        key, text = self.ends[field][max(fitting, key=len)]
        self.unused.discard(key)
        return text

    def fill_in(self, types):
        """Every type and field has a text in the end: clients that explain show nothing else."""
        for t in types.values():
            for f, v in t.fields.items():
                about = v.get('about') or self.field(t.name, f)
                if not about:
                    raise Fail(f'{t.where}: {t.name}.{f} has no about')
                t.fields[f] = {**v, 'about': about}
            if not t.about and 'alias' not in t.d:
                raise Fail(f'{t.where}: {t.name} has no about')
        if self.unused:
            raise Fail(f'about.yaml: nothing uses {sorted(self.unused)}')


def load(directory):
    kinds, types, groups, abouts, digest = [], {}, None, None, hashlib.sha512()

    def add(t):
        if t.full in types:
            raise Fail(f'{t.where}: {t.full} is defined twice')
        types[t.full] = t

    for path in sorted(directory.rglob('*.yaml')):
        text = path.read_bytes()
        digest.update(text)
        d = yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
        if path.name == 'groups.yaml':
            groups = d
            continue
        if path.name == 'about.yaml':
            abouts = Abouts(d)
            continue
        if 'kind' in d:
            kind = Kind(d, path.name)
            kinds.append(kind)
            add(kind.type)
            if 'list' in kind.verbs:
                add(list_type(kind))
        for name, t in (d.get('types') or {}).items():
            t = Type(name, d['package'], t, f'{path.name}: {name}')
            if t.group_version:
                t.fields = {'apiVersion': {'type': 'string'}, 'kind': {'type': 'string'}, **t.fields}
            add(t)
    abouts.fill_in(types)
    return kinds, types, groups, abouts, digest.hexdigest().upper()


def list_type(kind):
    """FooList: the same for every kind, so nobody writes it."""
    t = Type(kind.kind + 'List', kind.package, {
        'about': f'A list of {kind.kind} objects.',
        'fields': {
            'apiVersion': {'type': 'string'},
            'kind': {'type': 'string'},
            'metadata': {'type': 'ListMeta', 'proto': 1},
            'items': {'type': f'list {kind.kind}', 'proto': 2, 'required': True},
        }}, kind.where)
    t.group_version = kind.group_version
    return t


def c_string(s):
    if s is None:
        return 'NULL'
    out = []
    for b in s.encode():
        if b in (0x22, 0x5c):
            out.append('\\' + chr(b))
        elif 0x20 <= b < 0x7f:
            out.append(chr(b))
        else:
            out.append(f'\\{b:03o}')
    return '"' + ''.join(out) + '"'


class Tables:
    def __init__(self, kinds, types, abouts):
        self.kinds, self.types, self.abouts = kinds, types, abouts
        self.lists = {}          # tuple of strings -> number
        self.rule_lists = {}     # tuple of rule names -> number
        self.anonymous = {}      # key -> number
        self.rows = []           # anonymous schemas, as dicts
        named = [full for _, _, _, full in SCALARS.values() if full]
        named += [t.full for t in types.values() if 'alias' not in t.d]
        self.named = {full: i for i, full in enumerate(sorted(named))}
        self.deep, self.absent = {}, {}

    def strings(self, items):
        """The C name of a NULL-terminated list of strings; equal lists are there once."""
        if not items:
            return 'NULL'
        return f'l{self.lists.setdefault(tuple(items), len(self.lists))}'

    def rules(self, names):
        if not names:
            return 'NULL'
        return f'r{self.rule_lists.setdefault(tuple(names), len(self.rule_lists))}'

    def find(self, name, package, where):
        """A type's name as written: of the same package, of metav1 or core, or qualified."""
        for candidate in (f'{package}.{name}', f'{META}.{name}', f'{CORE}.{name}', f'io.k8s.api.{name}',
                          f'io.k8s.apimachinery.pkg.apis.{name}', f'io.k8s.apimachinery.pkg.runtime.{name}'):
            if candidate in self.types:
                return self.types[candidate]
        raise Fail(f'{where}: no type {name}')

    def anonymous_schema(self, **row):
        key = tuple(sorted(row.items()))
        if key not in self.anonymous:
            self.anonymous[key] = len(self.named) + len(self.rows)
            self.rows.append(row)
        return self.anonymous[key]

    def schema(self, expr, package, where, list_type=None, keys=(), atomic=False, enum=(), in_map=False, rules=(),
               granular=False, named=None, list_named=None):
        """The number of the schema that a type expression means. NAMED: of strings in a list, each is meant."""
        if expr.startswith('list '):
            list_named = list_named or (named if expr[5:] not in SCALARS else None)
            elem = self.schema(expr[5:], package, where, enum=enum, named=None if list_named else named)
            row = {'go_type': list_named} if list_named else {}
            return self.anonymous_schema(type='ARRAY', elem=elem, list_type=list_type or 'ATOMIC',
                                         list_declared=list_type is not None, list_keys=tuple(keys),
                                         wire='ITEMS' if in_map else 'PLAIN', **row)
        if expr.startswith('map '):
            value = named.split(']', 1)[1] if named and named.startswith('map[') and expr.startswith('map list ') else None
            elem = self.schema(expr[4:], package, where, enum=enum, in_map=True, list_named=value)
            row = {'openapi': '"x-kubernetes-map-type":"granular"'} if granular else {}
            row.update({'go_type': named} if named else {})
            return self.anonymous_schema(type='MAP', elem=elem, atomic=atomic, rules=tuple(rules), **row)
        if expr in SCALARS:
            kind, fmt, _, full = SCALARS[expr]
            if full:
                return self.named[full]
            row = {'go_type': named} if named else {}
            return self.anonymous_schema(type=kind, format=fmt, enums=tuple(enum), list_declared=list_type is not None, **row)
        t = self.find(expr, package, where)
        if 'alias' in t.d:
            n = self.schema(t.d['alias'], t.package, t.where, rules=t.d.get('rules', ()))
            return self.anonymous_schema(**{**self.rows[n - len(self.named)], 'go_type': f'v1.{t.name}'})
        if atomic and 'map' not in t.d:
            raise Fail(f'{where}: an atomic field needs an atomic type')
        if granular and t.d.get('map') == 'atomic': # this field's struct is a map to apply, though its type says otherwise
            return self.anonymous_schema(granular=t.full)
        return self.named[t.full]

    # --- which types have defaults to set ---

    def base(self, expr, package, where):
        """(struct type or None, rules of an alias, whether it is the struct itself)"""
        direct = True
        while expr.startswith(('list ', 'map ')):
            expr, direct = expr.split(' ', 1)[1], False
        if expr in SCALARS:
            return None, (), False
        t = self.find(expr, package, where)
        if 'alias' in t.d:
            return None, t.d.get('rules', ()), False
        return t, (), direct

    def defaults(self, t):
        """(has_defaults, defaults_absent), following the fields; recursion counts as no."""
        if t.full in self.deep:
            return self.deep[t.full], self.absent[t.full]
        self.deep[t.full] = self.absent[t.full] = False
        deep = bool(t.d.get('rules'))
        absent = deep
        for f, v in t.fields.items():
            if 'default' in v:
                deep = absent = True
            if 'type' not in v:
                continue
            child, alias_rules, direct = self.base(v['type'], t.package, f'{t.where}: {f}')
            deep = deep or bool(alias_rules)
            if child:
                d, a = self.defaults(child)
                deep = deep or d
                absent = absent or (a and direct and not v.get('pointer'))
        self.deep[t.full], self.absent[t.full] = deep, absent
        return deep, absent


def schema_init(tables, row):
    """The C initialiser of a struct schema."""
    p = []
    if row.get('name'):
        p.append(f'.name = {c_string(row["name"])}')
    if row.get('about'):
        p.append(f'.description = {c_string(row["about"])}')
    if row.get('group_version'):
        p.append(f'.group_version = {c_string(row["group_version"])}')
    if row.get('go_type'):
        p.append(f'.go_type = {c_string(row["go_type"])}')
    if row.get('openapi'):
        p.append(f'.openapi = {c_string(row["openapi"])}')
    p.append(f'.type = SCHEMA_{row["type"]}')
    if row.get('wire', 'PLAIN') != 'PLAIN':
        p.append(f'.wire = SCHEMA_WIRE_{row["wire"]}')
    if 'elem' in row:
        p.append(f'.elem = &builtin_schemas[{row["elem"]}]')
    if row.get('list_type', 'ATOMIC') != 'ATOMIC':
        p.append(f'.list_type = SCHEMA_LIST_{row["list_type"]}')
    if row.get('list_declared'):
        p.append('.list_declared = true')
    if row.get('list_keys'):
        p.append(f'.list_keys = {tables.strings(row["list_keys"])}')
    if row.get('atomic'):
        p.append('.atomic = true')
    if row.get('fields'):
        p.append(f'.fields = {row["fields"]}, .n_fields = {row["n_fields"]}')
        if row['hash']:
            slots, multiplier, shift = row['hash']
            p.append(f'.slots = (const unsigned char[]){{ {", ".join(map(str, slots))} }}, .multiplier = {multiplier:#x}, '
                     f'.shift = {shift}')
        for name in ('written', 'defaulted'):
            if row[name][1]:
                p.append(f'.{name} = {row[name][0]}, .n_{name} = {row[name][1]}')
    if row.get('enums'):
        p.append(f'.enums = {tables.strings(row["enums"])}')
    if row.get('format'):
        p.append(f'.format = {c_string(row["format"])}')
    if row.get('rules'):
        p.append(f'.rules = {tables.rules(row["rules"])}')
    if row.get('has_defaults') or row.get('rules'):
        p.append('.has_defaults = true')
    if row.get('defaults_absent'):
        p.append('.defaults_absent = true')
    return '{ ' + ', '.join(p) + ' }'


def is_empty_struct(tables, v, t, where):
    expr = v['type']
    if expr in SCALARS or expr.startswith(('list ', 'map ')):
        return False
    return tables.find(expr, t.package, where).is_struct


def json_tag(name):
    """As json_tag() in lib/json/json.h."""
    s = name.encode()
    return len(s) & 0xff | s[0] << 8 | s[len(s) // 2] << 16 | s[-1] << 24


def perfect_hash(names):
    """(slots, multiplier, shift): each name's tag * multiplier >> shift has a slot of its own, which holds its number;
    255 is a free one. None where two tags are the same."""
    tags = [json_tag(name) for name in names]
    if not tags or len(set(tags)) < len(tags) or len(tags) > 254:
        return None
    bits = max(1, (len(tags) - 1).bit_length())
    multiplier = 0x9e3779b1
    while True:
        for _ in range(400):
            places = [(tag * multiplier & 0xffffffff) >> (32 - bits) for tag in tags]
            if len(set(places)) == len(places):
                slots = [255] * (1 << bits)
                for number, place in enumerate(places):
                    slots[place] = number
                return slots, multiplier, 32 - bits
            multiplier = (multiplier * 0x01000193 + 0x811c9dc4) & 0xffffffff | 1
        bits += 1


def is_by_value(tables, t, f, v):
    return is_empty_struct(tables, v, t, f'{t.where}: {f}') and not v.get('pointer')


def emits_empty(tables, t, f, v):
    return v.get('emit') or (v.get('required') and not v.get('omit') and not is_by_value(tables, t, f, v))


def is_written(tables, t, f, v):
    return 'type' in v and (emits_empty(tables, t, f, v) or 'empty' in v or is_by_value(tables, t, f, v))


def is_defaulted(tables, t, f, v):
    """Whether an object of type T may get something in field F, or below it."""
    if 'default' in v or 'type' not in v:
        return 'default' in v
    child, alias_rules, _ = tables.base(v['type'], t.package, f'{t.where}: {f}')
    return bool(alias_rules or (child and tables.defaults(child)[0]))


def numbers(which):
    """The numbers of those fields that WHICH says yes of, for a walk over just them."""
    picked = [str(i) for i, yes in enumerate(which) if yes]
    return f'(const unsigned char[]){{ {", ".join(picked)} }}' if picked else 'NULL', len(picked)


def field_init(tables, t, f, v, order):
    where = f'{t.where}: {f}'
    lst, keys = None, ()
    if isinstance(v.get('list'), list):
        lst, keys = 'MAP', v['list']
    elif v.get('list'):
        lst = v['list'].upper()
    n = tables.schema(v['type'], t.package, where, lst, keys, v.get('map') == 'atomic', v.get('enum', ()),
                      granular=v.get('map') == 'granular', named=v.get('named'))
    p = [f'.name = &{c_string("f:" + f)}[2], .len = {len(f)}, .tag = {json_tag(f):#x}'] # managed fields want it with its "f:"
    if v.get('about'):
        p.append(f'.description = {c_string(v["about"])}')
    p.append(f'.type = &builtin_schemas[{n}]')
    patch = v.get('patch', '').split(' by ')
    if len(patch) == 2:
        p.append(f'.patch_merge_key = {c_string(patch[1])}')
    for word in patch[0].split():
        p.append('.patch_' + {'merge': 'merge', 'replace': 'replace', 'retainKeys': 'retain_keys'}[word] + ' = true')
    if v.get('required'):
        p.append('.required = true')
    if v.get('pointer'):
        p.append('.presence = true')
    if v.get('gated'):
        p.append('.gated = ' + ('GATED_PARENT' if v['gated'] == 'parent' else 'GATED_FIELD'))
    if emits_empty(tables, t, f, v):
        p.append('.emit_empty = true')
    if 'empty' in v or is_by_value(tables, t, f, v):
        p.append(f'.empty_as = {c_string("null" if v.get("empty", "{}") is None else v.get("empty", "{}"))}')
    if 'default' in v:
        p.append(f'.fallback = {c_string(json.dumps(v["default"], separators=(",", ":")))}')
    if v.get('show'):
        p.append('.published = true')
    if v.get('bare'):
        p.append('.bare = true')
    proto = v.get('proto', 0)
    if isinstance(proto, list):
        p.append('.proto_outer = { ' + ', '.join(map(str, proto[:-1])) + ' }')
        embed = (t.d.get('embeds') or {}).get(proto[0])
        if embed:
            p.append(f'.embed = {c_string(embed)}')
        proto = proto[-1]
    if proto:
        p.append(f'.proto = {proto}')
    p.append(f'.order = {order}')
    return '{ ' + ', '.join(p) + ' }'


def union_extension(u):
    """What OpenAPI says of a union."""
    text = {'fields-to-discriminateBy': u['fields']}
    if 'by' in u:
        text['discriminator'] = u['by']
    return f'"x-kubernetes-unions":[{json.dumps(text, separators=(",", ":"), sort_keys=True)}]'


def named_rows(tables, out_fields):
    rows = {}
    for word, (kind, fmt, go, full) in SCALARS.items():
        if full:
            rows[tables.named[full]] = {'name': full, 'about': tables.abouts.types[word], 'type': kind, 'format': fmt,
                                        'go_type': go}
    for t in tables.types.values():
        if 'alias' in t.d:
            continue
        row = {'name': t.full, 'about': t.about, 'group_version': t.group_version, 'atomic': t.d.get('map') == 'atomic'}
        if 'union' in t.d:
            row['openapi'] = union_extension(t.d['union'])
        if t.d.get('raw'):
            row.update(type='ANY', wire='RAW')
        elif 'either' in t.d:
            row.update(type='ANY', wire=WIRES[t.d['either']], elem=tables.named[t.package + '.JSONSchemaProps'])
        else:
            number = tables.named[t.full]
            order = {f: i for i, f in enumerate(t.fields)}
            fields = sorted(t.fields.items())
            deep, absent = tables.defaults(t)
            row.update(type='STRUCT', rules=tuple(t.d.get('rules', ())), has_defaults=deep, defaults_absent=absent)
            if fields:
                out_fields.append((number, [field_init(tables, t, f, v, order[f]) for f, v in fields]))
                row.update(fields=f'f{number}', n_fields=len(fields), hash=perfect_hash([f for f, _ in fields]), written=numbers([is_written(tables, t, f, v) for f, v in fields]),
                           defaulted=numbers([is_defaulted(tables, t, f, v) for f, v in fields]))
        rows[tables.named[t.full]] = row
    for row in tables.rows:
        if 'granular' in row:
            row.update(rows[tables.named[row['granular']]], atomic=False, openapi='"x-kubernetes-map-type":"granular"')
    return [rows[i] for i in range(len(rows))]


def spread_defaults(rows):
    """A list or map has defaults to set where its elements have."""
    def has(row):
        if row['type'] in ('ARRAY', 'MAP') and has(rows[row['elem']]):
            row['has_defaults'] = True
        return row.get('has_defaults') or row.get('rules')

    for row in rows:
        has(row)


def resource_c(tables, k, number, kinds):
    """The tables of one resource: its subresources, its columns, itself."""
    d, out = k.d, []
    subs = []
    for name, s in sorted((d.get('subresources') or {}).items()):
        check_keys(f'{k.where}: {name}', s, {'kind', 'verbs'})
        gv, _, kind = s.get('kind', k.kind).rpartition(' ')
        group, _, version = (gv or k.group_version).rpartition('/')
        subs.append(f'{{ {c_string(name)}, {c_string(group)}, {c_string(version)}, {c_string(kind)}, '
                    f'{tables.strings(s["verbs"])} }}')
    if subs:
        out.append(f'static const struct subresource s{number}[] = {{ {", ".join(subs)} }};')
    cols = []
    for c in d.get('columns') or []:
        check_keys(f'{k.where}: columns', c, {'name', 'type', 'format', 'cell', 'wide', 'about'})
        cols.append(f'{{ {c_string(c["name"])}, {c_string(c.get("type", "string"))}, {c_string(c.get("format", ""))}, '
                    f'{c_string(c.get("about"))}, {1 if c.get("wide") else 0}, {c_string(c["cell"])} }}')
    if cols:
        out.append(f'static const struct table_column c{number}[] = {{\n        ' + ',\n        '.join(cols) + '\n};')
    p = {
        'group': c_string(k.group), 'version': c_string(k.version), 'name': c_string(k.names['plural']),
        'singular': c_string(k.names['singular']), 'kind': c_string(k.kind), 'list_kind': c_string(k.kind + 'List'),
        'short_names': tables.strings(k.names.get('short')), 'categories': tables.strings(k.names.get('categories')),
        'namespaced': 'true' if d['scope'] == 'Namespaced' else 'false', 'verbs': tables.strings(k.verbs),
        'schema': f'&builtin_schemas[{tables.named[k.type.full]}]',
    }
    if subs:
        p.update(subresources=f's{number}', n_subresources=len(subs))
    if cols:
        p.update(columns=f'c{number}', n_columns=len(cols))
    if 'status' in (d.get('subresources') or {}):
        p['status_subresource'] = 'true'
    if 'stored' in d:
        p.update(stored='true', storage_prefix=c_string(d['stored']), storage_hash=c_string(k.storage_hash(kinds)))
    if 'storedAs' in d:
        group, _, version = d['storedAs'].rpartition('/')
        p.update(storage_group=c_string(group), storage_version=c_string(version))
    if 'generation' in d:
        g = d['generation']
        p.update(generation='true', generation_start=g.get('start', 1),
                 generation_paths=tables.strings(g['changes']) if g['changes'] else 'none')
    resets = d.get('resets') or {}
    check_keys(f'{k.where}: resets', resets, {'create', 'update', 'status'})
    for key, paths in resets.items():
        p[f'reset_on_{key}'] = tables.strings(paths)
    p['immutable'] = tables.strings(d.get('immutable'))
    p['field_selectors'] = tables.strings(d.get('selectable'))
    for key, name in (('createOnUpdate', 'create_on_update'), ('unconditionalUpdate', 'unconditional_update')):
        if d.get(key):
            p[name] = 'true'
    if d.get('deleteAnswers') == 'object':
        p['delete_returns_object'] = 'true'
    if d.get('deprecated'):
        p['deprecated'] = c_string(d['deprecated'])
    if d.get('selectByNamespace') is False:
        p['no_namespace_selector'] = 'true'
    out.append(f'static const struct resource k{number} = {{\n        '
               + ',\n        '.join(f'.{a} = {b}' for a, b in p.items() if b != 'NULL') + ',\n};')
    return out


def kind_order(kinds, groups):
    rank = {(g['name'], v): (i, j) for i, g in enumerate(groups) for j, v in enumerate(g['versions'])}
    for k in kinds:
        if (k.group, k.version) not in rank:
            raise Fail(f'{k.where}: {k.group_version} is not in groups.yaml')
    return sorted(kinds, key=lambda k: (rank[k.group, k.version], k.names['plural']))


def write_c(kinds, types, groups, abouts, digest, out):
    tables = Tables(kinds, types, abouts)
    fields, resources = [], []
    named = named_rows(tables, fields)
    ordered = kind_order(kinds, groups)
    for i, k in enumerate(ordered):
        resources += resource_c(tables, k, i, kinds)
    # What follows numbers the lists, so it comes before they are printed.
    spread_defaults(named + tables.rows)
    rows = [schema_init(tables, row) for row in named + tables.rows]
    group_rows = [f'{{ {c_string(g["name"])}, {tables.strings(g["versions"])}, {g["priority"]}, '
                  f'{{ {", ".join(map(str, g["versionPriorities"]))} }} }}' for g in groups]
    w = out.write
    w('/* Made by schema/generate.py from apiserver/kinds: edit those. */\n#include "schema/schema.h"\n\n')
    for name in sorted({r for rules in tables.rule_lists for r in rules}):
        w(f'extern schema_rule default_{name.replace("-", "_")};\n')
    w('\nstatic const char *const none[] __attribute__((unused)) = { NULL };\n')
    for items, n in tables.lists.items():
        w(f'static const char *const l{n}[] = {{ {", ".join(c_string(str(s)) for s in items)}, NULL }};\n')
    for names, n in tables.rule_lists.items():
        w(f'static schema_rule *const r{n}[] = {{ '
          + ', '.join('default_' + r.replace('-', '_') for r in names) + ', NULL };\n')
    for number, inits in fields:
        w(f'static const struct schema_field f{number}[] = {{\n        ' + ',\n        '.join(inits) + '\n};\n')
    w('\nconst struct schema builtin_schemas[] = {\n')
    for i, row in enumerate(rows):
        w(f'        [{i}] = {row},\n')
    w(f'}};\nconst unsigned n_builtin_schemas = {len(named)};\n\n')
    w('\n'.join(resources) + '\n')
    w('\nconst struct resource *const builtin_resources[] = {\n')
    w(''.join(f'        &k{i}, /* {k.group_version} {k.kind} */\n' for i, k in enumerate(ordered)))
    w(f'}};\nconst unsigned n_builtin_resources = {len(ordered)};\n')
    w('\nconst struct api_group builtin_groups[] = {\n        ' + ',\n        '.join(group_rows) + '\n};\n')
    w(f'const unsigned n_builtin_groups = {len(groups)};\n')
    w(f'const char builtin_hash[] = "{digest}";\n')


def write_docs(kinds, groups, out):
    w = out.write
    w('<!-- Made by apiserver/schema/generate.py from apiserver/kinds: edit those. -->\n# Kinds\n\n'
      'Every kind that the API server serves out of the box, in the order of discovery.\n')
    last = None
    for k in kind_order(kinds, groups):
        if k.group_version != last:
            w(f'\n## {k.group_version}\n\n| kind | resource | scope | verbs | subresources | |\n|---|---|---|---|---|---|\n')
            last = k.group_version
        short = f' ({", ".join(k.names["short"])})' if k.names.get('short') else ''
        verbs = 'all' if k.verbs == ALL_VERBS else ', '.join(k.verbs)
        w(f'| {k.kind} | {k.names["plural"]}{short} | {k.d["scope"]} | {verbs} | '
          f'{", ".join(sorted(k.d.get("subresources") or {}))} | {k.d.get("about", "")} |\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--kinds', type=pathlib.Path, required=True)
    parser.add_argument('--output', help='the C file to write')
    parser.add_argument('--docs', help='the page to write')
    args = parser.parse_args()
    try:
        kinds, types, groups, abouts, digest = load(args.kinds)
        if args.output:
            with open(args.output, 'w') as out:
                write_c(kinds, types, groups, abouts, digest, out)
        if args.docs:
            with open(args.docs, 'w') as out:
                write_docs(kinds, groups, out)
    except Fail as e:
        sys.exit(f'{parser.prog}: {e}')


if __name__ == '__main__':
    main()
