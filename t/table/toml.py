"""toml.py DIR COUNT FUZZ-TABLE SEED...: tables and TOML are the same thing.

Changes the seeds here and there, with a fixed seed of its own, and asks the
parser of tables for what it understood: whatever it accepts tomllib must
accept, and understand in the same way. Prints TAP lines without a plan.
"""
import json
import os
import random
import subprocess
import sys
import tomllib

TOKENS = ['"', '\\', '\\u0041', '[', ']', '[[', ']]', '{', '}', '=', ',', '#',
          '\n', '.', "'", "'''", '"""', 'true', 'false', '1979-05-27', '0x1',
          '1_0', '+1', '-0', '-', '1e3', '1.0', 'inf', ' ', '\t', '\r\n', 'é',
          '\x7f', '\x01', '[endpoint]', '[[endpoint]]', '[program]\n', 'x',
          'kmap-table = 1', '""', '[]', '{}', '\\U0001F600', '00', '07:32:00']


def changed(rnd, text):
    for _ in range(rnd.randint(1, 3)):
        at = rnd.randrange(len(text) + 1)
        how = rnd.randrange(4)
        if how == 0:
            text = text[:at] + text[at + rnd.randint(1, 20):]
        elif how == 1:
            text = text[:at] + rnd.choice(TOKENS) + text[at:]
        elif how == 2:
            text = text[:at] + rnd.choice(TOKENS) + text[at + 1:]
        else:
            text = text[:at] + text[at:at + 30] * 2 + text[at + 30:]
    return text


def understood(sections):
    doc = {}
    for name, many, pairs in sections:
        if name == '':
            doc.update(pairs)
        elif many:
            doc.setdefault(name, []).append(pairs)
        else:
            assert name not in doc
            doc[name] = pairs
    return doc


def once(pairs):
    """A key that stands twice must not hide."""
    keys = [k for k, _ in pairs]
    assert len(keys) == len(set(keys)), keys
    return dict(pairs)


def same(a, b):
    # true is not 1 here
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def main():
    where, count, program, *seeds = sys.argv[1:]
    rnd = random.Random(6010)
    texts = [open(s, encoding='utf-8').read() for s in seeds]
    paths = []
    for i in range(int(count)):
        paths.append(os.path.join(where, f'{i}.kmap'))
        text = rnd.choice(texts)
        # Not all of a large one: then all of it is near a change.
        with open(paths[-1], 'w', encoding='utf-8', newline='') as f:
            f.write(changed(rnd, text) if i >= len(texts) else texts[i])
    out = subprocess.run([program, '--json'] + paths, stdout=subprocess.PIPE,
                         check=True).stdout.decode('utf-8').splitlines()
    assert len(out) == len(paths)
    accepted, bad = 0, []
    for path, line in zip(paths, out):
        got = json.loads(line, object_pairs_hook=once)
        if 'error' in got:
            continue
        accepted += 1
        try:
            with open(path, 'rb') as f:
                want = tomllib.load(f)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            bad.append(f'{path} is no TOML: {e}')
            continue
        if not same(understood(got['sections']), want):
            bad.append(f'{path} means something else')
    for line in bad[:5]:
        print('#', line)
    print('not ok' if bad else 'ok',
          '- what is accepted is TOML, and means the same')
    print('ok' if len(texts) < accepted < len(paths) * 9 / 10 else 'not ok',
          '- some are accepted, some are not')
    print(f'# {accepted} of {len(paths)} were accepted')


main()
