"""What a test runner said, test by test, and how two runs of the same tests compare.

A result is a dict from a test's name to 'passed', 'failed' or 'skipped'. A reader takes what the command printed and
the folder in which it ran. Names that come twice are numbered, so that no result hides another.
"""
import collections
import glob
import json
import os
import re
import xml.etree.ElementTree as xml


class Results(dict):
    """Results under construction; add() numbers names that are already there."""

    def add(self, name, outcome):
        name = ' '.join(name.split())[:300] or 'without a name'
        key, n = name, 1
        while key in self:
            n += 1
            key = f'{name} #{n}'
        self[key] = outcome

    def count(self):
        counts = collections.Counter(self.values())
        return counts['passed'], counts['failed'], counts['skipped']


def read_junit(output, folder, files='junit.xml'):
    """JUnit's XML as pytest and Surefire write it; `files` is a pattern below the folder."""
    results = Results()
    for path in sorted(glob.glob(os.path.join(folder, files), recursive=True)):
        try:
            cases = list(xml.parse(path).iter('testcase'))
        except xml.ParseError: # cut short: what ran it died
            results.add(f'{os.path.basename(path)} is whole', 'failed')
            continue
        for case in cases:
            outcome = 'passed'
            if case.find('skipped') is not None:
                outcome = 'skipped'
            if case.find('failure') is not None or case.find('error') is not None:
                outcome = 'failed'
            results.add(f'{case.get("classname", "")}::{case.get("name", "")}', outcome)
    return results


def read_go(output, folder):
    """`go test -json`. A package that could not be built, or died, is a test that failed."""
    results = Results()
    said = {'pass': 'passed', 'fail': 'failed', 'skip': 'skipped'}
    for line in output.splitlines():
        if not line.startswith('{'):
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        outcome = said.get(event.get('Action'))
        if outcome and event.get('Test'):
            results.add(f'{event["Package"]} {event["Test"]}', outcome)
        elif outcome == 'failed' and event.get('Package'):
            results.add(f'{event["Package"]} as a whole', 'failed')
    return results


def read_cargo(output, folder):
    """`cargo test`: each binary's lines `test NAME ... ok`; the binary is part of the name."""
    results, binary = Results(), ''
    said = {'ok': 'passed', 'FAILED': 'failed', 'ignored': 'skipped'}
    for line in output.splitlines():
        where = re.match(r'\s+Running (?:unittests )?(\S+)|\s+(Doc-tests \S+)', line)
        if where:
            binary = where.group(1) or where.group(2)
        test = re.match(r'test (.+?) \.\.\. (ok|FAILED|ignored)', line)
        if test:
            results.add(f'{binary} {test.group(1)}', said[test.group(2)])
        elif re.match(r'error: (test failed|could not compile)|error\[E\d+\]', line) and 'could not' in line:
            results.add('it is built', 'failed')
    return results


def read_tap(output, folder):
    """TAP, with the subtests that node's runner and tap indent."""
    results = Results()
    for bad, text in re.findall(r'^ *(not )?ok\b(?: +\d+)?(?: +-)?[ \t]*(.*)$', output, re.M):
        name, _, directive = text.partition(' # ')
        if text.startswith('# '):
            name, directive = '', text[2:]
        if re.match(r'skip', directive, re.I):
            outcome = 'skipped'
        elif re.match(r'todo', directive, re.I):
            outcome = 'skipped'
        else:
            outcome = 'failed' if bad else 'passed'
        results.add(re.sub(r' \{$', '', name), outcome)
    return results


def read_automake(output, folder):
    """`PASS: name` and its relatives, as Automake and many Makefiles print them."""
    results = Results()
    said = {'PASS': 'passed', 'XFAIL': 'passed', 'FAIL': 'failed', 'XPASS': 'failed', 'ERROR': 'failed', 'SKIP': 'skipped'}
    for outcome, name in re.findall(r'^(PASS|XFAIL|FAIL|XPASS|ERROR|SKIP): (.*)$', output, re.M):
        results.add(name, said[outcome])
    return results


def read_lines(output, folder, line):
    """Any other runner: `line` is a pattern with the groups name and one of passed, failed, skipped."""
    results = Results()
    for match in re.finditer(line, output, re.M):
        groups = match.groupdict()
        for outcome in ('passed', 'failed', 'skipped'):
            if groups.get(outcome) is not None:
                results.add(groups['name'], outcome)
    return results


def read_counts(output, folder, line):
    """A runner that gives no names: `line` has groups passed, failed, skipped with numbers, which are added up."""
    results = Results()
    for match in re.finditer(line, output, re.M):
        for outcome, number in match.groupdict().items():
            for _ in range(int(number or 0)):
                results.add(outcome, outcome)
    return results


READERS = {'junit': read_junit, 'go': read_go, 'cargo': read_cargo, 'tap': read_tap, 'automake': read_automake,
           'lines': read_lines, 'counts': read_counts}


def compare(outside, inside):
    """The tests whose outcomes differ, as (name, outside, inside); one that is not there is 'missing'."""
    return [(name, outside.get(name, 'missing'), inside.get(name, 'missing'))
            for name in sorted(set(outside) | set(inside)) if outside.get(name) != inside.get(name)]


def explain(differences, known):
    """Parts differences into those for which `known` (patterns of names with reasons) has a reason, and the others."""
    explained, unknown = [], []
    for difference in differences:
        reason = next((why for pattern, why in known.items() if re.search(pattern, difference[0])), None)
        if reason:
            explained.append((*difference, reason))
        else:
            unknown.append(difference)
    return explained, unknown
