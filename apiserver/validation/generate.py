#!/usr/bin/env python3
"""Compiles validation/rules/*.rules into constant tables of struct rule.

    kind apps/Deployment: subdomain     the rules of a kind, and what its names look like; behind it `full` where
                                        updates check all of metadata again, `full-only` where nothing else, `full-twice` where twice, `full-first` where before the changes, `bare`
                                        where neither creates nor updates check anything of it
    type Container                      rules that others use
    warn apps/Deployment                what is let in with a warning
    on status core/Service              the rules of a subresource; `: full` where it checks all of metadata again,
                                        `: full-only` where nothing else, `: full-twice` where twice, `: full-first` where before the changes

A line is `path: check; check ...`, with more lines below it, indented, that hold for that path. A path
is dotted; `a[]` means every item, `a{}` every entry, `.` the place itself, `^` the object around it and
`/` the root. Upstream's errors call some places otherwise: `a=b` is field a, named b (`a=.`: as what holds it); `-a` is named without
the index of the item that a is in, `--a` without that list, too. Checks:

    required ["detail"]        empty is an error, and the rest of the line is skipped
    invalid|forbidden|duplicate|too-long "detail"     an error, always
    invalid-go "detail"        with the value as Go prints the struct: {"Type":"Foo","RollingUpdate":null}
    required-here "detail"     Required, always
    warn "text", warn-plain "text"    a warning, with the path before it or without
    subdomain, label, qualified ...   a name rule (NAMES below); with `?` empty passes
    enum(a, b, "")             with `?` empty passes
    min(n), max(n), range(a, b), port, >=0 [, "detail"]
    quantity                   not negative
    max-items(n), max-bytes(n)
    immutable
    unique ["detail"]          no earlier item has the same here: Duplicate, with a detail Invalid
    invalid-as "text" "detail", invalid-plain "detail"    Invalid, with this text as the value or without one
    once(field)                of a list: no item's field (`once`: no item) is there twice; named after all items were looked at
    call(f)                    a C function: void f(struct check *, const struct at *)
    use(T)                     the rules of a type

A check written with `!` ends the line and what stands below it when it fails (required always does).
Any check may end in ` if cond`; `if cond` and `else` head indented lines. Conditions: `a set`, `a empty`,
`a changed`, `create`, `a == b`, `a < @c` (c is a path), `a in (b, c)`, `a among c[].d`, `a longer n` (bytes, items),
`a starts b`, `a has b`, `was a == b` (of the stored object; so with the others), `?f` (a C function),
`not`, `and`, `or`, parentheses.
"""
import argparse
import re
import sys

NAMES = {
    'label': 'DNS1123_LABEL', 'subdomain-bytes': 'DNS1123_SUBDOMAIN_BYTES', 'subdomain': 'DNS1123_SUBDOMAIN', 'label-1035': 'DNS1035_LABEL',
    'path-segment': 'PATH_SEGMENT', 'qualified': 'QUALIFIED', 'label-value': 'LABEL_VALUE',
    'c-identifier': 'C_IDENTIFIER', 'env-var': 'ENV_VAR', 'config-key': 'CONFIG_KEY', 'port-name': 'PORT',
    'http-header': 'HTTP_HEADER', 'wildcard': 'WILDCARD_SUBDOMAIN', 'ip': 'IP', 'cidr': 'CIDR', 'ipv4': 'IPV4',
    'domain': 'FULLY_QUALIFIED_DOMAIN', 'domain-path': 'DOMAIN_PREFIXED_PATH', 'any': 'ANY',
    'label-key': 'LABEL_KEY', 'subdomain-underscore': 'SUBDOMAIN_UNDERSCORE', 'percent': 'PERCENT',
}
RANGES = {
    '>=0': (0, None, 'must be greater than or equal to 0'),
    'port': (1, 65535, 'must be between 1 and 65535, inclusive'),
}
ERRORS = {'warn': 'WARN', 'warn-plain': 'WARN_PLAIN', 'invalid': 'INVALID', 'invalid-go': 'INVALID_GO', 'required-here': 'REQUIRED_HERE', 'forbidden': 'FORBIDDEN', 'duplicate': 'DUPLICATE', 'not-found': 'NOT_FOUND', 'too-long': 'TOO_LONG'}
TOKEN = re.compile(r'\s*(>=0(?![0-9])|"(?:[^"\\]|\\.)*"|==|!=|<=|>=|<|>|\(|\)|,|;|\?[\w-]+|[^\s(),;"]+)')


def c_string(s):
    return 'NULL' if s is None else '"' + s.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


def unquote(t):
    return t[1:-1].replace('\\"', '"').replace('\\\\', '\\') if t.startswith('"') else t


def json_tag(name):
    """As json_tag() in lib/json/json.h."""
    s = name.encode()
    return len(s) & 0xff | s[0] << 8 | s[len(s) // 2] << 16 | s[-1] << 24


def field_step(text, shown):
    """A step to a field; dashes before its name say what errors leave out."""
    name = text.lstrip('-')
    return (f'{{ STEP_FIELD, {len(text) - len(name)}, {c_string(name)}, {len(name)}, {json_tag(name):#x}, '
            f'{c_string(shown)} }}')


class Compiler:
    def __init__(self):
        self.out, self.functions, self.conditions, self.interned = [], set(), set(), {}
        self.kinds, self.types, self.warnings, self.subs, self.where = [], {}, [], [], ''

    def fail(self, text):
        sys.exit(f'{self.where}: {text}')

    # --- constants, each once ---
    def intern(self, kind, body):
        if (kind, body) not in self.interned:
            name = f'{kind.split()[-1].strip("*")}_{len(self.interned)}'
            self.interned[kind, body] = name
            self.out.append(f'static const {kind.rsplit(chr(32), 1)[0] if not kind.endswith("words") else "char *const"} {name}[] = {{ {body} }};')
        return self.interned[kind, body]

    def words(self, words):
        return self.intern('char *const words', ', '.join([c_string(unquote(w)) for w in words] + ['NULL']))

    def path(self, text):
        steps, rest = [], text
        while rest and rest != '.':
            if rest[0] == '/':
                steps.append('{ STEP_ROOT }')
                rest = rest[1:]
                continue
            if rest[0] == '^':
                steps.append('{ STEP_UP }')
                rest = rest[1:].lstrip('.')
                continue
            m = re.match(r'\.?([A-Za-z0-9_-]*)(?:=([A-Za-z0-9_./-]+))?((?:\[\]|\{\})*)', rest)
            if not m or not m.group(0):
                self.fail(f'bad path {text!r}')
            if m.group(1):
                steps.append(field_step(m.group(1), m.group(2)))
            for suffix in re.findall(r'\[\]|\{\}', m.group(3)):
                steps.append('{ STEP_ITEMS }' if suffix == '[]' else '{ STEP_ENTRIES }')
            rest = rest[m.end():]
        return self.intern('struct step path', ', '.join(steps + ['{ STEP_END }']))

    # --- conditions ---
    def cond(self, fields):
        return '&' + self.intern('struct cond cond', '{ ' + ', '.join(fields) + ' }') + '[0]'

    def parse_cond(self, tokens):
        self.tokens, self.pos = tokens, 0
        c = self.cond_or()
        if self.pos != len(tokens):
            self.fail(f'trailing {tokens[self.pos:]} in a condition')
        return c

    def peek(self):
        return self.tokens[self.pos] if self.pos < len(self.tokens) else None

    def take(self, want=None):
        t = self.peek()
        if t is None or (want and t != want):
            self.fail(f'expected {want or "more"}, got {t}')
        self.pos += 1
        return t

    def cond_or(self):
        x = self.cond_and()
        while self.peek() == 'or':
            self.take()
            x = self.cond(['.op = COND_OR', f'.x = {x}', f'.y = {self.cond_and()}'])
        return x

    def cond_and(self):
        x = self.cond_not()
        while self.peek() == 'and':
            self.take()
            x = self.cond(['.op = COND_AND', f'.x = {x}', f'.y = {self.cond_not()}'])
        return x

    def cond_not(self):
        t = self.take()
        if t == 'not':
            return self.cond(['.op = COND_NOT', f'.x = {self.cond_not()}'])
        if t == '(':
            x = self.cond_or()
            self.take(')')
            return x
        if t == 'create':
            return self.cond(['.op = COND_CREATE'])
        if t == 'update':
            return self.cond(['.op = COND_NOT', f'.x = {self.cond([".op = COND_CREATE"])}'])
        if t.startswith('?'):
            fn = 'cond_' + t[1:].replace('-', '_')
            self.conditions.add(fn)
            return self.cond(['.op = COND_FN', f'.fn = {fn}'])
        was = t == 'was'
        path, op = f'.path = {self.path(self.take() if was else t)}' + (', .was = true' if was else ''), self.take()
        if op in ('set', 'empty', 'changed'):
            return self.cond([f'.op = COND_{op.upper()}', path])
        if op == 'in':
            self.take('(')
            words = []
            while self.peek() != ')':
                t = self.take()
                if t != ',':
                    words.append(t)
            self.take(')')
            return self.cond(['.op = COND_IN', path, f'.words = {self.words(words)}'])
        if op == 'among':
            return self.cond(['.op = COND_AMONG', path, f'.other = {self.path(self.take())}'])
        value = self.take()
        if op == 'longer':
            return self.cond(['.op = COND_LONGER', path, f'.value = {int(value)}LL'])
        names = {'==': 'EQ', '!=': 'NE', '<': 'LT', '<=': 'LE', '>': 'GT', '>=': 'GE', 'starts': 'PREFIX',
                 'has': 'CONTAINS'}
        if op not in names:
            self.fail(f'unknown comparison {op!r}')
        if value.startswith('@'):
            return self.cond([f'.op = COND_{names[op]}', path, f'.other = {self.path(value[1:])}'])
        number = re.fullmatch(r'-?\d+', value)
        return self.cond([f'.op = COND_{names[op]}', path, f'.text = {c_string(unquote(value))}'] +
                         ([f'.number = true, .value = {value}LL'] if number else []))

    # --- checks ---
    def check(self, text):
        """One check as a list of struct rule initialisers without path."""
        tokens = TOKEN.findall(text)
        cond = None
        if 'if' in tokens:
            at = tokens.index('if')
            tokens, cond = tokens[:at], self.parse_cond(tokens[at + 1:])
        word, args = tokens[0], [unquote(t) for t in tokens[1:] if t not in ('(', ')', ',')]
        optional, stop = word.endswith('?'), word.endswith('!')
        word = word.rstrip('?!')
        fields = (['.optional = true'] if optional else []) + (['.stop = true'] if stop else [])
        if word == 'required':
            fields += ['.op = RULE_REQUIRED', '.stop = true', f'.detail = {c_string(args[0] if args else None)}']
        elif word in ERRORS:
            fields += [f'.op = RULE_{ERRORS[word]}', f'.detail = {c_string(args[0] if args else None)}']
        elif word in NAMES:
            fields += ['.op = RULE_NAME', f'.name = NAME_{NAMES[word]}']
        elif word in RANGES or word in ('min', 'max', 'range'):
            if word in RANGES:
                lo, hi, detail = RANGES[word]
            else:
                n = 2 if word == 'range' else 1
                lo, hi = (int(args[0]), int(args[1])) if n == 2 else \
                    (int(args[0]), None) if word == 'min' else (None, int(args[0]))
                detail = args[n] if len(args) > n else \
                    f'must be between {lo} and {hi}, inclusive' if n == 2 else \
                    f'must be greater than or equal to {lo}' if word == 'min' else f'must be less than or equal to {hi}'
                args = args[:n]
            fields += ['.op = RULE_RANGE', f'.lo = {"INT64_MIN" if lo is None else str(lo) + "LL"}',
                       f'.hi = {"INT64_MAX" if hi is None else str(hi) + "LL"}', f'.detail = {c_string(detail)}']
        elif word in ('max-items', 'max-bytes'):
            fields += [f'.op = RULE_{word.upper().replace("-", "_")}', f'.hi = {int(args[0])}LL']
        elif word == 'enum':
            fields += ['.op = RULE_ENUM', f'.words = {self.words(args)}']
        elif word == 'once':
            fields += ['.op = RULE_ONCE', f'.detail = {c_string(args[0] if args else None)}']
        elif word == 'invalid-plain':
            fields += ['.op = RULE_INVALID_AS', f'.detail = {c_string(args[0])}']
        elif word == 'invalid-as':
            fields += ['.op = RULE_INVALID_AS', f'.text = {c_string(args[0])}', f'.detail = {c_string(args[1])}']
        elif word in ('immutable', 'unique', 'quantity'):
            fields += [f'.op = RULE_{word.upper()}'] + ([f'.detail = {c_string(args[0])}'] if args else [])
        elif word == 'call':
            fn = 'check_' + args[0].replace('-', '_')
            self.functions.add(fn)
            fields += ['.op = RULE_CALL', f'.fn = {fn}']
        elif word == 'use':
            fields += ['.op = RULE_USE', f'.use = @{args[0]}@']
        else:
            self.fail(f'unknown check {word!r}')
        return fields + ([f'.cond = {cond}'] if cond else [])

    # --- lines ---
    def rules(self, lines):
        """LINES: (indent, text, where). Returns a list of struct rule initialisers."""
        rules, i = [], 0
        while i < len(lines):
            indent, text, self.where = lines[i]
            end = i + 1
            while end < len(lines) and lines[end][0] > indent:
                end += 1
            below, where = lines[i + 1:end], self.where
            i = end
            m = re.fullmatch(r'if (.*)', text)
            if m:
                cond = self.parse_cond(TOKEN.findall(m.group(1)))
                fields = ['.op = RULE_IF', f'.cond = {cond}', f'.body = {self.body(below)}']
                if i < len(lines) and lines[i][1] == 'else' and lines[i][0] == indent:
                    end = i + 1
                    while end < len(lines) and lines[end][0] > indent:
                        end += 1
                    fields.append(f'.other = {self.body(lines[i + 1:end])}')
                    i = end
                rules.append(fields)
                continue
            m = re.fullmatch(r'use ([\w-]+)', text)
            if m:
                rules.append(self.check(f'use({m.group(1)})'))
                continue
            m = re.fullmatch(r'([^\s:]+):\s*(.*)', text)
            if not m:
                self.fail(f'what is {text!r}?')
            checks = [self.check(part.strip()) for part in
                      re.findall(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+', m.group(2)) if part.strip()]
            rules.append(['.op = RULE_BLOCK', f'.path = {self.path(m.group(1))}',
                          f'.body = {self.table(checks + self.rules(below))}'])
            self.where = where
        return rules

    def table(self, rules):
        return self.intern('struct rule rules', ', '.join('{ ' + ', '.join(r) + ' }' for r in rules + [['0']]))

    def body(self, lines):
        return self.table(self.rules(lines))

    def compile(self, path):
        lines, heads = [], []
        with open(path) as f:
            for n, line in enumerate(f, 1):
                text = line.split(' #')[0].rstrip() if not line.startswith('#') else ''
                if text.strip():
                    lines.append((len(text) - len(text.lstrip()), text.strip(), f'{path}:{n}'))
        i = 0
        while i < len(lines):
            end = i + 1
            while end < len(lines) and lines[end][0] > 0:
                end += 1
            heads.append((lines[i], lines[i + 1:end]))
            i = end
        for (_, text, where), below in heads:
            self.where = where
            m = re.fullmatch(r'type ([\w-]+)', text)
            if m and m.group(1) in self.types:
                self.fail(f'there is a type {m.group(1)} already')
            if m:
                self.types[m.group(1)] = below
                continue
            m = re.fullmatch(r'on (\w+) ([\w.]+)/(\w+)(?:: (full|full-only|full-twice|full-first))?', text)
            if m:
                self.subs.append((m.group(2) if m.group(2) != 'core' else '', m.group(3), m.group(1), below,
                                  'KIND_UPDATE_' + (m.group(4) or 'plain').upper().replace('-', '_')))
                continue
            m = re.fullmatch(r'warn ([\w.]+)/(\w+)', text)
            if m:
                self.warnings.append((m.group(1) if m.group(1) != 'core' else '', m.group(2), below))
                continue
            m = re.fullmatch(r'kind ([^:]+):\s*([\w-]+)(?: (full|full-only|full-twice|full-first|bare))?', text)
            if not m or m.group(2) not in NAMES:
                self.fail(f'what is {text!r}?')
            for kind in m.group(1).split(','):
                group, kind = kind.strip().rsplit('/', 1)
                self.kinds.append((group if group != 'core' else '', kind, NAMES[m.group(2)], below,
                                   'KIND_UPDATE_' + (m.group(3) or 'plain').upper().replace('-', '_')))


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--output', required=True)
    p.add_argument('rules', nargs='+')
    args = p.parse_args()
    c = Compiler()
    for path in sorted(args.rules):
        c.compile(path)
    # Types may use each other, in any order and in circles: rules name them by their place in a table.
    tables = {name: c.body(lines) for name, lines in c.types.items()}
    kinds = [(g, k, n, c.body(lines), update) for g, k, n, lines, update in c.kinds]
    warnings = [(g, k, c.body(lines)) for g, k, lines in c.warnings]
    subs = [(g, k, s, c.body(lines), update) for g, k, s, lines, update in c.subs]
    text = '\n'.join(c.out)
    for used in set(re.findall(r'@([\w-]+)@', text)):
        if used not in tables:
            sys.exit(f'no type {used}')
    place = {name: i for i, name in enumerate(sorted(tables))}
    text = re.sub(r'@([\w-]+)@', lambda m: f'&validation_types[{place[m.group(1)]}]', text)
    with open(args.output, 'w') as f:
        f.write('/* Compiled from validation/rules by validation/generate.py. */\n#include "validation/rules.h"\n\n')
        for fn in sorted(c.functions):
            f.write(f'void {fn}(struct check *c, const struct at *at);\n')
        for fn in sorted(c.conditions):
            f.write(f'bool {fn}(struct check *c, const struct at *at);\n')
        f.write(text + '\n\nconst struct kind_rules validation_kinds[] = {\n')
        for group, kind, name, table, update in sorted(kinds):
            f.write(f'        {{ {c_string(group)}, "{kind}", NAME_{name}, {table}, {update} }},\n')
        f.write('};\nconst unsigned n_validation_kinds = sizeof(validation_kinds) / sizeof(validation_kinds[0]);\n\n')
        f.write('const struct kind_rules validation_subresources[] = {\n')
        for group, kind, name, table, update in sorted(subs):
            f.write(f'        {{ {c_string(group)}, "{kind}", NAME_ANY, {table}, {update}, "{name}" }},\n')
        f.write('};\nconst unsigned n_validation_subresources = '
                'sizeof(validation_subresources) / sizeof(validation_subresources[0]);\n\n')
        f.write('const struct kind_rules validation_warnings[] = {\n')
        for group, kind, table in sorted(warnings):
            f.write(f'        {{ {c_string(group)}, "{kind}", NAME_ANY, {table}, KIND_UPDATE_PLAIN }},\n')
        f.write('};\nconst unsigned n_validation_warnings = '
                'sizeof(validation_warnings) / sizeof(validation_warnings[0]);\n\n')
        f.write('const struct rule_type validation_types[] = {\n')
        for name, table in sorted(tables.items()):
            f.write(f'        {{ "{name}", {table} }},\n')
        f.write('};\nconst unsigned n_validation_types = sizeof(validation_types) / sizeof(validation_types[0]);\n')


main()
