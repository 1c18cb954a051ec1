"""processes.py: what the torture tests know of the programs that they kill."""


def children(pid):
    """{name: pid} of a process's children; the first of each name."""
    found = {}
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
            for child in f.read().split():
                with open(f'/proc/{child}/comm', encoding='utf-8') as comm:
                    found.setdefault(comm.read().strip(), int(child))
    except OSError:
        pass
    return found
