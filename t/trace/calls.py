"""calls.py SUMMARY: the Markdown of `kmap-trace --summary` for Envoy, Flask
and the small server, with what the paper's tables list for each beside it."""
import re
import sys

ENVOY = ('socket', 'connect', 'write', 'read', 'writev', 'readv')
# Names in the summary, in the table, and what the paper lists: its Table 1
# (HTTP with Flask) and Table 2 (tiny C web server). Of Envoy both say the same.
PROGRAMS = (
    (r'envoy', 'Envoy', ENVOY),
    (r'python3', 'Flask', ('socket', 'listen', 'accept', 'poll', 'select',
                           'send', 'sendto', 'sendfile', 'write', 'read')),
    (r'tiny$', 'tiny', ('socket', 'listen', 'accept', 'write', 'read')),
)


def cells(line):
    return [c.strip() for c in line.strip().strip('|').split('|')]


def read(path):
    """{function: ([count or '' for each program], answer)}, in order"""
    with open(path) as f:
        lines = [cells(line) for line in f if line.startswith('|')]
    columns = []
    for pattern, name, _ in PROGRAMS:
        at = [i for i, c in enumerate(lines[0]) if re.match(pattern, c)]
        if len(at) != 1:
            sys.exit('%s: no column for %s in %s' % (path, name, lines[0]))
        columns.append(at[0])
    rows = {}
    for row in lines[2:]:
        counts = [row[i] for i in columns]
        if any(counts):
            rows[row[0]] = (counts, row[-1])
    return rows


def put(row, width):
    print('| ' + ' | '.join(c.ljust(w) for c, w in zip(row, width)) + ' |')


def words(names):
    names = list(names)
    return ', '.join('`%s`' % n for n in names) or 'none'


def main():
    rows = read(sys.argv[1])
    for _, _, listed in PROGRAMS:
        for name in listed:
            rows.setdefault(name, ([''] * len(PROGRAMS), ''))
    head = ['function']
    for _, name, _ in PROGRAMS:
        head += [name, 'paper']
    table = [head + ['libkmapemu']]
    for fn, (counts, answer) in rows.items():
        row = [fn]
        for count, (_, _, listed) in zip(counts, PROGRAMS):
            row += [count, 'x' if fn in listed else '']
        table.append(row + [answer])
    width = [max(len(r[i]) for r in table) for i in range(len(head) + 1)]
    print('<!-- CALLS: begin (what `make calls` in t wrote) -->')
    put(table[0], width)
    print('|' + '|'.join('-' * (w + 2) for w in width) + '|')
    for row in table[1:]:
        put(row, width)
    print()
    for i, (_, name, listed) in enumerate(PROGRAMS):
        called = [fn for fn in rows if rows[fn][0][i]]
        print('- **%s** calls %d functions, the paper lists %d. Not listed: '
              '%s.\n  Listed, and not called on TCP here: %s.' % (
                  name, len(called), len(listed),
                  words(fn for fn in called if fn not in listed),
                  words(fn for fn in listed if fn not in called)))
    print('<!-- CALLS: end -->')


main()
